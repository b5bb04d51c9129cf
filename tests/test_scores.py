"""Class scores: their place in the output, their kind (logits or probabilities) and their precision."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cam_cli import CamxError, Explainer, ExplainOptions, Network
from cam_cli.cams.target_layer.choose import choose_layer
from cam_cli.cams.tracing.scored_network import ScoredNetwork, scored_network
from cam_cli.maps.explanation import Explanation

from .odd_networks import Answer, Output, Pair, Small
from .test_variants import SIDE, built, own

Camx = Callable[..., int]
PICTURES = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5))
METHODS = ("gradcam", "gradcam++", "cam", "ablationcam", "reciprocam", "saliency")


def explained(network: Network, **options: Any) -> list[Explanation]:
    return Explainer(network, ExplainOptions(**{"methods": METHODS, "device": "cpu", **options}))(PICTURES)


def same(ours: list[Explanation], expected: list[Explanation], atol: float = 1e-5) -> None:
    for one, other in zip(ours, expected, strict=True):
        assert [p.index for p in one.ranking] == [p.index for p in other.ranking]
        assert [p.probability for p in one.ranking] == pytest.approx([p.probability for p in other.ranking], abs=atol)
        for ours_map, their_map in zip(one.maps, other.maps, strict=True):
            scale = float(np.abs(their_map.values).max())
            np.testing.assert_allclose(ours_map.values, their_map.values, atol=max(atol, 1e-3) * scale)


def softmax_by_hand(_maps: Tensor, scores: Tensor) -> Tensor:
    return scores.exp() / scores.exp().sum(1, keepdim=True)


#: Ends of a network whose scores are probabilities; camx explains all alike.
SHARES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "softmax": lambda maps, s: s.softmax(1),
    "softmax of torch": lambda maps, s: torch.softmax(s, -1),
    "softmax module": lambda maps, s: nn.Softmax(dim=1)(s),
    "log-softmax": lambda maps, s: s.log_softmax(1),
    "softmax of a longer tensor": lambda maps, s: s[:, :, None, None].softmax(1)[:, :, 0, 0],
    "softmax of a flat tensor": lambda maps, s: s[:, :, None, None].softmax(1).flatten(1),
}


@pytest.mark.parametrize("name", SHARES)
def test_a_softmax_at_the_end_is_not_applied_twice(name: str) -> None:
    same(explained(own(built(lambda: Output(SHARES[name])))), explained(own(built(Small))))


def test_a_softmax_by_hand_is_known_by_its_values() -> None:
    (found,) = explained(own(built(lambda: Output(softmax_by_hand))), methods=("gradcam",))[:1]
    (expected,) = explained(own(built(Small)), methods=("gradcam",))[:1]
    assert found.ranking[0].probability == pytest.approx(expected.ranking[0].probability, abs=1e-5)


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_sigmoid_at_the_end_gives_each_class_its_own_probability(*, multi_label: bool) -> None:
    module = built(lambda: Output(lambda maps, s: s.sigmoid()))
    found = explained(own(module), multi_label=multi_label)
    same(found, explained(own(built(Small)), multi_label=True) if multi_label else found)
    with torch.no_grad():
        expected = module(PICTURES)
    for row, explanation in zip(expected, found):
        for prediction in explanation.ranking:
            assert prediction.probability == pytest.approx(float(row[prediction.index]), abs=1e-6)
        assert multi_label or len({m.prediction.index for m in explanation.maps}) == 1


@pytest.mark.parametrize(
    "end",
    [
        lambda maps, s: s.sigmoid(),
        lambda maps, s: s.sigmoid().squeeze(1),
        lambda maps, s: torch.sigmoid(s)[:, 0],
        lambda maps, s: s.squeeze(),
        lambda maps, s: s,
    ],
)
def test_one_sigmoid_is_two_classes(end: Callable[[Tensor, Tensor], Tensor]) -> None:
    """0.1.0 applied a softmax to a sigmoid of 0.046: class 1 with 0.511 for any image."""
    module = built(lambda: Output(end, classes=1))
    with torch.no_grad():
        module.fc.bias.fill_(math.log(0.046 / 0.954))  # type: ignore[union-attr, operator]
        logit = Small.forward(module, PICTURES).flatten()  # type: ignore[arg-type]
    for explanation, one in zip(explained(own(module)), logit.sigmoid().tolist()):
        (first, second) = explanation.ranking
        assert (first.index, first.probability) == (0, pytest.approx(1 - one, abs=1e-5))
        assert second.probability == pytest.approx(one, abs=1e-5)


def test_a_softmax_of_something_else_is_no_end() -> None:
    """Over the images of a batch, within the network, or over another axis: the scores are logits."""
    for end in (
        lambda maps, s: s.softmax(1) * 3,
        lambda maps, s: s.softmax(1) @ torch.eye(5).roll(1, 0) + 1,
        lambda maps, s: torch.cat([s, s.softmax(1)], 1),
    ):
        module = built(lambda end=end: Output(end))  # type: ignore[misc]
        assert scored_network(module, PICTURES[:1]) is module


OUTPUTS: dict[str, tuple[Callable[[Tensor, Tensor], Any], str | int | Callable[[Any], Any] | None]] = {
    "a tuple with a number": (lambda maps, s: (s, 3), None),
    "scores behind a loss": (lambda maps, s: (s.sum(), s), None),
    "scores before maps": (lambda maps, s: (s, maps), None),
    "logits of a dictionary": (lambda maps, s: {"embedding": maps.mean((2, 3)), "logits": s}, None),
    "by position": (lambda maps, s: (maps.mean((2, 3)), s), 1),
    "by key": (lambda maps, s: {"embedding": maps.mean((2, 3)), "scores": s}, "scores"),
    "by path": (lambda maps, s: {"heads": [maps.mean((2, 3)), s]}, "heads.1"),
    "by field": (lambda maps, s: Answer(maps.mean((2, 3)), s), "scores"),
    "of a named tuple": (lambda maps, s: Pair(maps.mean((2, 3)), s), 1),
    "by function": (lambda maps, s: (maps.mean((2, 3)), s), lambda output: output[1]),
    "a pooled map": (lambda maps, s: s[:, :, None, None], None),
    "one for each picture": (lambda maps, s: s.squeeze(), None),
    "probabilities of a dictionary": (lambda maps, s: {"x": maps.mean((2, 3)), "p": s.softmax(1)}, "p"),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_output_that_holds_the_scores(name: str) -> None:
    end, scores = OUTPUTS[name]
    same(explained(own(built(lambda: Output(end)), scores=scores)), explained(own(built(Small))))


@pytest.mark.parametrize(
    ("end", "scores", "words"),
    [
        (lambda maps, s: (maps.mean((2, 3)), s), None, r"2 tensors that could be class scores: 0 \(2, 12\), 1 \(2, 5\). .*`scores=1`"),
        (lambda maps, s: {"a": s, "b": s}, None, r"a \(2, 5\), b \(2, 5\)"),
        (lambda maps, s: {"a": s, "b": s}, "c", "no output 'c': it returns a"),
        (lambda maps, s: {"a": s, "maps": maps}, "maps", r"maps \(2, 12, 8, 8\) .*task=segmentation"),
        (lambda maps, s: Answer(maps.mean((2, 3)), s), None, "embedding .*scores"),
        (lambda maps, s: (maps.mean((2, 3)), s), lambda output: "nothing", "the function returns a str"),
        (lambda maps, s: None, None, "returns no tensor"),
        (lambda maps, s: s.mean(0), None, r"shape \(5,\)"),
    ],
)  # fmt: skip
def test_outputs_are_never_guessed(end: Callable[[Tensor, Tensor], Any], scores: Any, words: str) -> None:
    with pytest.raises(CamxError, match=words):
        explained(own(built(lambda: Output(end)), scores=scores))


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16])
def test_networks_of_other_precisions_run_as_they_are(kind: torch.dtype) -> None:
    module = built(Small)
    expected = explained(own(built(Small)), methods=("gradcam", "eigencam", "ablationcam"))
    with torch.no_grad():
        found = explained(own(module.to(kind)), methods=("gradcam", "eigencam", "ablationcam"))
    assert next(module.parameters()).dtype == kind
    tolerance = 1e-5 if kind == torch.float64 else 3e-2
    for one, other in zip(found, expected):
        assert [p.probability for p in one.ranking] == pytest.approx(
            [p.probability for p in other.ranking], abs=tolerance
        )
        np.testing.assert_allclose(
            one.maps[0].values, other.maps[0].values, atol=5 * tolerance * float(np.abs(other.maps[0].values).max())
        )


def test_the_hook_reports_its_layer_and_leaves_the_network_alone() -> None:
    module = built(lambda: Output(lambda maps, s: {"p": s.softmax(1), "q": s}))
    explainer = Explainer(own(module, scores="p"), ExplainOptions(device="cpu"))
    assert explainer.network.notes == (
        "The class scores are the output `p`. The network ends in a softmax: its scores are probabilities that add up to 1.",
    )
    assert explainer.replica().network.notes == explainer.network.notes
    assert explainer.network.module is module
    assert all(p.requires_grad for p in module.parameters())
    assert "_network" not in vars(module)


def test_an_ordinary_network_is_not_wrapped() -> None:
    module = built(Small)
    assert scored_network(module, PICTURES[:1]) is module


def test_a_scored_network_is_the_network_with_its_names_and_modes() -> None:
    module = built(lambda: Output(lambda maps, s: s.softmax(1)))
    scored = scored_network(module, PICTURES[:1])
    assert isinstance(scored, ScoredNetwork)
    assert [n for n, _ in scored.named_modules()] == [n for n, _ in module.named_modules()]
    assert choose_layer(module, (SIDE, SIDE)).name == choose_layer(scored, (SIDE, SIDE)).name == "act2"
    scored.train()
    assert module.training
    scored.eval()
    assert not module.training
    again = scored.around(built(lambda: Output(lambda maps, s: s.softmax(1))))
    assert torch.equal(again(PICTURES), scored(PICTURES))


def test_the_output_is_chosen_on_the_command_line(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("m.py").write_text(
        "from tests.odd_networks import Output\n"
        "def build(): return Output(lambda maps, s: {'embedding': maps.mean((2, 3)), 'p': s.softmax(1)})\n"
    )
    common = ("explain", images, "-m", "m.py:build", "--image-size", SIDE, "--mean", 0.5, "--std", 0.5, "--no-report")
    assert camx(*common) == 2
    assert "--scores p" in capsys.readouterr().err
    assert camx(*common, "--scores", "p") == 0
    assert "ends in a softmax" in capsys.readouterr().err
    assert camx(*common, "--scores", "embedding") == 2
    assert "scores" in capsys.readouterr().err
