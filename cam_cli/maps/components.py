"""Finds connected components of a heatmap above many thresholds at once, with boxes and areas. Uses numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Components:
    """The components above each threshold, ordered by threshold.

    threshold: N, index of the threshold. boxes: N×4, left, top, right, bottom in pixels, right and bottom exclusive.
    areas: N, pixels.
    """

    threshold: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray


def components(heat: np.ndarray, thresholds: np.ndarray) -> Components:
    """Finds all components of `heat` h×w > t for every t of `thresholds`. Pixels that touch at a corner are connected.

    Splits rows into runs of pixels above the threshold. Touching runs of neighbouring rows are edges of a graph, whose
    components are found for all thresholds together.
    """
    level, row, start, stop = _runs(heat, thresholds)
    label = _labels(len(level), *_touching(level, row, start, stop, heat.shape))
    # A label is the index of the component's first run, which keeps the order of the thresholds.
    first, group = np.unique(label, return_inverse=True)
    order = np.argsort(group, kind="stable")
    begin = np.searchsorted(group[order], np.arange(len(first)))
    if not len(first):
        return Components(np.zeros(0, int), np.zeros((0, 4), int), np.zeros(0, int))
    boxes = np.stack(
        [
            np.minimum.reduceat(start[order], begin),
            np.minimum.reduceat(row[order], begin),
            np.maximum.reduceat(stop[order], begin),
            np.maximum.reduceat(row[order], begin) + 1,
        ],
        axis=1,
    )
    return Components(level[first], boxes, np.add.reduceat((stop - start)[order], begin))


def labelled(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Labels the components of a bool mask h×w from 1, with 0 elsewhere, and returns their number.

    Numbered by their first pixel, row by row.
    """
    level, row, start, stop = _runs(mask.astype(np.uint8), np.zeros(1))
    label = _labels(len(level), *_touching(level, row, start, stop, mask.shape))
    first, group = np.unique(label, return_inverse=True)
    numbered = np.zeros(mask.shape, np.int32)
    numbered[mask] = np.repeat(group + 1, stop - start)
    return numbered, len(first)


def largest(mask: np.ndarray) -> np.ndarray:
    """Largest component of a bool mask h×w, the first of equal ones; an empty mask unchanged."""
    numbered, count = labelled(mask)
    if count < 2:
        return mask
    return np.asarray(numbered == np.bincount(numbered[mask]).argmax())


def _runs(heat: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Runs of pixels above a threshold: index of the threshold, row, and columns start … stop (exclusive).

    In the order of thresholds, rows and columns.
    """
    height, width = heat.shape
    above = np.zeros((len(thresholds), height, width + 2), bool)
    np.greater(heat, np.asarray(thresholds)[:, None, None], out=above[:, :, 1:-1])
    # Every row begins and ends below the threshold, so starts and stops alternate.
    places = np.flatnonzero(above[:, :, 1:] != above[:, :, :-1])
    line, start = np.divmod(places[::2], width + 1)
    level, row = np.divmod(line, height)
    return level, row, start, places[1::2] - line * (width + 1)


def _touching(
    level: np.ndarray, row: np.ndarray, start: np.ndarray, stop: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of runs of neighbouring rows that touch, also at a corner."""
    height, width = shape
    # Positions along one line on which no two rows meet.
    line = (level * (height + 1) + row) * (width + 2)
    begin, end = line + start, line + stop
    below = line + width + 2
    # Runs of the next row that begin before this one ends (a corner included), and end after it begins.
    low = np.searchsorted(end, below + start, side="left")
    high = np.searchsorted(begin, below + stop, side="right")
    count = np.maximum(high - low, 0)
    upper = np.repeat(np.arange(len(level)), count)
    lower = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(low, count)
    return upper, lower


def _labels(count: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Smallest node connected with each of `count` nodes by edges a–b."""
    parent = np.arange(count)
    while True:
        lowest = np.minimum(parent[a], parent[b])
        hooked = parent.copy()
        np.minimum.at(hooked, parent[a], lowest)
        np.minimum.at(hooked, parent[b], lowest)
        while True:
            jumped = hooked[hooked]
            if np.array_equal(jumped, hooked):
                break
            hooked = jumped
        if np.array_equal(hooked, parent):
            return parent
        parent = hooked
