"""Detectors: the boxes are those of the network, in pixels of the upright image, and each box has its own map."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cam_cli.cams.engine import boxes
from cam_cli.cams.engine.explainer import Explainer
from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.cams.methods import perturbation
from cam_cli.cams.tracing.detections import BoxScores, Detections, detections_of
from cam_cli.errors import CamxError
from cam_cli.images.annotations.shapes import Bitmap
from cam_cli.maps.explanation import Explanation
from cam_cli.models.catalog import load_model
from cam_cli.models.libraries import detection_names
from cam_cli.models.network import Network
from cam_cli.models.options import ModelSpec
from cam_cli.outputs.drawing import heatmap, overlay
from cli.main import run
from tools.tiny_detector import build, named, scene

#: First seed; the training used others.
FIRST = 3_000_000
LEAST = 0.3


def explained(image: Image.Image, **options: Any) -> Explanation:
    (found,) = Explainer(named(), ExplainOptions(**{"methods": "hirescam", "threshold": LEAST, **options}))([image])
    return found


def by_the_network(image: Image.Image) -> dict[str, np.ndarray]:
    with torch.no_grad():
        (found,) = build()([torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255])
    kept = found["scores"] >= LEAST
    return {name: value[kept].numpy() for name, value in found.items()}


@pytest.mark.parametrize("size", [(160, 160), (133, 97), (61, 140)])
def test_the_boxes_are_those_of_the_network_itself(size: tuple[int, int]) -> None:
    image = scene(FIRST + 1, 2).image.resize(size)
    found, own = explained(image, max_boxes=99), by_the_network(image)
    assert len(own["scores"]) > 0
    assert [one.prediction.index for one in found.maps] == own["labels"].tolist()
    assert [one.prediction.probability for one in found.maps] == pytest.approx(own["scores"].tolist(), abs=1e-6)
    edges = np.array([one.found.edges for one in found.maps if one.found])
    assert edges == pytest.approx(own["boxes"], abs=1e-3)
    assert found.boxes == len(edges)
    assert (found.picture.width, found.picture.height) == size


def test_a_batch_of_images_of_several_sizes_is_each_of_them() -> None:
    images = [scene(FIRST + n, 2).image.resize(size) for n, size in enumerate([(160, 160), (160, 160), (133, 97)])]
    together = Explainer(named(), ExplainOptions(methods=("hirescam",), threshold=LEAST))(images)
    for one, image in zip(together, images):
        alone = explained(image)
        assert len(one.maps) == len(alone.maps) > 0
        for a, b in zip(one.maps, alone.maps):
            assert a.found is not None
            assert b.found is not None
            assert a.found.edges == pytest.approx(b.found.edges, abs=1e-2)
            assert a.values == pytest.approx(b.values, abs=1e-3 * float(np.abs(b.values).max()))


def test_the_score_is_the_logit_and_passes_gradients_on() -> None:
    logits = torch.tensor([2.0, -1.0, 0.5], requires_grad=True)
    (one,) = detections_of([{"boxes": torch.zeros(3, 4), "labels": torch.arange(3), "scores": logits.sigmoid()}])
    assert one.labels.tolist() == [0, 2, 1]
    assert one.log_odds.tolist() == pytest.approx([2.0, 0.5, -1.0], abs=1e-5)
    (gradient,) = torch.autograd.grad(one.log_odds[1], logits)
    assert gradient.tolist() == pytest.approx([0, 0, 1], abs=1e-5)
    # A score of 1 to the last bit has finite odds.
    sure = Detections(torch.zeros(1, 4), torch.zeros(1).long(), torch.ones(1))
    assert 15 < float(sure.log_odds) < 20


def test_the_detector_is_left_as_it_was_found() -> None:
    network = build()
    before = network.score_thresh
    with torch.no_grad():
        scores = BoxScores(0.0)
        scores.scores_of(network, torch.rand(1, 3, 64, 64))
        assert len(scores.found[0].scores) > len(detections_of(network([torch.rand(3, 64, 64)]))[0].scores)
        with pytest.raises(ValueError, match="3d tensors"):
            scores.scores_of(network, torch.rand(1, 2, 3, 64, 64))
    assert network.score_thresh == before


def test_a_map_covers_the_image_and_not_what_pads_it() -> None:
    values = torch.zeros(4, 4)
    values[1, 1] = 1
    # The image is the upper left quarter of the input: four cells.
    found = boxes._of_image(values, (2.0, 2.0))
    assert found.shape == (2, 2)
    assert found.flatten().tolist() == pytest.approx([0, 0, 0, 1], abs=1e-5)
    assert boxes._of_image(values, (1.0, 1.0)) is values


class Returns(torch.nn.Module):
    """A detector that returns two boxes of each image, with these scores: of dark images, 0.6 and 0.55."""

    def __init__(self, scores: list[float], edge: float = 40.0) -> None:
        super().__init__()
        self.wanted, self.edge = scores, edge
        self.maps = torch.nn.Conv2d(3, 4, 3, 8, 1)

    def forward(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        found = []
        for image in images:
            own = self.maps(image[None]).mean() * 1e-6
            bright = bool(image.mean() > 0.3)
            scores = torch.tensor(self.wanted if bright else [0.6, 0.55]) + own
            boxes = torch.tensor([[4.0, 4.0, self.edge if bright else 40.0, 40.0], [8.0, 8.0, 30.0, 30.0]])
            found.append({"boxes": boxes, "labels": torch.tensor([1, 2]), "scores": scores})
        return found


@pytest.mark.parametrize(
    ("scores", "edge", "problem"),
    [
        ([float("nan"), 0.9], 40.0, "the network returned NaN or infinite boxes or scores"),
        ([0.9, 0.8], float("inf"), "the network returned NaN or infinite boxes or scores"),
        ([0.9, 3.75], 40.0, "the network returned a box with a score of 3.75, and scores lie in [0, 1]"),
        ([0.9, -0.5], 40.0, "the network returned a box with a score of -0.5, and scores lie in [0, 1]"),
    ],
)
def test_boxes_that_are_no_numbers_fail_their_image_alone(scores: list[float], edge: float, problem: str) -> None:
    network = Network.of(Returns(scores, edge).eval(), image_size=64, mean=(0.0,) * 3, std=(1.0,) * 3)
    images = [Image.new("RGB", (64, 64), colour) for colour in ("black", "white")]
    dark, bright = Explainer(network, ExplainOptions(methods=("hirescam",), layers=("maps",)))(images)
    assert (bright.problem, bright.maps) == (problem, ())
    assert dark.problem == ""
    assert [one.prediction.probability for one in dark.maps] == pytest.approx([0.6, 0.55], abs=1e-4)


def matching(found: Explanation, drawn: Any) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each box that is right: the heatmap of its map, the mask of the object, and its pixels."""
    pairs = []
    for place, one in enumerate(found.maps):
        assert one.found is not None
        own = torch.tensor([one.found.edges])
        for thing in drawn.objects:
            if thing.index == one.prediction.index and thing.mask.any():
                truth = Detections(torch.tensor([Bitmap(thing.mask).bounds()]), torch.zeros(1).long(), torch.ones(1))
                if Detections(own, torch.zeros(1).long(), torch.ones(1)).similarity(truth) >= 0.5:
                    pairs.append((heatmap(found, place), thing.mask, np.array(one.found.edges)))
    return pairs


