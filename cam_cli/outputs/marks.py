"""Draws lines on an overlay: the box of the largest part of a map, and the outlines of all parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from PIL import Image, ImageDraw

from ..images.geometry import Frame
from ..maps.contours import parts
from ..maps.heatmap import placed
from ..maps.measures import measured, on_raster

_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
#: Pixels of the long side of an overlay for each further pixel of line width.
_WIDE = 400
Points = list[tuple[float, float]]


def mark(picture: Image.Image, heat: np.ndarray, frame: Frame, threshold: float, what: Iterable[str]) -> None:
    """Draws marks of `MARKS` into an overlay: white lines with black edges, visible on any image.

    heat: h×w; its magnitude counts. frame: in pixels of the overlay. threshold: share of the peak. what: keys of
    `MARKS`.
    """
    thick = 1 + max(picture.size) // _WIDE
    lines = [line for name in what for line in MARKS[name](np.abs(heat), frame, picture.size, threshold)]
    draw = ImageDraw.Draw(picture)
    for colour, width in ((_BLACK, thick + 2), (_WHITE, thick)):
        for line in lines:
            draw.line([*line, *line[:2]], fill=colour, width=width, joint="curve")


def _boxes(heat: np.ndarray, frame: Frame, size: tuple[int, int], threshold: float) -> list[Points]:
    """The box of `maps.csv`."""
    left, top, right, bottom = measured(on_raster(heat, frame, *size), threshold).component
    (x0, x1), (y0, y1) = ((low * side, high * side - 1) for low, high, side in zip((left, top), (right, bottom), size))
    return [[(x0, y0), (x1, y0), (x1, y1), (x0, y1)]]


def _contours(heat: np.ndarray, frame: Frame, size: tuple[int, int], threshold: float) -> list[Points]:
    whole = placed(heat, frame, *size)
    found = parts(whole, threshold * float(whole.max()))
    # A corner at 0.5, 0.5 is the centre of the first pixel, which Pillow calls 0, 0.
    return [[(x - 0.5, y - 0.5) for x, y in ring.tolist()] for part in found for ring in (part.outline, *part.holes)]


MARKS: Mapping[str, Callable[[np.ndarray, Frame, tuple[int, int], float], list[Points]]] = {
    "box": _boxes,
    "contour": _contours,
}
