"""Figures of groups of cases: mean with interval, baseline, and gain over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..statistics import Estimates, Resampler, Sample, Totals, z_of
from .boxes import IOUS
from .metrics import METRICS
from .scores import Scores
from .whole_set import SET_SCORES, set_estimates

#: Smallest IoU of a correct box, at one threshold for all maps.
FOUND = IOUS[1]
#: Scores of a map at the chosen threshold, in addition to `METRICS`.
BOX_SCORES = ("box_acc", "box_iou", "best_iou")
#: Top-1 localisation: the predicted class is right, and the box of its map fits.
TOP1 = "top1_loc"


@dataclass(frozen=True)
class Figure:
    """A metric over `n` maps: mean with interval, baseline, and gain with interval.

    NaN without data.
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

    def as_dict(self) -> dict[str, Any]:
        """JSON form: numbers with six digits, None for NaN."""
        numbers = {name: _rounded(value) for name, value in self.__dict__.items() if isinstance(value, float)}
        return {"n": self.n, **numbers}


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None


@dataclass(frozen=True)
class Column:
    """Values of N cases by their maps and by the baseline, NaN if undefined. share: values are 0 or 1."""

    ours: np.ndarray
    theirs: np.ndarray
    share: bool


@dataclass(frozen=True)
class ChosenThreshold:
    """Box threshold as index in the list of thresholds, for the maps and for the baseline; None if there is none.
    fixed: the user gave it, so no image is held out."""

    ours: int | None
    theirs: int | None
    fixed: bool = False


def columns(scores: Scores, chosen: ChosenThreshold) -> dict[str, Column]:
    """Values of all metrics for all cases."""
    found = {
        name: Column(scores.maps.values[name], scores.centre.values[name], metric.share)
        for name, metric in METRICS.items()
    }
    ours, theirs = _at(scores.maps.largest, chosen.ours), _at(scores.centre.largest, chosen.theirs)
    used = np.array([chosen.fixed or not case.held_apart for case in scores.cases], bool)
    # The maps on which a threshold was chosen cannot measure its quality.
    found["box_iou"] = Column(np.where(used, ours, np.nan), np.where(used, theirs, np.nan), False)
    found["best_iou"] = Column(scores.maps.best.max(1), scores.centre.best.max(1), False)
    found["box_acc"] = Column(_found(ours, used), _found(theirs, used), True)
    return found


def _at(curves: np.ndarray, place: int | None) -> np.ndarray:
    return np.full(len(curves), np.nan) if place is None else curves[:, place].astype(np.float64)


def _found(iou: np.ndarray, used: np.ndarray) -> np.ndarray:
    """1 if a box fits, 0 if not, NaN for unused cases."""
    return np.where(used & np.isfinite(iou), (iou >= FOUND).astype(np.float64), np.nan)


@dataclass(frozen=True)
class Measured:
    """Figures of G groups by metric, with estimates for gates: of the maps, and of their gain."""

    figures: dict[str, list[Figure]]
    estimates: dict[str, Estimates]
    gains: dict[str, Estimates]


def measure(scores: Scores, groups: np.ndarray, count: int, chosen: ChosenThreshold, level: float = 0.95) -> Measured:
    """Figures of all metrics for `count` groups. groups: N, the group of each case, −1 for none.

    The bootstrap draws all cases of an image together.
    """
    images = np.unique([case.image for case in scores.cases], return_inverse=True)[1]
    together = None if len(np.unique(images)) == len(images) else images
    draw, measured = Resampler(clusters=together), Measured({}, {}, {})
    for name, column in columns(scores, chosen).items():
        ours = _estimates(draw, column.ours, groups, count, share=column.share)
        theirs = _estimates(draw, column.theirs, groups, count, share=column.share)
        gain = _estimates(draw, column.ours - column.theirs, groups, count, share=False)
        _add(measured, name, ours, gain, theirs.value, level)
    for name, score in SET_SCORES.items():
        found = set_estimates(score, scores.maps, scores.centre, images, groups, count)
        _add(measured, name, found.ours, found.gain, found.baseline, level)
    return measured


def add_top1(measured: Measured, scores: Scores, chosen: ChosenThreshold, level: float) -> None:
    """Adds top-1 localisation to the figures of one group. scores: maps of right and of wrong classes.

    As on ImageNet, only images whose truth has one class count. The baseline has the same classes right.
    """
    found, groups = columns(scores, chosen)["box_acc"], np.zeros(len(scores.cases), int)
    alone = np.array([case.alone for case in scores.cases], bool)
    right = np.array([case.which == "own" and case.right for case in scores.cases], bool)
    ours, theirs = (np.where(alone, some * right, np.nan) for some in (found.ours, found.theirs))
    draw = Resampler()
    gain = _estimates(draw, ours - theirs, groups, 1, share=False)
    baseline = _estimates(draw, theirs, groups, 1, share=True).value
    _add(measured, TOP1, _estimates(draw, ours, groups, 1, share=True), gain, baseline, level)


def _add(measured: Measured, name: str, ours: Estimates, gain: Estimates, baseline: np.ndarray, level: float) -> None:
    count, z = len(baseline), z_of(1 - level)
    table = np.stack(
        [ours.value, *ours.limits(z, np.arange(count)), baseline, gain.value, *gain.limits(z, np.arange(count))]
    )
    totals = ours.total.astype(int).tolist()
    measured.figures[name] = [Figure(name, n, *row) for n, row in zip(totals, table.T.tolist())]
    measured.estimates[name], measured.gains[name] = ours, gain


def _estimates(draw: Resampler, values: np.ndarray, groups: np.ndarray, count: int, *, share: bool) -> Estimates:
    sample = Sample.of(values, groups, count)
    return draw.shares(sample) if share else draw.estimate(sample, Totals.mean)
