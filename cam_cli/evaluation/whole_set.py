"""Scores that belong to a set of maps, not to one: they choose a threshold, or pool the pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ..statistics.estimates import SCORES, Drawn
from .boxes import IOUS
from .metrics import average_precision
from .scores import Columns

#: Numbers in memory at once while images are drawn.
_CHUNK = 1 << 23
#: So many draws for an interval; fewer for each of several groups, and where many images make it narrow.
_DRAWS, _FEW_DRAWS, _MANY = 1000, 300, 20_000
#: The shares of draws that lie below the normal scores at which a distribution is kept.
LEVELS = np.array([NormalDist().cdf(score) for score in SCORES])


@dataclass(frozen=True)
class SetScore:
    """A score of N cases that depends on sums over them: `features` float32 N×F of each, and `score` of the sums …×F of
    weighted features, with the sum of the weights."""

    features: Callable[[Columns], np.ndarray]
    score: Callable[[np.ndarray, np.ndarray], np.ndarray]

    def of(self, columns: Columns) -> float:
        """The score of all cases."""
        features = self.features(columns)
        return float(self.score(features.sum(0, dtype=np.float64), np.array(len(features))))


def _fits(columns: Columns) -> np.ndarray:
    """Whether the best component has the three IoU, at each threshold."""
    fits: np.ndarray = np.concatenate([columns.best >= iou for iou in IOUS], axis=1).astype(np.float32)
    return fits


def _max_box_acc(fits: np.ndarray, total: np.ndarray) -> np.ndarray:
    """MaxBoxAccV2 (Choe et al. 2020): the share of maps with a component of IoU ≥ 0.3, 0.5 and 0.7, each at its best
    common threshold, and the mean of the three. It chooses thresholds on the maps that it scores."""
    curves = fits.reshape(*fits.shape[:-1], len(IOUS), -1)
    return np.asarray(curves.max(-1).mean(-1) / total)


def _pixels(columns: Columns) -> np.ndarray:
    return columns.histograms.reshape(len(columns.histograms), -1)


def _pooled_precision(pixels: np.ndarray, total: np.ndarray) -> np.ndarray:
    """PxAP (Choe et al. 2020): average precision over the pixels of all maps, each image with the same weight."""
    return average_precision(pixels.reshape(*pixels.shape[:-1], 2, -1))


SET_SCORES: dict[str, SetScore] = {
    "max_box_acc_v2": SetScore(_fits, _max_box_acc),
    "pxap_pooled": SetScore(_pixels, _pooled_precision),
}


@dataclass(frozen=True)
class SetEstimates:
    """A score of G groups of cases: of their maps, and the gain over the baseline, with their bootstrap distributions;
    `baseline` G."""

    ours: Drawn
    gain: Drawn
    baseline: np.ndarray


def set_estimates(
    score: SetScore, maps: Columns, centre: Columns, images: np.ndarray, groups: np.ndarray, count: int, seed: int = 0
) -> SetEstimates:
    """A score of each group; `groups` N is that of each case, −1 for none. Cases of one image are drawn together."""
    values, baselines, gains = (np.full(count, np.nan) for _ in range(3))
    total, quantiles = np.zeros(count), np.full((2, count, len(SCORES)), np.nan)
    for group in range(count):
        members = np.flatnonzero(groups == group)
        if not len(members):
            continue
        ours, theirs = (score.features(some.of(members)) for some in (maps, centre))
        values[group], baselines[group] = score.of(maps.of(members)), score.of(centre.of(members))
        draws = _DRAWS if count == 1 and len(members) <= _MANY else _FEW_DRAWS
        drawn = [
            (score.score(times @ ours, times.sum(1)), score.score(times @ theirs, times.sum(1)))
            for times in _drawn(images[members], draws, seed)
        ]
        both: np.ndarray = np.concatenate(drawn, axis=1)
        total[group], gains[group] = len(members), values[group] - baselines[group]
        quantiles[:, group] = np.quantile(both[0], LEVELS), np.quantile(both[0] - both[1], LEVELS)
    return SetEstimates(Drawn(values, total, quantiles[0]), Drawn(gains, total, quantiles[1]), baselines)


def _drawn(images: np.ndarray, left: int, seed: int) -> Iterator[np.ndarray]:
    """Weight of each case when images are drawn with replacement: some draws × cases at a time."""
    unit = np.unique(images, return_inverse=True)[1]
    count = int(unit.max()) + 1
    rng = np.random.default_rng([seed, count])
    while left:
        some = min(left, max(1, _CHUNK // max(count, len(unit))))
        drawn = rng.integers(0, count, (some, count)) + np.arange(some)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=some * count).reshape(some, count)
        yield times[:, unit].astype(np.float32)
        left -= some
