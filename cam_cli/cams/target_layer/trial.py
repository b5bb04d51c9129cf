"""The trial of a candidate: a trace of five images shows whether it varies, has a gradient, and lies in its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ...errors import CamxError, first_line
from ...models.hooks import TargetLayer
from ...models.layouts import Layout
from ...sentences import counted
from ..tracing.trace import traces
from .placement import FEWEST, Placement, placement_of, quarter_pictures
from .probe import probe_picture
from .small_grids import enlarged_reading, several_contents

#: Another reading of the tensor replaces the likelier one only if this share of its positions more agrees.
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
    """Tries a layer on an image 1×C×H×W and four copies of it, as one small batch.

    layouts: other ways to read its tensor. indirect: the head is zero, so the layer has no gradient. gradients: whether
    the layer must have one.
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
    layout, placement = _best_reading(raw, _distinct(layer.layout, layouts))
    if placement.positions < FEWEST:
        layout, placement = _small_reading(module, picture, layer, _distinct(layer.layout, layouts), placement)
    problem = "" if placement.fits else placement.reason
    return Trial(replace(layer, layout=layout, reason=layer.reason + _unproven(placement, layout)), problem)


def _unproven(placement: Placement, layout: Layout) -> str:
    """Returns the end of a layer's reason if the place of its map is not proven, else ""."""
    if placement.proven:
        return ""
    if placement.few:
        return f"; its place is not proven: {layout.height}×{layout.width} positions are too few for a proof here"
    return "; its place is not proven: no quarter of it follows one quarter of the probe clearly more than the others"


def _small_reading(
    module: nn.Module, picture: Tensor, layer: TargetLayer, layouts: Sequence[Layout], placement: Placement
) -> tuple[Layout, Placement]:
    """Returns the layout of a map with few positions, by a larger image or several contents of each quarter."""
    size = (picture.shape[2], picture.shape[3])

    def activations(pictures: Tensor) -> Tensor:
        return _activations(module, pictures, layer, gradients=False)[0]

    grown = enlarged_reading(
        activations, lambda large: probe_picture(picture.shape[1], large).to(picture), size, layouts
    )
    if grown is not None:
        raw, read_as = grown
        found, placement = _best_reading(raw, list(read_as))
        return read_as[found], placement
    placements = several_contents(activations, picture, layouts)
    if not placements:
        return layouts[0], replace(placement, few=True)
    best = next((i for i, one in enumerate(placements) if one.proven), 0)
    return layouts[best], placements[best]


def _distinct(likely: Layout, others: Iterable[Layout]) -> list[Layout]:
    return list(dict.fromkeys(_readings([likely, *others])))


def _activations(module: nn.Module, pictures: Tensor, layer: TargetLayer, *, gradients: bool) -> tuple[Tensor, Tensor]:
    """Returns the activations of a layer for all images, as the network has them, and the gradient of the best class.

    Both are float32. Runs the images one by one if the network does not take them together.
    """
    axis = 1 if layer.layout.kind == "LNC" else 0
    try:
        return _trace_layer(module, pictures, layer, gradients=gradients)
    except CamxError:
        raise
    # A network for single images may raise any error for several.
    except Exception:
        alone = [_trace_layer(module, one, layer, gradients=gradients) for one in pictures[:, None]]
        return torch.cat([raw for raw, _ in alone], axis), alone[0][1]


def _trace_layer(module: nn.Module, pictures: Tensor, layer: TargetLayer, *, gradients: bool) -> tuple[Tensor, Tensor]:
    (found,) = traces(module, pictures, [layer], gradients=gradients)
    if len(found.logits) != len(pictures):
        raise CamxError(
            f"The network returns {counted(len(found.logits), 'row')} of scores for {counted(len(pictures), 'image')}"
        )
    gradient = found.gradients(found.logits.argmax(1, keepdim=True)) if gradients else torch.zeros(())
    return found.head.leaves[found.index].detach().float(), gradient


def _best_reading(raw: Tensor, layouts: Sequence[Layout]) -> tuple[Layout, Placement]:
    """Returns the layout whose map lies where the image is; the first one unless another is clearly better."""
    best, placed = layouts[0], placement_of(layouts[0].to_nchw(raw))
    for layout in layouts[1:]:
        found = placement_of(layout.to_nchw(raw))
        if found.decided and found.fits and (not placed.fits or found.agreement > placed.agreement + _BETTER):
            best, placed = layout, found
    return best, placed


def _readings(layouts: Iterable[Layout]) -> Iterator[Layout]:
    """Yields layouts, each followed by the one with its prefix tokens at the end."""
    for layout in layouts:
        yield layout
        if layout.prefix:
            yield layout.at_the_end
