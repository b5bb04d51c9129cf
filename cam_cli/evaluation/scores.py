"""Computes the scores of all cases and of the baseline as columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..maps.components import Components, components
from ..maps.sketch import enlarged
from .boxes import box_curves
from .cases import Case
from .metrics import BINS, METRICS, histograms
from .raster import LONG_SIDE, TruthRaster, centre_map


@dataclass(frozen=True)
class Columns:
    """Scores of N cases for one kind of map.

    values: N by metric. best, largest: N×T, IoU of the best and largest component at T thresholds. histograms:
    N×2×bins, values inside and outside the objects.
    """

    values: dict[str, np.ndarray]
    best: np.ndarray
    largest: np.ndarray
    histograms: np.ndarray

    def of(self, chosen: np.ndarray) -> Columns:
        """Columns of selected cases."""
        values = {name: column[chosen] for name, column in self.values.items()}
        return Columns(values, self.best[chosen], self.largest[chosen], self.histograms[chosen])


@dataclass(frozen=True)
class CaseInfo:
    """Facts of a case. right: the map shows the predicted class. alone: the truth of the image has one class.
    held_apart: its image only serves to choose the threshold."""

    image: str
    name: str
    method: str
    layer: str
    which: str
    target: str
    right: bool
    alone: bool
    held_apart: bool
    attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Scores:
    """All cases in order: facts, and scores of the maps and of the centre baseline."""

    cases: tuple[CaseInfo, ...]
    maps: Columns
    centre: Columns

    def of(self, chosen: np.ndarray) -> Scores:
        """Scores of selected cases; `chosen` is a mask or indices."""
        kept = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return Scores(tuple(self.cases[i] for i in kept), self.maps.of(kept), self.centre.of(kept))


def scored(cases: Iterable[Case], thresholds: np.ndarray, calibrate: float) -> Scores:
    """Scores all cases at `thresholds`. Holds out a share `calibrate` of the images, selected by name."""
    infos, ours, theirs = [], _Collector(), _Collector()
    centres: dict[tuple[int, ...], Components] = {}
    for case in cases:
        assert case.map.cells is not None
        heat = enlarged(case.map.cells, case.record.width, case.record.height, LONG_SIDE)
        assert heat is not None
        shape = heat.shape
        if shape not in centres:
            centres[shape] = components(centre_map(*shape), thresholds)
        ours.add(heat, components(heat, thresholds), case.truth, len(thresholds))
        theirs.add(centre_map(*shape), centres[shape], case.truth, len(thresholds))
        infos.append(
            CaseInfo(
                case.record.image,
                case.name or case.map.name,
                case.map.method,
                case.map.layer,
                case.which,
                case.map.name,
                case.map.index == case.record.predicted,
                case.alone,
                held_apart(case.record.image, calibrate),
                tuple(case.record.attributes.items()),
            )
        )
    return Scores(tuple(infos), ours.columns(len(thresholds)), theirs.columns(len(thresholds)))


class _Collector:
    """Collects scores case by case."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {name: [] for name in METRICS}
        self._best: list[np.ndarray] = []
        self._largest: list[np.ndarray] = []
        self._histograms: list[np.ndarray] = []

    def add(self, heat: np.ndarray, found: Components, truth: TruthRaster, thresholds: int) -> None:
        for name, metric in METRICS.items():
            self._values[name].append(metric.score(heat, truth))
        curves = box_curves(found, truth.boxes, thresholds)
        self._best.append(curves.best)
        self._largest.append(curves.largest)
        self._histograms.append(histograms(heat, truth))

    def columns(self, thresholds: int) -> Columns:
        values = {name: np.array(column, dtype=np.float64) for name, column in self._values.items()}
        best, largest = (
            np.array(some, dtype=np.float32).reshape(-1, thresholds) for some in (self._best, self._largest)
        )
        return Columns(values, best, largest, np.array(self._histograms, dtype=np.float32).reshape(-1, 2, BINS))


def held_apart(image: str, share: float) -> bool:
    """Whether an image belongs to the held-out share. Depends only on its name."""
    digest = hashlib.sha256(image.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