def test_a_map_lies_on_the_object_of_its_box_and_not_on_the_other_one() -> None:
    explainer = Explainer(named(), ExplainOptions(methods=("hirescam",), threshold=LEAST))
    inside, shares = [], []
    for number in range(12):
        drawn = scene(FIRST + number, 2)
        for heat, mask, (left, top, right, bottom) in matching(explainer([drawn.image])[0], drawn):
            y, x = np.unravel_index(heat.argmax(), heat.shape)
            inside.append(left - 8 <= x <= right + 8 and top - 8 <= y <= bottom + 8)
            shares.append(heat[mask].sum() / heat.sum() / mask.mean())
    assert len(inside) >= 8
    assert np.mean(inside) >= 0.9
    # Several times as much heat as on the mean pixel.
    assert np.mean(shares) > 3


@pytest.mark.long
def test_drise_finds_the_box_without_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perturbation, "MASKS", 300)
    drawn = scene(FIRST + 1, 2)
    found = explained(drawn.image, methods="rise", max_boxes=1)
    for place, one in enumerate(found.maps):
        assert one.found is not None
        left, top, right, bottom = map(int, one.found.edges)
        heat = np.maximum(one.values, 0)
        inside = heat[top:bottom, left:right].mean()
        assert inside > 1.2 * heat.mean(), place
        assert (one.layer, one.values.shape) == ("input", (160, 160))


