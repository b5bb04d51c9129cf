"""Box threshold: given by the user, or chosen on held-out images."""

from __future__ import annotations

import numpy as np

from ..errors import CamxError
from .boxes import THRESHOLDS
from .figures import FOUND, ChosenThreshold
from .scores import Scores

AUTO = "auto"


def thresholds_with(wanted: str) -> np.ndarray:
    """Candidate thresholds as shares of the peak: 0, 0.01 … 0.99, and the one of the user.

    Raises `CamxError` if that is no share.
    """
    if wanted == AUTO:
        return THRESHOLDS
    try:
        value = float(wanted)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise CamxError(
            f"`threshold` {wanted!r} is no share below 1.",
            "Give a share of the peak such as 0.2, or auto.",
            field="threshold",
        )
    return np.union1d(THRESHOLDS, [value])


def choose_threshold(scores: Scores, thresholds: np.ndarray, wanted: str) -> ChosenThreshold:
    """Index of the threshold: that of `wanted`, or the best one on the held-out images.

    The best one has the largest share of maps whose largest component fits a box of the truth with IoU ≥ 0.5. If the
    centre baseline never fits, it gets the threshold of its largest mean IoU, so that every score has a baseline.
    """
    if wanted != AUTO:
        place = int(np.flatnonzero(np.isclose(thresholds, float(wanted)))[0])
        return ChosenThreshold(place, place, fixed=True)
    apart = np.array([case.held_apart and case.which == "own" for case in scores.cases], bool)
    some = scores.of(apart)
    centre = _best(some.centre.largest)
    if centre is None and len(some.centre.largest):
        centre = int(some.centre.largest.mean(0).argmax())
    return ChosenThreshold(_best(some.maps.largest), centre)


def _best(curves: np.ndarray) -> int | None:
    """Middle index of those at which most maps of N×T fit; None if none ever fits."""
    found = (curves >= FOUND).sum(0)
    if not len(curves) or not found.any():
        return None
    tied = np.flatnonzero(found == found.max())
    return int(tied[len(tied) // 2])
