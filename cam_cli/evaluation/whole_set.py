"""Scores that belong to a set of maps, not to one: they choose a threshold, or pool the pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .boxes import IOUS
from .metrics import average_precision
from .scores import Columns

#: Numbers in memory at once while images are drawn.
_CHUNK = 1 << 23
#: So many draws for an interval; fewer where there are many images, whose interval is narrow.
_DRAWS, _FEW_DRAWS, _MANY = 1000, 200, 20_000

#: Columns of N cases and weights …×N → one number for each set of weights.
SetScore = Callable[[Columns, np.ndarray], np.ndarray]


def max_box_acc(columns: Columns, weights: np.ndarray) -> np.ndarray:
    """MaxBoxAccV2 (Choe et al. 2020): the share of maps with a component of IoU ≥ 0.3, 0.5 and 0.7, each at its best
    common threshold, and the mean of the three. It chooses thresholds on the maps that it scores."""
    total = weights.sum(-1)
    accuracies = [(weights @ (columns.best >= iou)).max(-1) / total for iou in IOUS]
    return np.asarray(np.mean(accuracies, axis=0))


def pooled_precision(columns: Columns, weights: np.ndarray) -> np.ndarray:
    """PxAP (Choe et al. 2020): average precision over the pixels of all maps, each picture with the same weight."""
    flat = columns.histograms.reshape(len(columns.histograms), -1)
    return average_precision((weights @ flat).reshape(*weights.shape[:-1], *columns.histograms.shape[1:]))


SET_SCORES: dict[str, SetScore] = {"max_box_acc_v2": max_box_acc, "pxap_pooled": pooled_precision}


@dataclass(frozen=True)
class SetFigure:
    """A score of a set with its interval, that of the baseline, and the gain over it with its interval."""

    value: float
    low: float
    high: float
    baseline: float
    gain: float
    gain_low: float
    gain_high: float


def set_figure(
    score: SetScore, maps: Columns, centre: Columns, images: np.ndarray, level: float, seed: int = 0
) -> SetFigure:
    """A score of N maps, with percentile intervals of a level; `images` N are the numbers of what is drawn together."""
    once = np.ones(len(images))
    value, baseline = float(score(maps, once)), float(score(centre, once))
    drawn = [(score(maps, weights), score(centre, weights)) for weights in _drawn(images, seed)]
    ours, theirs = (np.concatenate(some) for some in zip(*drawn))
    ends = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(ours, ends)
    gain_low, gain_high = np.quantile(ours - theirs, ends)
    return SetFigure(value, float(low), float(high), baseline, value - baseline, float(gain_low), float(gain_high))


def _drawn(images: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """How often each case counts when images are drawn with replacement: some draws × cases at a time."""
    unit = np.unique(images, return_inverse=True)[1]
    count = int(unit.max()) + 1
    rng = np.random.default_rng([seed, count])
    left = _DRAWS if count <= _MANY else _FEW_DRAWS
    while left:
        some = min(left, max(1, _CHUNK // max(count, len(unit))))
        drawn = rng.integers(0, count, (some, count)) + np.arange(some)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=some * count).reshape(some, count)
        yield times[:, unit].astype(np.float32)
        left -= some
