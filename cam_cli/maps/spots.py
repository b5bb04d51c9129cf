"""Finds the peaks of a map, and describes each by a short vector of channel contributions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

#: Most peaks of a map, and smallest share of the highest one.
MOST, LEAST = 3, 0.5
#: Length of a vector, and its largest number: four bits each.
NUMBERS, LEVELS = 384, 7
#: Smallest distance of two peaks, as a share of the map's long side.
_APART = 1 / 12
#: Seed of the projection; another one would make vectors incomparable with earlier runs.
_SEED = 20_240_611


@dataclass(frozen=True)
class Peak:
    """A local maximum of a map. x, y: shares of the map's width and height. strength: raw value."""

    x: float
    y: float
    strength: float

    def cell(self, rows: int, columns: int) -> tuple[int, int]:
        """Row and column of its cell in a grid over the same frame."""
        return min(rows - 1, int(self.y * rows)), min(columns - 1, int(self.x * columns))


@dataclass(frozen=True)
class Spot:
    """A peak with its contribution vector: int8 of `NUMBERS` values from −7 to 7; only its direction counts.

    The contribution of channel k is its weight times its activation (the terms of Grad-CAM's sum, Selvaraju et al.
    2017, eq. 2) at the peak, minus the mean over the map. The vector is their random projection, which keeps angles
    (Johnson and Lindenstrauss 1984).
    """

    peak: Peak
    vector: np.ndarray


def peaks(values: np.ndarray, grid: tuple[int, int]) -> tuple[Peak, ...]:
    """Returns the highest local maxima above zero of a raw map h×w, strongest first; none if the map is not finite.

    grid: rows and columns of the layer; a finer map is averaged over its cells, so single pixels are no peaks.
    Positions between cells come from the parabola through a maximum and its neighbours.
    """
    rows, columns = values.shape
    if not np.isfinite(values).all():
        return ()
    if rows > grid[0] or columns > grid[1]:
        down, across = (_averages(fine, coarse) for fine, coarse in zip(values.shape, grid))
        values = down @ values.astype(np.float64) @ across.T
        rows, columns = values.shape
    reach = max(1, round(max(rows, columns) * _APART))
    padded = np.pad(values, reach, constant_values=-np.inf)
    around = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1, 2 * reach + 1)).max(axis=(2, 3))
    highest = float(values.max())
    ys, xs = np.nonzero((values >= around) & (values >= LEAST * highest) & (values > 0))
    order = np.lexsort((xs, ys, -values[ys, xs]))
    kept: list[tuple[int, int]] = []
    for y, x in zip(ys[order].tolist(), xs[order].tolist()):
        # One cell represents a plateau.
        if len(kept) < MOST and all(max(abs(y - b), abs(x - a)) > reach for b, a in kept):
            kept.append((y, x))
    return tuple(
        Peak(_between(values[y], x) / columns, _between(values[:, x], y) / rows, float(values[y, x])) for y, x in kept
    )


def _between(line: np.ndarray, place: int) -> float:
    """Returns the place of a maximum in a line of cells, in cells from its start; cell centres are at one half."""
    if not 0 < place < len(line) - 1:
        return place + 0.5
    before, here, after = (float(value) for value in line[place - 1 : place + 2])
    bend = 2 * here - before - after
    return place + 0.5 + ((after - before) / (2 * bend) if bend > 0 else 0.0)


def _averages(fine: int, coarse: int) -> np.ndarray:
    """Returns the coarse×fine matrix that averages cells of equal size; the identity if the grid is not finer."""
    if fine <= coarse:
        return np.eye(fine)
    edges = np.linspace(0, fine, coarse + 1)
    cells = np.arange(fine)
    covered = np.minimum(cells + 1, edges[1:, None]) - np.maximum(cells, edges[:-1, None])
    matrix: np.ndarray = np.clip(covered, 0, None) * (coarse / fine)
    return matrix


@cache
def projection(channels: int) -> np.ndarray:
    """Returns the channels×`NUMBERS` matrix of random signs that shortens a vector of contributions: float32."""
    signs = np.random.default_rng((_SEED, channels)).integers(0, 2, (channels, NUMBERS))
    return (2 * signs - 1).astype(np.float32)


def quantised(vectors: np.ndarray) -> np.ndarray:
    """Returns directions N×`NUMBERS` as int8 with 7 or −7 for the largest value of each; zeros stay zeros."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    safe = np.where(largest > 0, largest, 1.0)
    return np.rint(vectors / safe * LEVELS).astype(np.int8)
