"""The placement check of a map with few positions: on a larger image, or with several contents per quarter."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from torch import Tensor

from ...errors import CamxError
from ...models.layouts import Layout
from .placement import Placement, placement_of, quarter_pictures

#: Positions per side of the map on the larger image, and the most pixels per side of that image.
_POSITIONS, _PIXELS = 8, 512
#: Contents that each quarter gets if the network takes no larger image.
_CONTENTS = 6

#: Runs the network on images N×C×H×W and returns the tensor at the layer.
Activations = Callable[[Tensor], Tensor]


def enlarged_reading(
    activations: Activations,
    picture: Callable[[tuple[int, int]], Tensor],
    size: tuple[int, int],
    layouts: Sequence[Layout],
) -> tuple[Tensor, dict[Layout, Layout]] | None:
    """Returns the tensor at a layer for larger images, and their layouts with those on images of `size`.

    On the larger images the map has enough positions. None if the network or its layer does not grow with the image.
    picture: returns the probe of a size (h, w). layouts: on images of the network's input `size`, the likeliest one
    first.
    """
    factor = math.ceil(_POSITIONS / min(layouts[0].height, layouts[0].width))
    large = (size[0] * factor, size[1] * factor)
    if max(large) > _PIXELS:
        return None
    try:
        raw = activations(quarter_pictures(picture(large)))
    # A network for one size may raise any error for another.
    except Exception:
        return None
    grown = {one: layout for layout in layouts for one in _grown(layout, raw, factor)}
    likely = next(iter(grown), None)
    if likely is None or grown[likely] != layouts[0] or min(likely.height, likely.width) < _POSITIONS // 2:
        return None
    return raw, grown


def _grown(layout: Layout, raw: Tensor, factor: int) -> Iterator[Layout]:
    """Yields the layout on an image `factor` times as large, if the tensor has the shape for it."""
    shape = tuple(raw.shape)
    if layout.kind == "NCHW" and len(shape) == 4 and shape[1] == layout.channels:
        yield layout._replace(height=shape[2], width=shape[3])
    elif layout.kind == "NHWC" and len(shape) == 4 and shape[3] == layout.channels:
        yield layout._replace(height=shape[1], width=shape[2])
    elif layout.kind in ("NLC", "LNC", "NCL") and len(shape) == 3:
        grown = layout._replace(height=layout.height * factor, width=layout.width * factor)
        length, channels = {"NLC": shape[1:], "LNC": shape[::2], "NCL": shape[:0:-1]}[layout.kind]
        if (length, channels) == (grown.prefix + grown.height * grown.width + grown.suffix, grown.channels):
            yield grown


def several_contents(activations: Activations, picture: Tensor, layouts: Sequence[Layout]) -> list[Placement]:
    """Returns the placement of a map in each of the layouts, by the votes for several contents of each quarter."""
    found: list[list[Placement]] = []
    for content in range(_CONTENTS):
        try:
            raw = activations(quarter_pictures(picture, content))
        except (CamxError, RuntimeError):
            break
        found.append([placement_of(layout.to_nchw(raw)) for layout in layouts])
    return [Placement.of_several(each) for each in zip(*found)]
