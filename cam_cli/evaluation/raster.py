"""Truth and baseline maps on the raster on which maps are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..images.annotations.shapes import Box
from ..images.annotations.truth import Size, TruthObject
from ..images.geometry import fitted

#: Long side of the raster. The sketch of a map has 24 cells there, which five pixels each show well.
LONG_SIDE = 128
#: Standard deviation of the baseline map, as a share of each side.
_CENTRE = 0.25


@dataclass(frozen=True)
class TruthRaster:
    """Where one class is in an image, on a raster rows×columns.

    `inside`: how much of each cell its objects cover, 0 to 1; `ignored` the same of what is not scored (crowds, void).
    `boxes` N×4: those of its objects, in cells. `outlined`: some object is more than a box.
    """

    inside: np.ndarray
    ignored: np.ndarray
    boxes: np.ndarray
    outlined: bool

    @property
    def counted(self) -> np.ndarray:
        """Share of each cell that is scored: the class itself, and all that is not ignored."""
        shown: np.ndarray = np.maximum(1.0 - self.ignored, self.inside)
        return shown


def truth_raster(objects: Sequence[TruthObject], ignored: Sequence[TruthObject], size: Size) -> TruthRaster:
    """The objects of one class in an image of `size`, and what is ignored in it."""
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
    """Several objects cover a cell as much as the largest of them does."""
    cover = np.zeros((rows, columns), np.float32)
    for one in objects:
        np.maximum(cover, one.shape.coverage(*size, columns, rows), out=cover)
    return cover


@lru_cache(maxsize=256)
def centre_map(rows: int, columns: int) -> np.ndarray:
    """The baseline that looks at no image: a Gaussian in the middle of the raster, its peak 1."""
    y = (np.arange(rows) + 0.5) / rows - 0.5
    x = (np.arange(columns) + 0.5) / columns - 0.5
    heat = np.exp(-(y[:, None] ** 2 + x**2) / (2 * _CENTRE**2)).astype(np.float32)
    peaked: np.ndarray = heat / heat.max()
    return peaked
