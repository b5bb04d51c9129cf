"""Measures a heatmap over the whole image: area, centre of mass, border, entropy, box."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..images.geometry import Frame, fitted
from .components import largest
from .heatmap import placed
from .thresholds import HALF

#: Long side of the raster on which maps are measured, independent of the size of the overlay.
_RASTER = 256
#: Width of the border strip, as a share of each side.
BORDER = 0.1


def on_raster(heat: np.ndarray, frame: Frame, width: int, height: int) -> np.ndarray:
    """Resamples a normalised heatmap h×w to the raster of measures over the whole upright image of `width`×`height`.

    float32 in [0, 1], long side at most 256, 0 outside the frame.
    """
    columns, rows = fitted(width, height, _RASTER)
    return placed(heat, frame.scaled(columns / width, rows / height), columns, rows)


@dataclass(frozen=True)
class Measures:
    """Measures of a heatmap over the whole upright image, with 0 outside the frame.

    area: share of the image at or above half the peak. center_x, center_y: centre of mass in [0, 1] of the
    width and height. border: share of the mass in the outer 10 % on each side. entropy: of the mass over the
    image, divided by the largest possible one: 0 for one point, 1 for an even spread. box: left, top, right
    and bottom, in [0, 1] of the width and height, of what is at or above half the peak. component: of the largest
    connected part of what is at or above a threshold.
    """

    area: float
    center_x: float
    center_y: float
    border: float
    entropy: float
    box: tuple[float, float, float, float]
    component: tuple[float, float, float, float]


def measured(mass: np.ndarray, threshold: float = HALF) -> Measures:
    """Measures a heatmap on its raster (`on_raster`). threshold: share of the peak for the `component`."""
    rows, columns = mass.shape
    total = float(mass.sum(dtype=np.float64))
    if total <= 0:
        return Measures(0.0, 0.5, 0.5, 0.0, 0.0, *[(0.0, 0.0, 0.0, 0.0)] * 2)
    edge_y, edge_x = round(rows * BORDER), round(columns * BORDER)
    inner = float(mass[edge_y : rows - edge_y, edge_x : columns - edge_x].sum(dtype=np.float64))
    share = mass[mass > 0].astype(np.float64) / total
    peak = mass.max()
    strong = mass >= HALF * peak
    above = strong if threshold == HALF else mass >= threshold * peak
    component, box = largest(above), _box(strong)
    return Measures(
        area=float(strong.mean()),
        center_x=float(mass.sum(0, dtype=np.float64) @ (np.arange(columns) + 0.5)) / columns / total,
        center_y=float(mass.sum(1, dtype=np.float64) @ (np.arange(rows) + 0.5)) / rows / total,
        border=max(0.0, 1.0 - inner / total),
        entropy=float(-(share * np.log(share)).sum() / math.log(max(2, mass.size))),
        box=box,
        component=box if component is strong else _box(component),
    )


def _box(mask: np.ndarray) -> tuple[float, float, float, float]:
    rows, columns = mask.shape
    inside_x, inside_y = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    left, right = int(inside_x[0]) / columns, int(inside_x[-1] + 1) / columns
    return left, int(inside_y[0]) / rows, right, int(inside_y[-1] + 1) / rows
