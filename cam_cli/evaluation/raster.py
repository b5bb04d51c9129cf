"""Draws truth and baseline maps on the raster on which maps are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..images.annotations.shapes import Box
from ..images.annotations.truth import Size, TruthObject
from ..images.geometry import fitted

#: Long side of the raster in cells: five per cell of a sketch, which has 24.
LONG_SIDE = 128
#: Standard deviation of the centre baseline, as a share of each side.
_CENTRE = 0.25


@dataclass(frozen=True)
class TruthRaster:
    """Truth of one class in an image, on a raster rows×columns.

    inside: share of each cell that its objects cover, 0 to 1. ignored: share of unscored regions (crowd, void). boxes:
    N×4 in cells. outlined: whether an object has more than a box.
    """

    inside: np.ndarray
    ignored: np.ndarray
    boxes: np.ndarray
    outlined: bool

    @property
    def counted(self) -> np.ndarray:
        """Share of each cell that is scored: the class itself, and everything that is not ignored."""
        shown: np.ndarray = np.maximum(1.0 - self.ignored, self.inside)
        return shown


def truth_raster(objects: Sequence[TruthObject], ignored: Sequence[TruthObject], size: Size) -> TruthRaster:
    """Rasterises the objects of one class and the ignored regions of an image of `size`."""
    columns, rows = fitted(*size, LONG_SIDE)
    scale = np.array([columns / size[0], rows / size[1]] * 2)
    return TruthRaster(
        inside=_cover(objects, size, columns, rows),
        ignored=_cover(ignored, size, columns, rows),
        boxes=np.array([_box(one) for one in objects], dtype=np.float64) * scale,
        outlined=any(not isinstance(one.shape, Box) for one in objects),
    )


def _box(one: TruthObject) -> Box:
    return one.box or one.shape.bounds()


def _cover(objects: Sequence[TruthObject], size: Size, columns: int, rows: int) -> np.ndarray:
    """Coverage of cells by several objects: the largest of their coverages."""
    cover = np.zeros((rows, columns), np.float32)
    for one in objects:
        np.maximum(cover, one.shape.coverage(*size, columns, rows), out=cover)
    return cover


@lru_cache(maxsize=256)
def centre_map(rows: int, columns: int) -> np.ndarray:
    """Centre baseline: a Gaussian in the middle of the raster with peak 1."""
    y = (np.arange(rows) + 0.5) / rows - 0.5
    x = (np.arange(columns) + 0.5) / columns - 0.5
    heat = np.exp(-(y[:, None] ** 2 + x**2) / (2 * _CENTRE**2)).astype(np.float32)
    peaked: np.ndarray = heat / heat.max()
    return peaked
