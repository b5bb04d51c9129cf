"""Table of metrics: functions that score one map against the truth of one class."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .raster import TruthRaster

#: Tolerance of the pointing game, as a share of the long side: 15 pixels of 500 (Zhang et al. 2018).
TOLERANCE = 0.03
#: Bins of the histogram of values from which precision and recall are computed.
BINS = 128


@dataclass(frozen=True)
class Metric:
    """A metric. score: of a heatmap rows×columns (peak 1) and its truth, NaN if undefined; higher is better. share:
    whether the score is 0 or 1, and its mean a share of maps. sentence: its description."""

    score: Callable[[np.ndarray, TruthRaster], float]
    share: bool
    sentence: str


def peak_of(heat: np.ndarray) -> tuple[float, float]:
    """x, y of the largest value in cells; the mean position of several equal ones."""
    rows, columns = np.nonzero(heat == heat.max())
    return float(columns.mean() + 0.5), float(rows.mean() + 0.5)


def pointing(heat: np.ndarray, truth: TruthRaster) -> float:
    """1 if the peak lies in an object (Zhang et al. 2018), else 0; NaN in an ignored region."""
    return points_at(*peak_of(heat), truth, 0.0)


def pointing_tolerant(heat: np.ndarray, truth: TruthRaster) -> float:
    """Pointing game with a margin of 3 % of the long side around the objects."""
    return points_at(*peak_of(heat), truth, TOLERANCE * max(heat.shape))


def points_at(x: float, y: float, truth: TruthRaster, tolerance: float) -> float:
    """1 if a point lies within `tolerance` cells of an object, else 0; NaN in an ignored region."""
    rows, columns = truth.inside.shape
    row, column = min(int(y), rows - 1), min(int(x), columns - 1)
    if truth.outlined:
        hit = truth.inside[row, column] >= 0.5 or _distance_to_cells(x, y, truth.inside) < tolerance
    else:
        hit = _distance_to_boxes(x, y, truth.boxes) <= 0 or _distance_to_boxes(x, y, truth.boxes) < tolerance
    if not hit and truth.ignored[row, column] >= 0.5:
        return math.nan
    return float(hit)


def _distance_to_cells(x: float, y: float, inside: np.ndarray) -> float:
    """Distance to the centre of the nearest cell that objects cover at least half."""
    rows, columns = np.nonzero(inside >= min(0.5, float(inside.max())))
    return float(np.sqrt(((columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2).min()))


def _distance_to_boxes(x: float, y: float, boxes: np.ndarray) -> float:
    across = np.maximum(np.maximum(boxes[:, 0] - x, x - boxes[:, 2]), 0)
    down = np.maximum(np.maximum(boxes[:, 1] - y, y - boxes[:, 3]), 0)
    return float(np.hypot(across, down).min())


def energy(heat: np.ndarray, truth: TruthRaster) -> float:
    """Share of the map's mass in the objects (Wang et al. 2020), without ignored regions."""
    counted = float((heat * truth.counted).sum(dtype=np.float64))
    return float((heat * truth.inside).sum(dtype=np.float64)) / counted if counted > 0 else math.nan


def area(heat: np.ndarray, truth: TruthRaster) -> float:
    """Share of the image area inside the objects: the energy of a constant map."""
    counted = float(truth.counted.sum(dtype=np.float64))
    return float(truth.inside.sum(dtype=np.float64)) / counted if counted > 0 else math.nan


def histograms(heat: np.ndarray, truth: TruthRaster) -> np.ndarray:
    """Histograms of the map inside and outside the objects, as shares of the image: float32 2×128 with sum 1.

    The last bin holds the peak.
    """
    place = np.minimum((heat * BINS).astype(np.int64), BINS - 1).ravel()
    outside = truth.counted - truth.inside
    both = np.stack([np.bincount(place, part.ravel(), minlength=BINS) for part in (truth.inside, outside)])
    histogram: np.ndarray = (both / max(both.sum(), 1e-12)).astype(np.float32)
    return histogram


def average_precision(histogram: np.ndarray) -> np.ndarray:
    """Area under the precision-recall curve of histograms …×2×bins; NaN without an object."""
    found = histogram[..., ::-1].cumsum(-1, dtype=np.float64)
    true, false = found[..., 0, :], found[..., 1, :]
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(true + false > 0, true / (true + false), 0.0)
        recall = true / true[..., -1:]
    return np.asarray((np.diff(recall, axis=-1, prepend=0.0) * precision).sum(-1))


def pixel_precision(heat: np.ndarray, truth: TruthRaster) -> float:
    """PxAP (Choe et al. 2020) of one map: average precision of its values for pixels of the objects."""
    return float(average_precision(histograms(heat, truth)))


METRICS: dict[str, Metric] = {
    "pointing": Metric(pointing, True, "the peak lies in an object"),
    "pointing_tol": Metric(pointing_tolerant, True, "the peak lies in an object or within 3 % of the long side"),
    "energy": Metric(energy, False, "share of the map's mass in the objects"),
    "area_truth": Metric(area, False, "share of the image area inside the objects"),
    "pxap": Metric(pixel_precision, False, "average precision of the map's values for pixels of the objects"),
}
