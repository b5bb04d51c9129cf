"""Networks that are no classifiers of whole images: segmentations, encoders and regressions."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from cam_cli.cams.engine.explainer import Explainer
from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.cams.engine.targets import Target
from cam_cli.errors import CamxError
from cam_cli.models.network import Network
from cam_cli.outputs.drawing import overlay
from cam_cli.report.build import build_report
from cli.main import run

from .damaged import row, written
from .definitions import DEFINITIONS, Slow
from .methods_support import (
    assert_close,
    few_masks,  # noqa: F401 - fixtures are found by their names
    layers_of,
    small,
)
from .report_support import content
from .test_engine import batch

SIDE = 64
NAMES = ("background", "red", "blue")
RED, BLUE = (slice(4, 24), slice(6, 26)), (slice(34, 60), slice(30, 60))


class Colours(nn.Module):
    """Sees red and blue: channels of `act` are how red and how blue a cell is, its head turns them into classes."""

    def __init__(self, form: str = "tensor", *, classes: int = 3) -> None:
        super().__init__()
        self.form = form
        self.seen = nn.Conv2d(3, 4, 1)
        self.act = nn.ReLU()
        self.pool = nn.AvgPool2d(4)
        self.mix = nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.ReLU()
        self.head = nn.Conv2d(4, classes, 1)
        with torch.no_grad():
            self.seen.weight.copy_(torch.tensor([[2, -1, -1], [-1, -1, 2], [1, 1, 1], [-1, 2, -1.0]])[..., None, None])
            self.seen.bias.zero_()
            self.mix.weight.zero_()
            for channel in range(4):
                self.mix.weight[channel, channel] = torch.tensor([[0, 0.1, 0], [0.1, 0.6, 0.1], [0, 0.1, 0]])
            self.mix.bias.fill_(0.05)
            weight = torch.tensor([[0, 0, 0.1, 0], [2, -1, 0, 0], [-1, 2, 0, 0.0]])[..., None, None]
            self.head.weight.copy_(weight if classes == 3 else weight[1:2])
            self.head.bias.copy_(torch.tensor([1.5, 0, 0] if classes == 3 else [-1.6]))

    def forward(self, x: Tensor) -> object:
        maps = self.head(self.last(self.mix(self.pool(self.act(self.seen(x))))))
        found = interpolate(maps, x.shape[2:], mode="bilinear", align_corners=False)
        if self.form == "softmax":
            return found.softmax(1)
        return {"tensor": found, "out": {"out": found, "aux": maps}, "small": maps, "pair": (found, found * 2)}[
            self.form
        ]


def scene() -> Image.Image:
    pixels = np.full((SIDE, SIDE, 3), 90, np.uint8)
    pixels[RED], pixels[BLUE] = (230, 20, 20), (20, 20, 230)
    return Image.fromarray(pixels)


def of(module: nn.Module, task: str = "auto", names: tuple[str, ...] = NAMES) -> Network:
    return Network.of(module.eval(), image_size=SIDE, mean=(0, 0, 0), std=(1, 1, 1), class_names=names, task=task)


def centre(values: np.ndarray) -> tuple[float, float]:
    """Centre of mass of the positive part: x, y in [0, 1]."""
    mass = np.maximum(values, 0)
    ys, xs = np.mgrid[: mass.shape[0], : mass.shape[1]]
    return float((xs * mass).sum() / mass.sum() / xs.max()), float((ys * mass).sum() / mass.sum() / ys.max())


@pytest.mark.parametrize("form", ["tensor", "out", "softmax"])
def test_each_class_of_a_segmentation_is_found_where_it_is(form: str) -> None:
    explainer = Explainer(
        of(Colours(form), "auto" if form == "out" else "segmentation"),
        ExplainOptions(targets=("predicted", "red", "background")),
    )
    assert (explainer.task, explainer.layer.name) == ("segmentation", "last")
    (found,) = explainer(scene())
    # The largest class but the background, which comes last although it is the largest.
    assert [one.name for one in found.ranking] == ["blue", "red", "background"]
    areas = {one.name: one.probability for one in found.ranking}
    assert areas["blue"] == pytest.approx(26 * 30 / SIDE**2, abs=0.03)
    assert areas["red"] == pytest.approx(20 * 20 / SIDE**2, abs=0.03)
    assert sum(areas.values()) == pytest.approx(1)
    blue, red, _ = found.maps
    assert (blue.prediction.name, red.prediction.name) == ("blue", "red")
    assert centre(blue.values) == pytest.approx((45 / SIDE, 47 / SIDE), abs=0.06)
    assert centre(red.values) == pytest.approx((16 / SIDE, 14 / SIDE), abs=0.06)
    assert red.outline is not None
    assert red.outline[14, 16]
    assert not red.outline[47, 45]


def slow_gradcam(module: Colours, picture: Tensor, index: int) -> Tensor:
    """Grad-CAM of the sum of a class's logits over the pixels predicted as it, word for word."""
    features = module.last(module.mix(module.pool(module.act(module.seen(picture))))).detach().requires_grad_()
    logits = interpolate(module.head(features), picture.shape[2:], mode="bilinear", align_corners=False)
    score = torch.zeros(())
    for y, x in (logits[0].argmax(0) == index).nonzero().tolist():
        score = score + logits[0, index, y, x]
    score.backward()
    weights = features.grad[0].mean(dim=(1, 2))
    return sum(w * a for w, a in zip(weights, features.detach()[0]))


