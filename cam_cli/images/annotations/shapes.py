"""Regions in an image as annotation tools store them: boxes, polygons, run lengths, bitmaps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from PIL import Image

from ..geometry import Frame
from ..orientation import Orientation
from .rasterise import filled
from .run_lengths import decoded

#: Subdivisions of a raster cell per side, to estimate the share that a polygon covers.
_FINE = 4


class Box(NamedTuple):
    """A rectangle in pixels. Pixel i spans i to i + 1."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)

    def clipped(self, width: float, height: float) -> Box:
        """Intersection with an image."""
        return Box(
            min(max(self.left, 0.0), width),
            min(max(self.top, 0.0), height),
            min(max(self.right, 0.0), width),
            min(max(self.bottom, 0.0), height),
        )

    def bounds(self) -> Box:
        return self

    def upright(self, turn: Orientation, width: int, height: int) -> Box:
        return Box(*turn.box(Frame(*self), width, height))

    def coverage(self, width: int, height: int, columns: int, rows: int) -> np.ndarray:
        x, y = columns / width, rows / height
        across = _overlap(self.left * x, self.right * x, columns)
        down = _overlap(self.top * y, self.bottom * y, rows)
        return np.outer(down, across).astype(np.float32, copy=False)


class Shape(Protocol):
    """A region in an image of a known size in pixels.

    upright: the region after `turn` of an image of `width`×`height` stored pixels. coverage: share of each cell of a
    raster over the image that the region covers, float32 rows×columns in [0, 1].
    """

    def bounds(self) -> Box: ...

    def upright(self, turn: Orientation, width: int, height: int) -> Shape: ...

    def coverage(self, width: int, height: int, columns: int, rows: int) -> np.ndarray: ...


@dataclass(frozen=True)
class Polygons:
    """Closed polygons n×2 (x, y in pixels) that together cover one object."""

    rings: tuple[np.ndarray, ...]

    def bounds(self) -> Box:
        points = np.concatenate(self.rings)
        return Box(*map(float, (*points.min(0), *points.max(0))))

    def upright(self, turn: Orientation, width: int, height: int) -> Polygons:
        return Polygons(tuple(_turned_points(ring, turn, width, height) for ring in self.rings))

    def coverage(self, width: int, height: int, columns: int, rows: int) -> np.ndarray:
        scale = np.array([_FINE * columns / width, _FINE * rows / height])
        fine = np.zeros((rows * _FINE, columns * _FINE), bool)
        for ring in self.rings:
            fine |= filled(ring * scale, columns * _FINE, rows * _FINE)
        share: np.ndarray = fine.reshape(rows, _FINE, columns, _FINE).mean((1, 3), dtype=np.float32)
        return share


@dataclass(frozen=True)
class Bitmap:
    """A mask of all pixels of the image, bool height×width."""

    pixels: np.ndarray

    def bounds(self) -> Box:
        inside_x, inside_y = np.flatnonzero(self.pixels.any(0)), np.flatnonzero(self.pixels.any(1))
        if not len(inside_x):
            return Box(0.0, 0.0, 0.0, 0.0)
        return Box(float(inside_x[0]), float(inside_y[0]), float(inside_x[-1] + 1), float(inside_y[-1] + 1))

    def upright(self, turn: Orientation, width: int, height: int) -> Bitmap:
        pixels = self.pixels.T if turn.transposed else self.pixels
        pixels = pixels[:, ::-1] if turn.mirrored else pixels
        return Bitmap(pixels[::-1] if turn.flipped else pixels)

    def coverage(self, width: int, height: int, columns: int, rows: int) -> np.ndarray:
        levels = Image.fromarray(np.ascontiguousarray(self.pixels).astype(np.uint8) * 255)
        return np.asarray(levels.resize((columns, rows), Image.Resampling.BOX), np.float32) / 255


@dataclass(frozen=True)
class RunLengths:
    """A mask of `width`×`height` pixels in COCO's run lengths. `counts` are checked when they are decoded."""

    counts: tuple[int, ...]
    width: int
    height: int

    @cached_property
    def bitmap(self) -> Bitmap:
        return Bitmap(decoded(self.counts, self.width, self.height))

    def bounds(self) -> Box:
        return self.bitmap.bounds()

    def upright(self, turn: Orientation, width: int, height: int) -> Bitmap:
        return self.bitmap.upright(turn, width, height)

    def coverage(self, width: int, height: int, columns: int, rows: int) -> np.ndarray:
        return self.bitmap.coverage(width, height, columns, rows)


def _overlap(start: float, stop: float, cells: int) -> np.ndarray:
    """Share of each of `cells` unit cells between start and stop."""
    edges = np.arange(cells + 1, dtype=np.float64)
    shared: np.ndarray = np.maximum(np.minimum(edges[1:], stop) - np.maximum(edges[:-1], start), 0.0)
    return shared


def _turned_points(points: np.ndarray, turn: Orientation, width: int, height: int) -> np.ndarray:
    x, y = points[:, 0], points[:, 1]
    if turn.transposed:
        x, y, width, height = y, x, height, width
    return np.stack([width - x if turn.mirrored else x, height - y if turn.flipped else y], axis=1)
