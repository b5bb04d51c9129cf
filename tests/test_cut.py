"""A head runs with only the values that it reads from modules before its target layer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import timm
import torch
from torch import Tensor, nn

from cam_cli.cams.target_layer.choose import choose_layer
from cam_cli.cams.tracing.cut import Cut, NoCut
from cam_cli.cams.tracing.scored_network import ScoredNetwork, ScoreReading
from cam_cli.cams.tracing.trace import traces
from cam_cli.models.hooks import TargetLayer, answering
from cam_cli.models.layouts import Layout

from .networks import DeepHeadNet, InPlaceNet, RedDetector, seeded


class Passing(nn.Module):
    """Two values pass the layer `mid`: one by a sum in place, one as a second output of the stem."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.side = nn.Conv2d(3, 4, 4, 4), nn.Conv2d(3, 4, 4, 4)
        self.idle = nn.Conv2d(4, 4, 1)
        self.act = nn.ReLU()
        self.mid = nn.Conv2d(4, 4, 3, 1, 1)
        self.fc = nn.Linear(4, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        side = self.side(pictures)
        maps = self.act(self.stem(pictures) + 0 * self.idle(side).mean())
        found = self.act(self.mid(maps)).clone()
        found += maps
        return self.fc((found * side).mean((2, 3)))


def pieces(module: nn.Module, layer: str = "auto", side: int = 64) -> tuple[Cut, str]:
    cut = Cut(module, [choose_layer(module, (side, side), 3, layer)], torch.rand(1, 3, side, side))
    return cut, " ".join(f"{one.name}:{one.call}" for one in cut.pieces)


@pytest.mark.parametrize(
    ("make", "layer", "side", "wanted"),
    [
        (lambda: seeded(RedDetector), "act", 64, "act:0"),
        (lambda: seeded(InPlaceNet), "features", 64, "features:0"),
        (lambda: seeded(DeepHeadNet), "features.2", 64, "features.2:0"),
        # The first ReLU ran before the layer, the second runs behind it; the idle branch counts by its sum.
        (lambda: seeded(Passing), "mid", 64, "side:0 act:0 mid:0"),
        (lambda: timm.create_model("test_vit", num_classes=4), "auto", 160, "blocks.4:0 blocks.5.norm1:0"),
        (lambda: timm.create_model("test_resnet", num_classes=4), "auto", 64, "layer4:0"),
    ],
)
def test_the_head_gives_its_scores_and_gradients_from_the_pieces(
    make: Callable[[], nn.Module], layer: str, side: int, wanted: str
) -> None:
    module = make().eval()
    cut, found = pieces(module, layer, side)
    assert found == wanted
    layers = [choose_layer(module, (side, side), 3, layer)]
    for count in (1, 2, 5, 7):
        batch = torch.rand(count, 3, side, side)
        with torch.no_grad():
            values = dict(zip(cut.pieces, cut.pieces_of(partial(module, batch), module), strict=True))
        plain = traces(module, batch, layers)[0]
        # Every other value that the head reads would be empty memory.
        with answering(cut.answers(module, values, count)):
            cut_off = traces(module, batch, layers)[0]
        classes = plain.logits.argmax(1, keepdim=True)
        assert torch.allclose(cut_off.logits, plain.logits, atol=1e-5)
        assert torch.equal(cut_off.features, plain.features)
        assert torch.allclose(cut_off.gradients(classes), plain.gradients(classes), atol=1e-6)


def test_a_layer_that_does_not_run_and_one_before_which_nothing_runs_have_no_cut() -> None:
    module = seeded(RedDetector)
    for name, call, reason in (("act", 1, "does not run"), ("input", 0, "nothing runs before")):
        found = ScoredNetwork(module, ScoreReading(), entry=True)
        with pytest.raises(NoCut, match=reason):
            Cut(found, [TargetLayer(name, Layout("NCHW", 8, 8, 2), call=call)], torch.rand(1, 3, 64, 64))