@pytest.mark.parametrize("index", [0, 1, 2])
def test_gradcam_of_a_segmentation_is_its_slow_definition(index: int) -> None:
    module = Colours()
    explainer = Explainer(of(module, "segmentation"), ExplainOptions(targets=(index,)))
    picture = torch.from_numpy(np.array(scene())).permute(2, 0, 1)[None] / 255
    (found,) = explainer(picture)
    expected = slow_gradcam(module, picture, index).numpy()
    np.testing.assert_allclose(found.maps[0].values, expected, rtol=1e-4, atol=1e-4 * abs(expected).max())


def test_the_pixels_stay_those_of_the_image_where_a_method_changes_it() -> None:
    """Ablation-CAM: without the channel that makes a class, no pixel would be predicted as it, and nothing would fall."""
    module = Colours()
    explainer = Explainer(of(module, "segmentation"), ExplainOptions(methods=("ablationcam",), targets=("red",)))
    picture = torch.from_numpy(np.array(scene())).permute(2, 0, 1)[None] / 255
    other = picture.flip(3)
    found = explainer(torch.cat([other, picture]))[1]
    features = module.last(module.mix(module.pool(module.act(module.seen(picture))))).detach()

    def logits(maps: Tensor) -> Tensor:
        return interpolate(module.head(maps), picture.shape[2:], mode="bilinear", align_corners=False)[0]

    mask = logits(features).argmax(0) == 1
    expected = torch.zeros(features.shape[2:])
    for channel in range(4):
        without = features.clone()
        without[:, channel] = 0
        drop = (logits(features)[1][mask]).sum() - (logits(without)[1][mask]).sum()
        expected += drop.detach() * features[0, channel]
    np.testing.assert_allclose(found.maps[0].values, expected.numpy(), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(
    "method",
    ["gradcam++", "smooth-gradcam++", "xgradcam", "hirescam", "layercam", "segeigencam", "rise", "reciprocam",
     "saliency", "smoothgrad", "integrated-gradients", "guided-backprop", "guided-gradcam",
     "occlusion", "smoothgrad-squared", "vargrad", "gradient-shap", "blur-ig", "guided-ig", "kernel-shap", "lime", "xrai",
     "fullgrad", "lrp"],
)  # fmt: skip
def test_other_methods_find_the_class_too(method: str) -> None:
    explainer = Explainer(of(Colours(), "segmentation"), ExplainOptions(methods=(method,), targets=("red",)))
    for found in explainer([scene(), scene()]):
        x, y = centre(found.maps[0].values)
        assert x < 0.45, method
        assert y < 0.45, method


@pytest.mark.parametrize(
    "method",
    ["cam", "scorecam", "sscam", "iscam", "sess", "dff", "finercam", "shapleycam", "tis", "attention-rollout",
     "legrad"],
)  # fmt: skip
def test_methods_that_need_class_probabilities_are_refused_by_name(method: str) -> None:
    with pytest.raises(CamxError, match=rf"{method}.*segmentation"):
        Explainer(of(Colours(), "segmentation"), ExplainOptions(methods=(method,)))


def test_a_class_without_a_pixel_is_blank_in_words() -> None:
    pixels = np.array(scene())
    pixels[BLUE] = 90
    explainer = Explainer(of(Colours(), "segmentation"), ExplainOptions(targets=("blue",)))
    (found,) = explainer(Image.fromarray(pixels))
    assert found.blank == "no pixel is predicted as 'blue'"
    assert not found.maps[0].values.any()


def test_one_logit_per_pixel_is_two_classes() -> None:
    module = Colours(classes=1)
    with pytest.raises(CamxError, match=r"segmentation, feature maps or images"):
        Explainer(of(module, names=()))
    explainer = Explainer(of(module, "segmentation", ("red",)))
    assert list(explainer.classes.names) == ["not red", "red"]
    (found,) = explainer(scene())
    assert {one.name: round(one.probability, 2) for one in found.ranking}["red"] == pytest.approx(0.1, abs=0.03)


class Wide(Colours):
    """A fourth class that no pixel has."""

    def forward(self, x: Tensor) -> Tensor:
        found = super().forward(x)
        assert isinstance(found, Tensor)
        return torch.cat([found, found[:, :1] * 0 - 9], 1)


def test_a_map_of_the_size_of_the_images_with_other_channels_is_a_segmentation() -> None:
    assert Explainer(of(Wide(), names=())).task == "segmentation"


class Features(nn.Module):
    """Feature maps and no head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4), nn.Conv2d(8, 8, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Repainted(nn.Module):
    """An image in, an image out."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


@pytest.mark.parametrize("module", [Features, Repainted, lambda: Colours("small")])
def test_maps_that_may_be_no_classes_are_not_taken_for_them(module: type[nn.Module]) -> None:
    with pytest.raises(CamxError, match=r"the scores of a segmentation, feature maps or images") as refused:
        Explainer(of(module(), names=()))
    assert "task=segmentation" in str(refused.value)


def test_a_segmentation_is_never_explained_as_a_classifier_and_the_other_way_round() -> None:
    with pytest.raises(CamxError, match=r"not one score per image and class"):
        Explainer(of(Colours(), "classification"))
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    assert Explainer(of(plain)).task == "classification"
    with pytest.raises(CamxError, match=r"task=segmentation.*no scores of images"):
        Explainer(of(plain, "segmentation"))
    with pytest.raises(CamxError, match=r"2 tensors that could be scores per pixel"):
        Explainer(of(Colours("pair"), "segmentation"))


def test_a_folder_of_a_segmentation(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from tests.test_tasks import Colours, of\n\ndef build():\n    return of(Colours('out'))\n"
    )
    (tmp_path / "photos").mkdir()
    scene().resize((128, 96)).save(tmp_path / "photos" / "a.png")
    grey = Image.new("RGB", (80, 80), (90, 90, 90))
    grey.save(tmp_path / "photos" / "b.png")
    out = tmp_path / "out"
    args = ["explain", str(tmp_path / "photos"), "-m", f"{tmp_path}/net.py:build", "-o", str(out), "-q", "-j", "1"]
    assert run([*args, "--target", "red", "--method", "gradcam"]) == 0
    a, b = (json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines())
    assert (a["status"], a["maps"][0]["target_name"]) == ("ok", "red")
    assert [one["name"] for one in a["top"]] == ["blue", "red", "background"]
    assert (b["status"], b["error"]) == ("blank", "no pixel is predicted as 'red'")
    record = json.loads((out / "run.json").read_text())
    assert record["fingerprint"]["task"] == "segmentation"
    assert any("segmentation" in note for note in record["plan"]["weights_notes"])
    assert run(["evaluate", str(tmp_path / "photos"), "-m", f"{tmp_path}/net.py:build", "-o", str(tmp_path / "e")]) == 2


def test_the_outline_is_drawn_round_the_mask() -> None:
    explainer = Explainer(of(Colours(), "segmentation"), ExplainOptions(targets=("red",)))
    (found,) = explainer(scene().resize((256, 256), Image.Resampling.NEAREST))
    drawn = np.asarray(overlay(found))
    white = (drawn == 255).all(2)
    ys, xs = white.nonzero()
    assert 10 < xs.min() < 40
    assert 80 < xs.max() < 120
    assert 5 < ys.min() < 32
    assert 70 < ys.max() < 112


class Encoder(nn.Module):
    """Embeds an image by how much of each colour it has."""

    def __init__(self) -> None:
        super().__init__()
        self.seen, self.act, self.pool = Colours().seen, nn.ReLU(), nn.AvgPool2d(4)
        self.mean = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.mean(self.pool(self.act(self.seen(x)))).flatten(1)


def red_square(place: tuple[slice, slice]) -> Image.Image:
    pixels = np.full((SIDE, SIDE, 3), 90, np.uint8)
    pixels[place] = (230, 20, 20)
    return Image.fromarray(pixels)


def test_what_makes_an_image_similar_to_another_one(tmp_path: Path) -> None:
    reference = tmp_path / "reference.png"
    Image.new("RGB", (SIDE, SIDE), (230, 20, 20)).save(reference)
    network = of(Encoder(), "similarity", ())
    explainer = Explainer(network, ExplainOptions(methods=("hirescam",), targets=(f"like:{reference}",)))
    (found,) = explainer(scene())
    module = Encoder()
    with torch.no_grad():
        a, b = (
            module(torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None] / 255)
            for image in (scene(), Image.open(reference))
        )
    prediction = found.maps[0].prediction
    assert prediction.value == pytest.approx(float((normalize(a) * normalize(b)).sum()), abs=1e-5)
    assert prediction.name == f"like:{reference}"
    assert found.ranking == ()
    # Red is what both have: it lies in the upper left.
    assert centre(found.maps[0].values) == pytest.approx((16 / SIDE, 14 / SIDE), abs=0.1)
    (same,) = explainer([str(reference)])
    assert same.maps[0].prediction.value == pytest.approx(1, abs=1e-5)