def test_boxes_are_alike_by_overlap_and_class() -> None:
    own = Detections(torch.tensor([[0, 0, 10, 10.0]]), torch.tensor([1]), torch.tensor([0.9]))
    others = Detections(
        torch.tensor([[0, 0, 10, 10], [0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 20, 20.0]]),
        torch.tensor([1, 2, 1, 1]),
        torch.tensor([0.5, 0.5, 1.0, 1.0]),
    )
    assert own.similarity(others)[0].tolist() == pytest.approx([0.5, 0, 1 / 3, 0])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scene of two objects as it is and turned by its EXIF data, and a grey image without an object."""
    (tmp_path / "net.py").write_text("from tools.tiny_detector import named as build\n")
    (tmp_path / "photos").mkdir()
    image = scene(FIRST + 1, 2).image.resize((150, 130))
    image.save(tmp_path / "photos" / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "photos" / "b.png", exif=exif)
    Image.new("RGB", (90, 70), (90, 90, 90)).save(tmp_path / "photos" / "c.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*more: str, out: str = "out") -> int:
    return run(
        ["explain", "photos", "-m", "net.py:build", "-o", out, "-q", "-j", "1", "--threshold", str(LEAST), *more]
    )


def rows_of(out: Path) -> dict[str, Any]:
    return {row["image"]: row for row in map(json.loads, (out / "manifest.jsonl").read_text().splitlines())}


def test_a_folder_of_a_detector(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "labels.csv").write_text("image,label\na.png,tree\nb.png,boat\nc.png,tree\n")
    assert call("--labels", "labels.csv", "--save", "overlay,heatmap,array") == 0
    found = rows_of(folder / "out")
    a, b, c = (found[name] for name in ("a.png", "b.png", "c.png"))
    # The turned photo has the same boxes, in pixels of the upright image.
    assert (b["width"], b["height"]) == (150, 130)
    assert [one["found"] for one in a["maps"]] == [one["found"] for one in b["maps"]]
    assert [one["method"] for one in a["maps"]] == ["hirescam"] * len(a["maps"])
    assert (a["correct"], b["correct"], b["label_prob"]) == (True, False, 0)
    best = [one["target_prob"] for one in a["maps"]]
    assert best == sorted(best, reverse=True)
    assert (a["top"][0]["name"], a["top"][0]["prob"]) == (a["maps"][0]["target_name"], best[0])
    assert len({one["overlay"] for one in a["maps"]}) == len(a["maps"]) > 1
    assert all((folder / "out" / one[kind]).exists() for one in a["maps"] for kind in ("overlay", "heatmap", "array"))
    with (folder / "out" / "predictions.csv").open() as file:
        assert [row["boxes"] for row in csv.DictReader(file)] == [str(row["boxes"]) for row in (a, b, c)]
    with (folder / "out" / "maps.csv").open() as file:
        table = [row for row in csv.DictReader(file) if row["image"] == "a.png"]
    edges = [[float(row[f"found_{side}"]) for side in ("left", "top", "right", "bottom")] for row in table]
    assert edges == [one["found"]["edges"] for one in a["maps"]]
    assert [int(row["found"]) for row in table] == list(range(len(table)))
    before = (folder / "out" / "manifest.jsonl").read_bytes()
    assert call("--labels", "labels.csv", "--save", "overlay,heatmap,array") == 0
    assert (folder / "out" / "manifest.jsonl").read_bytes() == before
    assert call("--labels", "labels.csv", "--save", "overlay,heatmap,array", "--max-boxes", "1") == 2
    assert "max_boxes" in capsys.readouterr().err


def test_an_image_without_a_box_is_blank_with_a_reason(folder: Path) -> None:
    assert run(["explain", "photos", "-m", "net.py:build", "-o", "out", "-q", "-j", "1", "--threshold", "0.97"]) == 0
    for row in rows_of(folder / "out").values():
        assert (row["status"], row["error"]) == ("blank", "no box has a score of 0.97 or more")
        assert (row["boxes"], row["maps"], row["top"]) == (0, [], [])


def test_boxes_are_chosen_by_class_and_number(folder: Path) -> None:
    assert call("--max-boxes", "1", out="one") == 0
    assert call("--target", "dog", "--target", "boat", out="dogs") == 0
    one, dogs = rows_of(folder / "one")["a.png"], rows_of(folder / "dogs")["a.png"]
    assert len(one["maps"]) == 1
    assert one["boxes"] == dogs["boxes"] > 1
    assert {each["target_name"] for each in dogs["maps"]} == {"dog"}
    assert call("--target", "boat", out="boats") == 0
    assert rows_of(folder / "boats")["a.png"]["error"] == "no box of 'boat' has a score of 0.3 or more"


def test_the_target_label_takes_boxes_of_the_label_and_says_why_there_are_none(folder: Path) -> None:
    (folder / "labels.csv").write_text("image,label\na.png,boat\nb.png,unicorn\n")
    words = ("--labels", "labels.csv", "--target", "label", "--max-failures", "2")
    assert call(*words) == 0
    found = {name: (row["status"], row["error"]) for name, row in rows_of(folder / "out").items()}
    assert found == {
        "a.png": ("blank", "no box of 'boat' has a score of 0.3 or more"),
        "b.png": ("failed", "its label 'unicorn' is no class of the model"),
        "c.png": ("failed", "it has no label to explain"),
    }


def test_a_size_of_its_own_puts_the_boxes_back(folder: Path) -> None:
    """Padded or squashed to one size, the boxes lie near those of the whole image."""
    assert call("--max-boxes", "1", out="whole") == 0
    whole = np.array(rows_of(folder / "whole")["a.png"]["maps"][0]["found"]["edges"])
    for mode in ("squash", "border"):
        assert call("--max-boxes", "1", "--image-size", "160", "--crop-mode", mode, out=mode) == 0
        edges = np.array(rows_of(folder / mode)["a.png"]["maps"][0]["found"]["edges"])
        assert np.abs(edges - whole).max() < 15, mode


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"methods": "scorecam"}, "a detector, which has a score per box"),
        ({"smooth": "flip"}, "another view has other boxes"),
        ({"targets": "top:3"}, "max_boxes"),
        ({"targets": "boot"}, "no class 'boot'"),
        ({"backend": "compile"}, "each at its own"),
        ({"multi_label": True}, "multi_label"),
        ({"layers": "backbone.bodi"}, "backbone.body"),
    ],
)
def test_what_makes_no_sense_with_boxes_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CamxError, match=sentence):
        Explainer(named(), ExplainOptions(**{"methods": "hirescam", **options}))


def test_commands_that_need_one_score_per_image_refuse_a_detector(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", "photos", "-m", "net.py:build", "-o", "e"]) == 2
    assert "detection" in capsys.readouterr().err
    assert call("--decode", "device") == 2
    assert "at its own size" in " ".join(capsys.readouterr().err.split())


def test_the_levels_of_the_pyramid_are_one_layer_in_what_commands_print(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    explain = ["explain", "photos", "-m", "net.py:build", "-o", "out", "-j", "1"]
    assert run([*explain, "--dry-run"]) == 0
    assert "layer backbone (4 levels) (20×20" in capsys.readouterr().out
    assert run(explain) == 0
    assert " ".join(capsys.readouterr().err.split()).count("backbone (4 levels)") == 1
    assert json.loads((folder / "out" / "run.json").read_text())["fingerprint"]["layer"] == "backbone"
    assert run(["layers", "net.py:build"]) == 0
    first, *table = capsys.readouterr().out.splitlines()
    assert first.startswith("→ backbone (4 levels): the last dictionary of maps that a module returns")
    assert [line.split()[1] for line in table if line.startswith("→")] == ["backbone"] * 4
    assert {line.split()[5] for line in table if line.startswith("→")} == {"20×20", "10×10", "5×5", "3×3"}
    assert run(["methods", "net.py:build"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.count(", 32 channels, NCHW") for line in lines if line.startswith("→")] == [4]
    # RISE runs once for all levels.
    assert [line.split()[:2] for line in lines if "random masks on the image" in line] == [["rise", "1001"]]


def test_drise_runs_once_for_all_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perturbation, "MASKS", 30)
    network, seen = named(), list[int]()
    explainer = Explainer(network, ExplainOptions(methods="rise", threshold=LEAST, max_boxes=2))
    assert len(explainer.layers) == 4
    network.module.register_forward_pre_hook(lambda _module, inputs: seen.append(len(inputs[0])))
    explainer([scene(FIRST + 1, 2).image])
    assert sum(seen) == 1 + 30


def test_a_classifier_is_no_detector(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = ["test_resnet", "--task", "detection"]
    for argv in (["explain", "photos", "--no-pretrained", "-o", "out", "-m", *network], ["methods", *network]):
        assert run(argv) == 2
        assert "The network returns no boxes: --task detection needs" in " ".join(capsys.readouterr().err.split())


def test_any_module_with_maps_can_be_the_layer() -> None:
    (found,) = Explainer(
        named(), ExplainOptions(methods=("hirescam",), layers=("backbone.body.middle",), threshold=LEAST)
    )([scene(FIRST + 1, 2).image])
    assert found.maps[0].values.shape == (10, 10)
    assert found.maps[0].layer == "backbone.body.middle"


def test_the_box_is_drawn() -> None:
    found = explained(scene(FIRST + 1, 2).image, max_boxes=1)
    (one,) = found.maps
    assert one.found is not None
    left, top, right, bottom = (round(edge) for edge in one.found.edges)
    drawn = np.asarray(overlay(found))
    assert (drawn[top, left + 3 : right - 3] == 255).all()
    assert (drawn[top + 3 : bottom - 3, left] == 255).all()


FAST = ("ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_320_fpn")


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in detection_names()]
)
def test_every_detector_of_torchvision_is_explained(name: str) -> None:
    """With random weights and boxes of tiny scores: each box gets a finite map from the pyramid."""
    size = {} if name.startswith("ssd") else {"min_size": 96, "max_size": 128}
    network = load_model(ModelSpec(f"torchvision/{name}", pretrained=False, args=size))
    explainer = Explainer(network, ExplainOptions(methods=("hirescam",), threshold=1e-6, max_boxes=2))
    assert explainer.task == "detection"
    assert {layer.name for layer in explainer.layers} == {"backbone"}
    (found,) = explainer([scene(FIRST + 1, 2).image.resize((120, 90))])
    assert len(found.maps) == 2
    assert all(np.isfinite(one.values).all() for one in found.maps)
    assert any(one.values.any() for one in found.maps)
