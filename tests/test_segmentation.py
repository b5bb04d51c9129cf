"""Segmentations: maps of the pixels predicted as a class."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate

from cam_cli.cams.engine.explainer import Explainer
from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.errors import CamxError
from cam_cli.outputs.drawing import overlay
from cli.main import run

from .task_networks import BLUE, SIDE, Colours, centre, network_of, scene


@pytest.mark.parametrize("form", ["tensor", "out", "softmax"])
def test_each_class_of_a_segmentation_is_found_where_it_is(form: str) -> None:
    explainer = Explainer(
        network_of(Colours(form), "auto" if form == "out" else "segmentation"),
        ExplainOptions(targets=("predicted", "red", "background")),
    )
    assert (explainer.task, explainer.layer.name) == ("segmentation", "last")
    (found,) = explainer(scene())
    # Ordered by area; the background comes last, although it is the largest.
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
    """Grad-CAM of the sum of a class's logits over the pixels predicted as it, with explicit loops."""
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
    explainer = Explainer(network_of(module, "segmentation"), ExplainOptions(targets=(index,)))
    picture = torch.from_numpy(np.array(scene())).permute(2, 0, 1)[None] / 255
    (found,) = explainer(picture)
    expected = slow_gradcam(module, picture, index).numpy()
    np.testing.assert_allclose(found.maps[0].values, expected, rtol=1e-4, atol=1e-4 * abs(expected).max())


def test_the_pixels_stay_those_of_the_image_where_a_method_changes_it() -> None:
    """Ablation-CAM sums the score over the pixels of the whole image: without a channel of the class there are none."""
    module = Colours()
    explainer = Explainer(
        network_of(module, "segmentation"), ExplainOptions(methods=("ablationcam",), targets=("red",))
    )
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
    explainer = Explainer(network_of(Colours(), "segmentation"), ExplainOptions(methods=(method,), targets=("red",)))
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
        Explainer(network_of(Colours(), "segmentation"), ExplainOptions(methods=(method,)))


def test_a_class_without_a_pixel_is_blank_with_a_reason() -> None:
    pixels = np.array(scene())
    pixels[BLUE] = 90
    explainer = Explainer(network_of(Colours(), "segmentation"), ExplainOptions(targets=("blue",)))
    (found,) = explainer(Image.fromarray(pixels))
    assert found.blank == "no pixel is predicted as 'blue'"
    assert not found.maps[0].values.any()


def test_one_logit_per_pixel_is_two_classes() -> None:
    module = Colours(classes=1)
    with pytest.raises(CamxError, match=r"segmentation, feature maps or images"):
        Explainer(network_of(module, names=()))
    explainer = Explainer(network_of(module, "segmentation", ("red",)))
    assert list(explainer.classes.names) == ["not red", "red"]
    (found,) = explainer(scene())
    assert {one.name: round(one.probability, 2) for one in found.ranking}["red"] == pytest.approx(0.1, abs=0.03)


class Wide(Colours):
    """Adds a fourth class that no pixel has."""

    def forward(self, x: Tensor) -> Tensor:
        found = super().forward(x)
        assert isinstance(found, Tensor)
        return torch.cat([found, found[:, :1] * 0 - 9], 1)


def test_a_map_of_the_size_of_the_images_with_other_channels_is_a_segmentation() -> None:
    assert Explainer(network_of(Wide(), names=())).task == "segmentation"


class Features(nn.Module):
    """Returns feature maps; has no head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4), nn.Conv2d(8, 8, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Repainted(nn.Module):
    """Returns an image."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


@pytest.mark.parametrize("module", [Features, Repainted, lambda: Colours("small")])
def test_maps_that_may_be_no_classes_need_a_task(module: type[nn.Module]) -> None:
    with pytest.raises(CamxError, match=r"the scores of a segmentation, feature maps or images") as error:
        Explainer(network_of(module(), names=()))
    assert "task=segmentation" in str(error.value)


def test_a_segmentation_is_no_classifier_and_a_classifier_no_segmentation() -> None:
    with pytest.raises(CamxError, match=r"not one score per image and class"):
        Explainer(network_of(Colours(), "classification"))
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    assert Explainer(network_of(plain)).task == "classification"
    with pytest.raises(CamxError, match=r"task=segmentation.*no scores of images"):
        Explainer(network_of(plain, "segmentation"))
    with pytest.raises(CamxError, match=r"2 tensors that could be scores per pixel"):
        Explainer(network_of(Colours("pair"), "segmentation"))


def test_a_folder_of_a_segmentation(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from tests.task_networks import Colours, network_of\n\ndef build():\n    return network_of(Colours('out'))\n"
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
    explainer = Explainer(network_of(Colours(), "segmentation"), ExplainOptions(targets=("red",)))
    (found,) = explainer(scene().resize((256, 256), Image.Resampling.NEAREST))
    drawn = np.asarray(overlay(found))
    white = (drawn == 255).all(2)
    ys, xs = white.nonzero()
    assert 10 < xs.min() < 40
    assert 80 < xs.max() < 120
    assert 5 < ys.min() < 32
    assert 70 < ys.max() < 112