def test_an_encoder_without_a_reference_and_a_classifier_with_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CamxError, match="like:REF"):
        Explainer(of(Encoder(), "similarity", ()))
    scene().save(tmp_path / "a.png")
    with pytest.raises(CamxError, match="needs an encoder"):
        Explainer(of(Encoder(), names=()), ExplainOptions(targets=(f"like:{tmp_path}/a.png",)))
    with pytest.raises(CamxError, match="no image|There is"):
        Explainer(of(Encoder(), "similarity", ()), ExplainOptions(targets=("like:nowhere.png",)))
    with pytest.raises(CamxError, match="names no image"):
        Target.parse("like:")


@pytest.fixture
def paired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three scenes, plain references of both colours, and a table of pairs without the third one."""
    (tmp_path / "net.py").write_text(
        "from tests.test_tasks import Encoder, of\n\ndef build():\n    return of(Encoder(), 'similarity', ())\n"
    )
    (tmp_path / "photos").mkdir()
    (tmp_path / "refs").mkdir()
    for name in "abc":
        scene().save(tmp_path / "photos" / f"{name}.png")
    for name, colour in (("red", (230, 20, 20)), ("blue", (20, 20, 230))):
        Image.new("RGB", (SIDE, SIDE), colour).save(tmp_path / "refs" / f"{name}.png")
    (tmp_path / "pairs.csv").write_text("image,reference\na.png,refs/red.png\nb.png,refs/blue.png\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compared(*more: str, out: str = "out") -> int:
    task = ("-m", "net.py:build", "--task", "similarity", "--method", "hirescam")
    return run(["explain", "photos", *task, "-o", out, "-q", "-j", "1", *(more or ("--target", "like:pairs.csv"))])


@pytest.mark.usefixtures("few_masks")
@pytest.mark.parametrize("method", ["occlusion", "lime", "gradient-shap", "guided-ig", "xrai"])
def test_other_methods_find_what_is_similar(method: str, tmp_path: Path) -> None:
    reference = tmp_path / "reference.png"
    Image.new("RGB", (SIDE, SIDE), (230, 20, 20)).save(reference)
    options = ExplainOptions(methods=(method,), targets=(f"like:{reference}",))
    (found,) = Explainer(of(Encoder(), "similarity", ()), options)(scene())
    assert all(place < 0.4 for place in centre(found.maps[0].values))


def test_a_cosine_is_no_sum_of_gradients_and_biases(tmp_path: Path) -> None:
    reference = tmp_path / "reference.png"
    Image.new("RGB", (SIDE, SIDE), (230, 20, 20)).save(reference)
    options = ExplainOptions(methods=("fullgrad",), targets=(f"like:{reference}",))
    with pytest.raises(CamxError, match=r"fullgrad` splits a score .* Encoder add up to"):
        Explainer(of(Encoder(), "similarity", ()), options)


def test_each_image_has_its_own_reference(paired: Path) -> None:
    assert compared() == 1
    found = rows_of(paired / "out")
    assert found["c.png"]["error"] == "no row in 'pairs.csv' gives it a reference"
    for name, colour, x in (("a.png", "red", 16), ("b.png", "blue", 45)):
        assert compared("--target", f"like:refs/{colour}.png", out=colour) == 0
        (own,), (single,) = found[name]["maps"], rows_of(paired / colour)[name]["maps"]
        assert (own["target_name"], single["target_name"]) == (f"like:refs/{colour}.png",) * 2
        assert own["target_value"] == pytest.approx(single["target_value"], abs=1e-5)
        assert own["center_x"] == pytest.approx(single["center_x"], abs=1e-3)
        assert own["center_x"] == pytest.approx(x / SIDE, abs=0.1)


def rows_of(out: Path) -> dict[str, Any]:
    return {row["image"]: row for row in map(json.loads, (out / "manifest.jsonl").read_text().splitlines())}


def test_a_reference_that_cannot_be_read_is_the_error_of_its_image(paired: Path) -> None:
    (paired / "refs" / "red.png").write_bytes(b"no image")
    with (paired / "pairs.csv").open("a") as file:
        file.write("c.png,refs/gone.png\n")
    assert compared() == 1
    found = rows_of(paired / "out")
    assert [found[name]["status"] for name in ("a.png", "b.png", "c.png")] == ["failed", "ok", "failed"]
    assert "its reference 'refs/red.png' cannot be read" in found["a.png"]["error"]
    assert "refs/gone.png" in found["c.png"]["error"]
    (paired / "refs" / "blue.png").unlink()
    assert compared(out="none") == 2


def test_the_fingerprint_of_pairs_is_that_of_their_contents(paired: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compared() == 1
    (paired / "pairs.csv").touch()
    assert compared() == 1
    Image.new("RGB", (SIDE, SIDE), (20, 230, 20)).save(paired / "refs" / "red.png")
    assert compared() == 2
    assert "references" in capsys.readouterr().err
    (paired / "pairs.csv").write_text("image,other\na.png,refs/red.png\n")
    assert compared(out="other") == 2
    assert "no column 'reference'" in " ".join(capsys.readouterr().err.split())


class Redness(nn.Module):
    """Returns the redness of an image less its blueness."""

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.body = Encoder()
        self.head = nn.Linear(4, outputs, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[3, -1, 0, 0], [0, 5, 0, 0.0]])[:outputs])

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def test_a_value_is_raised_by_what_it_grows_with() -> None:
    picture = torch.from_numpy(np.array(scene())).permute(2, 0, 1)[None] / 255
    for evidence, place in (("for", (16, 14)), ("against", (45, 47))):
        options = ExplainOptions(methods=("hirescam",), evidence=evidence)
        explainer = Explainer(of(Redness(), "regression", ("redness",)), options)
        (found,) = explainer(picture)
        prediction = found.maps[0].prediction
        assert (prediction.name, found.correct, found.ranking) == ("redness", None, ())
        assert prediction.value == pytest.approx(float(Redness()(picture).detach()), rel=1e-5)
        assert centre(found.maps[0].values) == pytest.approx((place[0] / SIDE, place[1] / SIDE), abs=0.1)


@pytest.mark.usefixtures("few_masks")
@pytest.mark.parametrize("method", ["occlusion", "kernel-shap", "lime", "gradient-shap", "guided-ig", "xrai"])
def test_other_methods_find_what_raises_a_value_and_what_lowers_it(method: str) -> None:
    for evidence, low, high in (("for", 0.0, 0.4), ("against", 0.5, 1.0)):
        options = ExplainOptions(methods=(method,), evidence=evidence)
        (found,) = Explainer(of(Redness(), "regression", ("redness",)), options)(scene())
        assert all(low < place < high for place in centre(found.maps[0].values)), evidence


def test_cam_of_a_value_sums_to_it() -> None:
    (found,) = Explainer(of(Redness(), "regression", ()), ExplainOptions(methods=("cam",)))(scene())
    assert found.maps[0].values.mean() == pytest.approx(found.maps[0].prediction.value, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"targets": "top:3"}, "2 values"),
        ({"targets": "predicted"}, "without an order"),
        ({"targets": "label"}, "without an order"),
        ({"targets": "1", "methods": "finercam"}, "finercam.*values"),
        ({"targets": "1", "multi_label": True}, "multi_label"),
        ({"targets": "7"}, "no class 7|There is"),
    ],
)
def test_what_makes_no_sense_with_values_is_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(CamxError, match=sentence):
        Explainer(of(Redness(2), "regression", ()), ExplainOptions(**options))  # type: ignore[arg-type]


def test_ordinal_steps_are_summed() -> None:
    (found,) = Explainer(of(Redness(2), "ordinal", ()))(scene())
    picture = torch.from_numpy(np.array(scene())).permute(2, 0, 1)[None] / 255
    expected = float(Redness(2)(picture).sigmoid().sum().detach())
    assert found.maps[0].prediction.value == pytest.approx(expected, rel=1e-5)


def test_a_folder_of_a_regression(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from tests.test_tasks import Redness, of\n\ndef build():\n    return of(Redness(), names=('redness',))\n"
    )
    (tmp_path / "photos").mkdir()
    scene().save(tmp_path / "photos" / "a.png")
    red_square(RED).save(tmp_path / "photos" / "b.png")
    out = tmp_path / "out"
    args = ["explain", str(tmp_path / "photos"), "-m", f"{tmp_path}/net.py:build", "-o", str(out), "-q", "-j", "1"]
    assert run([*args, "--task", "regression"]) == 0
    with (out / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert [row["target_name"] for row in rows] == ["redness", "redness"]
    assert all(row["top1_name"] == row["top1_prob"] == row["target_prob"] == row["correct"] == "" for row in rows)
    journal = {row["image"]: row for row in map(json.loads, (out / "manifest.jsonl").read_text().splitlines())}
    for cells in rows:
        of_map = journal[cells["image"]]["maps"][0]
        assert float(cells["target_value"]) == pytest.approx(of_map["target_value"], rel=1e-4)
    assert float(rows[1]["target_value"]) > float(rows[0]["target_value"])
    assert "top" not in journal["a.png"]
    with (out / "maps.csv").open() as file:
        assert all(row["target_value"] for row in csv.DictReader(file))
    assert run(["report", str(out)]) == 0
    assert run(["push", str(out), "--tensorboard"]) == 0
    assert run(["explain", *args[1:]]) == 2  # another task: another fingerprint


def made_with(task: str) -> dict[str, object]:
    """The record of a run with this task; of a classifier if it is empty."""
    fingerprint = {"command": "explain", "inputs": "/in", **({"task": task} if task else {})}
    return {"fingerprint": fingerprint, "state": "finished"}


@pytest.mark.parametrize(
    ("task", "has"), [("segmentation", "shares of pixels"), ("regression", "values"), ("detection", "scores of boxes")]
)
@pytest.mark.parametrize(
    "argv",
    [("audit", "OUT", "--by", "label"), ("compare", "OUT", "OUT"), ("export", "OUT", "--format", "csv"), ("patterns", "OUT")],
    ids=lambda argv: argv[0],
)  # fmt: skip
def test_readers_of_probabilities_refuse_rows_without_any(
    argv: tuple[str, ...], task: str, has: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "out", [row(label="cat", correct=True)], made_with(task))
    assert run([str(tmp_path / "out") if word == "OUT" else word for word in argv]) == 2
    assert f"has the task {task}: its rows have {has}" in " ".join(capsys.readouterr().err.split())


def test_the_page_of_a_segmentation_has_no_probabilities(tmp_path: Path) -> None:
    for task, shown in (("", [0.5]), ("segmentation", [None])):
        out = written(tmp_path / f"out{task}", [row(label="cat", correct=True)], made_with(task))
        build_report(str(out))
        parts = content(out / "report" / "index.html")["parts"]
        assert parts["rows-0"]["prob"] == shown


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("torchvision/r3d_18", "classifies clips"),
        ("raft_small", "motion between two images"),
        ("quantized_resnet18", "integers"),
    ],
)
def test_networks_that_cannot_be_served_are_refused_with_the_reason(
    name: str, reason: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scene().save(tmp_path / "a.png")
    assert run(["explain", str(tmp_path / "a.png"), "-m", name, "-o", str(tmp_path / "out")]) == 2
    assert reason in " ".join(capsys.readouterr().err.split())


def test_the_page_names_every_network_of_torchvision_with_its_kind() -> None:
    import torchvision

    from benchmarks.census.kinds import minor_version, with_section

    text = (Path(__file__).parents[1] / "docs" / "coverage.md").read_text("utf-8")
    if f"list_models()` of {minor_version()} has" not in text:
        pytest.skip(f"the page is of another torchvision than {minor_version()}")
    assert text == with_section(text), "python -m benchmarks.census.kinds"
    section = text.partition("## Every name of torchvision")[2]
    assert all(section.count(f"`{name}`") == 1 for name in torchvision.models.list_models())


def test_every_name_of_torchvision_is_served_or_refused_with_a_reason() -> None:
    import torchvision

    from cam_cli.models.libraries import other_kind
    from cam_cli.models.names import is_name

    for name in torchvision.models.list_models():
        assert is_name(f"torchvision/{name}") != bool(other_kind(name)), name


@pytest.mark.parametrize("name", ["kpcacam", "segeigencam", "sscam", "iscam", "refinecam"])
def test_of_a_value_a_method_is_its_definition(name: str) -> None:
    module, pictures = small(), batch(2, side=24)
    own = Network.of(module, image_size=24, mean=(0.5,) * 3, std=(0.5,) * 3, task="regression")
    engine = Explainer(own, ExplainOptions(methods=(name,), targets=("2",), layers=layers_of(name), device="cpu"))
    _, maps = engine.explain_tensor(pictures, torch.tensor([[2], [2]]))
    for image, found in enumerate(maps[name][:, 0].numpy()):
        layer = dataclasses.replace(engine.layer, name="first")
        assert_close(found, DEFINITIONS[name](Slow(module, pictures[image], layer, 2)))
