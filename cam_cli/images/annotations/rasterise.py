"""Rasterises polygons: which cells have their centre inside."""

from __future__ import annotations

import numpy as np


def filled(ring: np.ndarray, columns: int, rows: int) -> np.ndarray:
    """Bool rows×columns: which cell centres lie in a closed polygon n×2 (x, y in cells), by the even-odd rule."""
    x0, y0 = ring[:, 0], ring[:, 1]
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    # Lines y = row + 0.5 that an edge crosses; the lower end counts, the upper end does not.
    first = np.clip(np.ceil(np.minimum(y0, y1) - 0.5), 0, rows).astype(np.int64)
    last = np.clip(np.ceil(np.maximum(y0, y1) - 0.5), 0, rows).astype(np.int64)
    count = last - first
    edge = np.repeat(np.arange(len(ring)), count)
    row = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
    slope = (x1 - x0)[edge] / (y1 - y0)[edge]
    crossing = x0[edge] + (row + 0.5 - y0[edge]) * slope
    column = np.clip(np.ceil(crossing - 0.5), 0, columns).astype(np.int64)
    crossings = np.bincount(row * (columns + 1) + column, minlength=rows * (columns + 1))
    inside: np.ndarray = np.cumsum(crossings.reshape(rows, columns + 1), axis=1)[:, :columns] % 2 == 1
    return inside
