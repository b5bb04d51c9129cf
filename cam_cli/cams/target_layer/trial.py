"""The trial of a candidate: a trace of five pictures shows whether it varies, has a gradient, and lies in its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ...errors import CamxError, first_line
from ...models.hooks import TargetLayer
from ...models.layouts import Layout
from ...sentences import counted
from ..tracing.trace import traces
from .placement import Placement, placement_of, quarter_pictures

#: Another reading of the same tensor replaces the likelier one only if so much more of its positions agree.
_BETTER = 0.02


@dataclass(frozen=True)
class Trial:
    """The result of a trial. layer: with the layout that fits best. problem: why it cannot be the target, or ""."""

    layer: TargetLayer
    problem: str = ""


def try_layer(
    module: nn.Module, picture: Tensor, layer: TargetLayer, layouts: Iterable[Layout], *, indirect: bool = False,
    gradients: bool = True,
) -> Trial:  # fmt: skip
    """Tries a layer on a picture 1×C×H×W and four copies of it, as one small batch.

    layouts: other ways to read its tensor. indirect: the head is zero, so that no gradient can be asked for. gradients:
    whether the layer must have one.
    """
    try:
        raw, gradient = _activations(module, quarter_pictures(picture), layer, gradients=gradients)
    except (CamxError, RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        return Trial(layer, first_line(error))
    first = layer.layout.to_nchw(raw[:1] if layer.layout.kind != "LNC" else raw[:, :1])
    if not bool(torch.isfinite(raw).all()):
        return Trial(layer, "its values are not finite")
    if not bool((first != first.mean((2, 3), keepdim=True)).any()):
        return Trial(layer, "its values are equal at all positions")
    if gradients and not indirect and not bool(gradient.any()):
        return Trial(layer, "no gradient of the score reaches it")
    layout, placement = _best_reading(raw, layer.layout, layouts)
    problem = "" if placement.fits else placement.reason
    unproven = (
        "" if placement.proven else "; changes of the picture move all its positions alike, so its place is not proven"
    )
    return Trial(replace(layer, layout=layout, reason=layer.reason + unproven), problem)


def _activations(module: nn.Module, pictures: Tensor, layer: TargetLayer, *, gradients: bool) -> tuple[Tensor, Tensor]:
    """The activations of a layer for all pictures as the network has them, float32; and the gradient of the best class.

    Runs the pictures one by one if the network does not take them together.
    """
    axis = 1 if layer.layout.kind == "LNC" else 0
    try:
        return _traced(module, pictures, layer, gradients=gradients)
    except CamxError:
        raise
    # A network may refuse several pictures with any error.
    except Exception:
        alone = [_traced(module, one, layer, gradients=gradients) for one in pictures[:, None]]
        return torch.cat([raw for raw, _ in alone], axis), alone[0][1]


def _traced(module: nn.Module, pictures: Tensor, layer: TargetLayer, *, gradients: bool) -> tuple[Tensor, Tensor]:
    (found,) = traces(module, pictures, [layer], gradients=gradients)
    if len(found.logits) != len(pictures):
        raise CamxError(
            f"The network gives {counted(len(found.logits), 'row')} of scores for {counted(len(pictures), 'image')}"
        )
    gradient = found.gradients(found.logits.argmax(1, keepdim=True)) if gradients else torch.zeros(())
    return found.head.leaves[found.index].detach().float(), gradient


def _best_reading(raw: Tensor, likely: Layout, others: Iterable[Layout]) -> tuple[Layout, Placement]:
    """The layout whose map lies where the picture is; the likely one unless another is clearly better."""
    best, placed = likely, placement_of(likely.to_nchw(raw))
    for layout in dict.fromkeys(_readings([likely, *others])):
        found = placement_of(layout.to_nchw(raw))
        if found.decided and found.fits and (not placed.fits or found.agreement > placed.agreement + _BETTER):
            best, placed = layout, found
    return best, placed


def _readings(layouts: Iterable[Layout]) -> Iterator[Layout]:
    """Layouts, each followed by the one with its prefix tokens at the end."""
    for layout in layouts:
        yield layout
        if layout.prefix:
            yield layout.at_the_end
