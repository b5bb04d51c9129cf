"""Compares boxes of a map at many thresholds with those of the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..maps.components import Components

#: Thresholds, as shares of the peak.
THRESHOLDS = np.arange(100) / 100
#: Smallest IoU of a found object; MaxBoxAccV2 is the mean over the three.
IOUS = (0.3, 0.5, 0.7)


@dataclass(frozen=True)
class BoxCurves:
    """IoU with the truth at each threshold, float32: of the best component, and of the largest one."""

    best: np.ndarray
    largest: np.ndarray


def ious(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes N×4 with boxes M×4: N×M. Boxes end at their right and lower edge."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(2)
    areas = [np.maximum(box[:, 2:] - box[:, :2], 0).prod(1) for box in (a, b)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros(union.shape), where=union > 0))


def box_curves(found: Components, truth: np.ndarray, thresholds: int) -> BoxCurves:
    """Curves of the components of a map at a number of thresholds, against the boxes N×4 of one class.

    Any of the boxes may be found. At thresholds without a component the IoU is 0.
    """
    best, largest = np.zeros(thresholds, np.float32), np.zeros(thresholds, np.float32)
    if len(found.boxes) and len(truth):
        fit = ious(found.boxes.astype(np.float64), truth).max(1).astype(np.float32)
        np.maximum.at(best, found.threshold, fit)
        # The last assignment wins: the largest area, and among equal ones the first in the image.
        order = np.lexsort((-np.arange(len(fit)), found.areas, found.threshold))
        largest[found.threshold[order]] = fit[order]
    return BoxCurves(best, largest)
