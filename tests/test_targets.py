"""Targets of explanations: classes, labels, evidence, several maps of one image, and their rows and files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from cam_cli.cams.engine.explainer import Explainer
from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.cams.engine.predictions import Scores
from cam_cli.cams.engine.targets import Target, as_columns, target_classes
from cam_cli.cams.target_layer.choose import choose_layer
from cam_cli.cams.tracing.classifier import find_classifier
from cam_cli.cams.tracing.trace import trace
from cam_cli.errors import CamxError
from cam_cli.images.geometry import Frame
from cam_cli.maps.heatmap import normalised
from cam_cli.outputs.drawing import Drawing, draw_overlay
from cam_cli.outputs.options import Rendering

from .conftest import TINY
from .networks import InPlaceNet, RedDetector, network, seeded
from .test_engine import batch, shown
from .test_explain import journal, table

Camx = Callable[..., int]


def test_targets_are_joined_and_named_once() -> None:
    scores = Scores.of(torch.tensor([[1.0, 3.0, 2.0, 0.0], [9.0, 0.0, 1.0, 2.0]]))
    targets = (Target("top", 2), Target("label"), Target("class", name="3"), Target())
    assert target_classes([targets] * 2, scores, [2, None]) == [[1, 2, 3], [0, 3]]
    assert as_columns([[1, 2, 3], [0, 3]], torch.zeros(1, dtype=torch.long)).tolist() == [[1, 2, 3], [0, 3, 0]]


def test_several_labels_are_those_from_the_threshold_on() -> None:
    logits = torch.tensor([[0.1, 3.0, -2.0, 1.0], [-3.0, -1.0, -2.0, -4.0]])
    scores = Scores.of(logits, 0.7, several_labels=True)
    assert torch.allclose(scores.probabilities, logits.sigmoid())
    assert target_classes([(Target(),)] * 2, scores, [None, None]) == [[1, 3], [1]], (
        "the best one where none reaches it"
    )


def test_an_image_has_a_map_for_each_of_its_labels() -> None:
    module = seeded(InPlaceNet)
    with torch.no_grad():
        module.fc.bias.copy_(torch.tensor([3.0, -3.0, 2.0, -3.0, -3.0]))  # type: ignore[union-attr, operator]
    options = ExplainOptions(multi_label=True, threshold=0.6, device="cpu")
    for explanation in Explainer(network(module), options).explain(shown(3)):
        assert [m.prediction.index for m in explanation.maps] == [0, 2]
        assert all(m.prediction.probability >= 0.6 for m in explanation.maps)
        assert sum(p.probability for p in explanation.ranking) != pytest.approx(1.0, abs=1e-3)


class OneLogit(nn.Module):
    """RedDetector with one score: red less blue."""

    num_classes = 1

    def __init__(self) -> None:
        super().__init__()
        self.of = RedDetector()
        self.fc = nn.Linear(2, 1)
        with torch.no_grad():
            self.fc.weight.copy_(torch.tensor([[40.0, -40.0]]))
            self.fc.bias.fill_(0.5)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.of.act(self.of.colours(pictures)).mean((2, 3)))


@pytest.mark.parametrize("multi_label", [False, True])
def test_one_logit_is_two_classes(*, multi_label: bool) -> None:
    red, blue = (Image.new("RGB", (64, 64), colour) for colour in ("red", "blue"))
    red.paste("blue", (0, 0, 8, 64))
    module = OneLogit().eval()
    options = ExplainOptions(("gradcam", "cam"), (Target("top", 2),), multi_label=multi_label, device="cpu")
    explainer = Explainer(network(module, names=("red",)), options)
    first, second = explainer([red, blue])
    assert [p.name for p in first.ranking] == ["red", "not red"]
    assert [p.name for p in second.ranking] == ["not red", "red"]
    logit = module(torch.cat([trace_input(explainer, red), trace_input(explainer, blue)])).detach().sigmoid().flatten()
    assert first.ranking[0].probability == pytest.approx(float(logit[0]), abs=1e-5)
    assert second.ranking[0].probability == pytest.approx(1 - float(logit[1]), abs=1e-5)
    for positive, negative in (first.maps[:2], first.maps[2:]):
        assert np.allclose(positive.values, -negative.values)
        assert positive.values[:, 4:].min() > 0 > positive.values[:, 0].max()


def trace_input(explainer: Explainer, image: Image.Image) -> Tensor:
    return (torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None] / 255 - 0.5) / 0.5


def test_the_one_row_of_a_classifier_is_that_of_two_classes() -> None:
    module = OneLogit().eval()
    layer = choose_layer(module, (64, 64))
    plain = trace(module, batch(), layer)
    assert plain.one_logit
    assert plain.logits.shape == (3, 2)
    head = find_classifier(module, plain.features, plain.logits)
    assert torch.allclose(head.logits(plain.features), plain.logits, atol=1e-5)


def test_two_names_or_one_fit_a_head_with_one_logit() -> None:
    for names, expected in ((("a", "b"), ["b", "a"]), (("b",), ["b", "not b"]), ((), ["1", "0"])):
        explanation = Explainer(network(OneLogit().eval(), names=names))([Image.new("RGB", (64, 64), "red")])
        assert [p.name for p in explanation[0].ranking] == expected
    with pytest.raises(CamxError, match="names 3 classes, but the model has 2"):
        Explainer(network(OneLogit().eval(), names=("a", "b", "c")))


def test_a_map_of_both_kinds_of_evidence_has_two_colours() -> None:
    """Red for positive values, blue for negative ones, the image itself for zeros."""
    values = np.zeros((4, 4), dtype=np.float32)
    values[0, 0], values[3, 3] = 4.0, -8.0
    heat = normalised(values, two_sided=True)
    assert heat is not None
    assert (heat[0, 0], heat[3, 3], heat[0, 3]) == (0.5, -1.0, 0.0)
    canvas = np.full((64, 64, 3), 90, dtype=np.uint8)
    overlay = np.asarray(draw_overlay(Drawing(canvas, heat, values, Frame(0, 0, 64, 64), two_sided=True), Rendering()))
    red, blue, none = overlay[8, 8].astype(int), overlay[56, 56].astype(int), overlay[8, 56].astype(int)
    assert red[0] > red[2] + 20
    assert blue[2] > blue[0] + 20
    assert np.abs(none - 90).max() <= 4


def test_evidence_of_both_kinds_is_measured_by_its_strength(camx: Camx, images: Path) -> None:
    common = ("explain", images / "cat" / "0.jpg", *TINY, "--layer", "layer3", "--target", 5)
    assert camx(*common, "--evidence", "both", "--save", "overlay,array,heatmap") == 0
    (row,) = journal()
    (shown_map,) = row["maps"]
    raw = np.load(Path("camx-out") / shown_map["array"])
    assert raw.min() < 0 < raw.max()
    assert shown_map["peak"] == pytest.approx(float(raw.flat[np.abs(raw).argmax()]))
    assert 0 < shown_map["area"] <= 1
    with Image.open(Path("camx-out") / shown_map["heatmap"]) as heatmap:
        levels = np.asarray(heatmap)
    assert levels.min() < 128 < levels.max()
    assert camx(*common, "-o", "plain", "--save", "array") == 0
    plain = np.load(Path("plain") / journal(Path("plain"))[0]["maps"][0]["array"])
    assert np.allclose(raw, plain, atol=1e-6), "Grad-CAM is odd in the score"


def test_a_map_that_is_zero_is_blank_and_not_stretched() -> None:
    """Filters that sum to zero do not respond to an even image: every feature is exactly zero behind its ReLU."""

    class Edges(nn.Module):
        num_classes = 2

        def __init__(self) -> None:
            super().__init__()
            self.maps = nn.Conv2d(3, 4, 8, 8)
            with torch.no_grad():
                self.maps.weight -= self.maps.weight.mean((1, 2, 3), keepdim=True)
                self.maps.bias.fill_(-0.01)
            self.relu = nn.ReLU()
            self.fc = nn.Linear(4, 2)

        def forward(self, pictures: Tensor) -> Tensor:
            return self.fc(self.relu(self.maps(pictures)).mean((2, 3)))

    explainer = Explainer(network(seeded(Edges)), ExplainOptions(("gradcam", "layercam", "eigencam"), device="cpu"))
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    even, uneven = explainer([Image.fromarray(np.full((64, 64, 3), 127, np.uint8)), Image.fromarray(noise)])
    assert [normalised(shown.values) for shown in even.maps] == [None] * 3
    assert any(normalised(shown.values) is not None for shown in uneven.maps)


def test_several_targets_layers_and_methods_stand_in_one_row(camx: Camx, images: Path) -> None:
    argv = "--target 3 --target top:2 --target 3 --method layercam --method saliency --method dff --layer layer3 --layer layer4"
    assert camx("explain", images / "cat" / "0.jpg", *TINY, *argv.split()) == 0
    (row,) = journal()
    best = [p["index"] for p in row["top"]]
    classes = list(dict.fromkeys([3, best[0], best[1]]))
    assert [(m["method"], m["target_index"]) for m in row["maps"][:-4]] == [
        (name, c) for name in ("layercam", "saliency") for c in classes
    ]
    concepts = row["maps"][-4:]
    assert [m["concept"] for m in concepts] == [1, 2, 3, 4]
    for m in concepts:
        assert m["overlay"] == f"overlays/0.jpg.dff-{m['concept']}.{m['target_index']}.png"
        assert m["concept_classes"][0]["index"] == m["target_index"]
    assert {m["layer"] for m in row["maps"]} == {"layer3+layer4", "input"}
    assert set(row["maps"][0]["energies"]) == {"layer3", "layer4"}
    assert "energies" not in row["maps"][3]
    assert len({m["overlay"] for m in row["maps"]}) == len(row["maps"])
    (line,) = table()
    assert (line["method"], line["layer"], line["target_index"]) == ("layercam", "layer3+layer4", "3")


@pytest.mark.parametrize(
    "argv",
    [
        "--evidence against",
        "--smooth flip",
        "--seed 5",
        "--layer layer3",
        "--target 3",
        "--method layercam",
        "--multi-label",
    ],
)
def test_results_of_other_options_are_not_mixed(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str], argv: str
) -> None:
    checkpoint = ("--model", "test_resnet", "--no-pretrained", "--device", "cpu")
    assert camx("explain", images / "cat" / "0.jpg", *checkpoint) == 0
    assert camx("explain", images / "cat" / "0.jpg", *checkpoint, *argv.split()) == 2
    assert "holds results of another run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("--method legrad", "no sequence of tokens"),
        ("--method guided-backprop --model test_convnext", "has no ReLU"),
        ("--evidence sideways", "--evidence 'sideways' is unknown. Give one of for, against, both"),
        ("--evidence both --method fem", "do not separate evidence for a class"),
        ("--smooth flop", "Did you mean flip?"),
        ("--smooth flip --method dff", "the concepts of dff differ between views"),
        ("--multi-label --threshold 1.5", "--threshold 1.5 must be above 0 and below 1"),
        ("--threshold 0", "--threshold 0 must be above 0 and below 1"),
        ("--method cam --layer layer3 --layer layer4", "reads one layer"),
    ],
)
def test_what_cannot_be_explained_is_refused_before_the_run(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str], argv: str, words: str
) -> None:
    assert camx("explain", images, *TINY, *argv.split()) == 2
    assert words in capsys.readouterr().err
    assert not Path("camx-out/manifest.jsonl").exists()


def test_the_record_of_a_run_names_what_was_explained(camx: Camx, images: Path) -> None:
    argv = "--layer layer3 --layer layer4 --evidence both --smooth flip --seed 7"
    assert camx("explain", images / "cat" / "0.jpg", *TINY, *argv.split()) == 0
    record: dict[str, Any] = json.loads(Path("camx-out/run.json").read_text())
    made = record["fingerprint"]
    assert (made["layers"], made["evidence"], made["smooth"], made["seed"]) == (["layer3", "layer4"], "both", "flip", 7)


def test_progress_is_reported_within_an_image(camx: Camx, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cam_cli.cams.tracing import replay
    from cam_cli.pipeline import loop
    from cli.terminal import Reporter

    steps: list[tuple[int, int]] = []

    def advanced(_self: Reporter, progress: Any) -> None:
        if progress.steps:
            steps.append(progress.steps)

    monkeypatch.setattr(Reporter, "advanced", advanced)
    monkeypatch.setattr(replay, "BUDGET", 10 * 3 * 160 * 160 * 4 * 32)
    monkeypatch.setattr(loop, "_TICK", 0.001)
    assert camx("explain", images / "cat" / "0.jpg", *TINY, "--method", "scorecam") == 0
    assert steps
    assert all(done < total for done, total in steps)
