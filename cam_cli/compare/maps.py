"""Compares the places of two maps of one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..maps.sketch import decode
from ..outputs.rows import Sketch

#: Share of the image that counts as hot.
HOT = 0.2
#: Expected IoU of two random hot regions: 0.04 / 0.36.
CHANCE = HOT * HOT / (2 * HOT - HOT * HOT)
_CHUNK = 4096


@dataclass(frozen=True)
class Likeness:
    """Similarity by image. cosine: of the two maps, in [0, 1]. iou: of their hottest fifths. shift: distance of their
    peaks in sides of the image. NaN if a map is missing or blank. shuffled: mean IoU with the map of another image,
    which measures a common bias to the centre; NaN for fewer than two maps."""

    cosine: np.ndarray
    iou: np.ndarray
    shift: np.ndarray
    shuffled: float


def likeness(first: Sequence[Sketch | None], second: Sequence[Sketch | None]) -> Likeness:
    """Compares the sketches of two maps per image; None for a missing one."""
    columns = np.full((3, len(first)), np.nan)
    others: list[np.ndarray] = []
    by_shape: dict[tuple[int, int], list[int]] = {}
    for place, (a, b) in enumerate(zip(first, second)):
        if a is not None and b is not None and (a["height"], a["width"]) == (b["height"], b["width"]):
            by_shape.setdefault((a["height"], a["width"]), []).append(place)
    for shape, places in by_shape.items():
        for start in range(0, len(places), _CHUNK):
            some = places[start : start + _CHUNK]
            maps_a, maps_b = (np.stack([_strength(side[place]) for place in some]) for side in (first, second))
            columns[:, some] = _alike(maps_a, maps_b, shape)
            if len(some) > 1:
                others.append(_alike(maps_a, np.roll(maps_b, 1, axis=0), shape)[1])
    shuffled = np.concatenate(others) if others else np.array([np.nan])
    known = shuffled[np.isfinite(shuffled)]
    cosine, iou, shift = columns
    return Likeness(cosine, iou, shift, float(known.mean()) if len(known) else float("nan"))


def _strength(sketch: Sketch | None) -> np.ndarray:
    """Cells of a sketch as one row; absolute values of a signed one."""
    assert sketch is not None
    return np.asarray(np.abs(decode(sketch)).ravel())


def _alike(a: np.ndarray, b: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Cosine, IoU and shift, 3×N, of maps N×cells; NaN if one of them is zero."""
    known = a.any(1) & b.any(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
        hot_a, hot_b = _hot(a), _hot(b)
        iou = (hot_a & hot_b).sum(1) / (hot_a | hot_b).sum(1)
    shift = np.hypot(*(_peak(a, shape) - _peak(b, shape)))
    return np.where(known, np.stack([np.minimum(cosine, 1.0), iou, shift]), np.nan)


def _hot(maps: np.ndarray) -> np.ndarray:
    """The hottest fifth of the cells, including ties, without zeros."""
    count = max(1, round(HOT * maps.shape[1]))
    least = np.partition(maps, -count, axis=1)[:, -count, None]
    return np.asarray((maps >= least) & (maps > 0))


def _peak(maps: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Position of the largest cell, or the mean of several: two rows (down, across) in sides of the image."""
    best = maps == maps.max(1, keepdims=True)
    rows, columns = np.divmod(np.arange(maps.shape[1]), shape[1])
    weights = best / best.sum(1, keepdims=True)
    return np.stack([weights @ ((rows + 0.5) / shape[0]), weights @ ((columns + 0.5) / shape[1])])
