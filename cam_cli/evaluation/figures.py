"""Figures of groups of cases: each with its interval, beside the baseline, and the gain over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..statistics import Drawn, Estimates, Resampler, Sample, Totals, z_of
from .boxes import IOUS
from .metrics import METRICS
from .scores import Scores
from .whole_set import SET_SCORES, set_figure

#: IoU from which on a box counts, where there is one threshold for all maps.
FOUND = IOUS[1]
#: Scores of a map at the chosen threshold, beside those of `METRICS`.
BOX_SCORES = ("box_acc", "box_iou", "best_iou", "top1_loc")


@dataclass(frozen=True)
class Figure:
    """A metric over `n` maps: the mean with its interval, the baseline, and the gain over it with its interval.

    NaN where there is nothing to measure. `spread`: the standard deviation of one map.
    """

    metric: str
    n: int
    value: float
    low: float
    high: float
    baseline: float
    gain: float
    gain_low: float
    gain_high: float
    spread: float

    def as_dict(self) -> dict[str, Any]:
        """As JSON: numbers with six digits, None for NaN."""
        numbers = {name: _rounded(value) for name, value in self.__dict__.items() if isinstance(value, float)}
        return {"n": self.n, **numbers}


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None


@dataclass(frozen=True)
class Column:
    """Values of N cases by their maps and by the baseline, NaN where they are not defined; `share`: they are 0 or 1."""

    ours: np.ndarray
    theirs: np.ndarray
    share: bool


@dataclass(frozen=True)
class Chosen:
    """The threshold of the boxes, as its place in the list of thresholds: for the maps and for the baseline; None where
    there is none. `fixed`: the user gave it, so that no image is held apart for it."""

    ours: int | None
    theirs: int | None
    fixed: bool = False


def columns(scores: Scores, chosen: Chosen) -> dict[str, Column]:
    """All metrics of cases, one value each."""
    found = {
        name: Column(scores.maps.values[name], scores.centre.values[name], metric.share)
        for name, metric in METRICS.items()
    }
    ours, theirs = _at(scores.maps.largest, chosen.ours), _at(scores.centre.largest, chosen.theirs)
    used = np.array([chosen.fixed or not case.held_apart for case in scores.cases], bool)
    right = np.array([case.which == "own" and case.right for case in scores.cases], bool)
    found["box_iou"] = Column(ours, theirs, False)
    found["best_iou"] = Column(scores.maps.best.max(1), scores.centre.best.max(1), False)
    found["box_acc"] = Column(_found(ours, used), _found(theirs, used), True)
    found["top1_loc"] = Column(_found(ours, used, right), _found(theirs, used, right), True)
    return found


def _at(curves: np.ndarray, place: int | None) -> np.ndarray:
    return np.full(len(curves), np.nan) if place is None else curves[:, place].astype(np.float64)


def _found(iou: np.ndarray, used: np.ndarray, right: np.ndarray | None = None) -> np.ndarray:
    """1 where a box fits (and the class is right), 0 elsewhere, NaN for what is not used."""
    hit = iou >= FOUND if right is None else (iou >= FOUND) & right
    return np.where(used & np.isfinite(iou), hit.astype(np.float64), np.nan)


@dataclass(frozen=True)
class Measured:
    """Figures of G groups, metric by metric, with the estimates that gates compare."""

    figures: dict[str, list[Figure]]
    estimates: dict[str, Estimates]


def measure(scores: Scores, groups: np.ndarray, count: int, chosen: Chosen, level: float = 0.95) -> Measured:
    """Figures of all metrics for `count` groups; `groups` N: the group of each case, −1 for none.

    Cases of one image are drawn together.
    """
    images = np.unique([case.image for case in scores.cases], return_inverse=True)[1]
    together = None if len(np.unique(images)) == len(images) else images
    draw, z, every = Resampler(clusters=together), z_of(1 - level), np.arange(count)
    figures: dict[str, list[Figure]] = {}
    estimates: dict[str, Estimates] = {}
    for name, column in columns(scores, chosen).items():
        found = _estimates(draw, column.ours, groups, count, share=column.share)
        theirs = _estimates(draw, column.theirs, groups, count, share=column.share)
        gain = _estimates(draw, column.ours - column.theirs, groups, count, share=False)
        low, high = found.limits(z, every)
        gain_low, gain_high = gain.limits(z, every)
        estimates[name] = found
        figures[name] = [
            Figure(name, int(found.total[g]), *map(float, (found.value[g], low[g], high[g], theirs.value[g])),
                   *map(float, (gain.value[g], gain_low[g], gain_high[g], found.spread[g])))
            for g in range(count)
        ]  # fmt: skip
    for name in SET_SCORES:
        figures[name] = [_of_set(name, scores, images, groups == g, level) for g in range(count)]
    return Measured(figures, estimates)


def _estimates(draw: Resampler, values: np.ndarray, groups: np.ndarray, count: int, *, share: bool) -> Estimates:
    sample = Sample.of(values, groups, count)
    found: Drawn | Any = draw.shares(sample) if share else draw.estimate(sample, Totals.mean)
    return found


def _of_set(name: str, scores: Scores, images: np.ndarray, members: np.ndarray, level: float) -> Figure:
    if not members.any():
        return Figure(name, 0, *[float("nan")] * 8)
    some = scores.of(members)
    found = set_figure(SET_SCORES[name], some.maps, some.centre, images[members], level)
    half = (found.high - found.low) / 2 / z_of(1 - level)
    return Figure(name, int(members.sum()), found.value, found.low, found.high, found.baseline, found.gain,
                  found.gain_low, found.gain_high, half * float(np.sqrt(members.sum())))  # fmt: skip
