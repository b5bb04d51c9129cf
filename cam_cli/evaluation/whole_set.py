"""Scores of a set of maps as a whole: boxes at the best common threshold, and precision over pooled pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ..statistics.estimates import SCORES, Drawn
from .boxes import IOUS
from .metrics import average_precision
from .scores import Columns

#: Numbers in memory at once during the bootstrap.
_CHUNK = 1 << 23
#: Draws for an interval; fewer for several groups, and for many images, whose interval is narrow.
_DRAWS, _FEW_DRAWS, _MANY = 1000, 300, 20_000
#: Quantiles at the normal scores at which a distribution is stored.
LEVELS = np.array([NormalDist().cdf(score) for score in SCORES])


@dataclass(frozen=True)
class SetScore:
    """A score that depends on sums over N cases. features: float32 N×F. score: function of weighted sums …×F and the
    sum of the weights."""

    features: Callable[[Columns], np.ndarray]
    score: Callable[[np.ndarray, np.ndarray], np.ndarray]

    def of(self, columns: Columns) -> float:
        """Score of all cases."""
        features = self.features(columns)
        return float(self.score(features.sum(0, dtype=np.float64), np.array(len(features))))


def _fits(columns: Columns) -> np.ndarray:
    """Whether the best component reaches the three IoU, at each threshold."""
    fits: np.ndarray = np.concatenate([columns.best >= iou for iou in IOUS], axis=1).astype(np.float32)
    return fits


def _max_box_acc(fits: np.ndarray, total: np.ndarray) -> np.ndarray:
    """MaxBoxAccV2 (Choe et al. 2020): mean share of maps with a component of IoU ≥ 0.3, 0.5 and 0.7, each at its best
    common threshold. It chooses thresholds on the maps that it scores."""
    curves = fits.reshape(*fits.shape[:-1], len(IOUS), -1)
    return np.asarray(curves.max(-1).mean(-1) / total)


def _pixels(columns: Columns) -> np.ndarray:
    return columns.histograms.reshape(len(columns.histograms), -1)


def _pooled_precision(pixels: np.ndarray, total: np.ndarray) -> np.ndarray:
    """PxAP (Choe et al. 2020): average precision over the pixels of all maps, with equal weights of images."""
    return average_precision(pixels.reshape(*pixels.shape[:-1], 2, -1))


SET_SCORES: dict[str, SetScore] = {
    "max_box_acc_v2": SetScore(_fits, _max_box_acc),
    "pxap_pooled": SetScore(_pixels, _pooled_precision),
}


@dataclass(frozen=True)
class SetEstimates:
    """A score of G groups: of the maps and of the gain over the baseline, with bootstrap distributions. baseline: G
    values."""

    ours: Drawn
    gain: Drawn
    baseline: np.ndarray


def set_estimates(
    score: SetScore, maps: Columns, centre: Columns, images: np.ndarray, groups: np.ndarray, count: int, seed: int = 0
) -> SetEstimates:
    """Score of each group. groups: N, the group of each case, −1 for none. The bootstrap draws cases of an image
    together."""
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
    """Weights of cases when images are drawn with replacement, in blocks of draws × cases."""
    unit = np.unique(images, return_inverse=True)[1]
    count = int(unit.max()) + 1
    rng = np.random.default_rng([seed, count])
    while left:
        some = min(left, max(1, _CHUNK // max(count, len(unit))))
        drawn = rng.integers(0, count, (some, count)) + np.arange(some)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=some * count).reshape(some, count)
        yield times[:, unit].astype(np.float32)
        left -= some
