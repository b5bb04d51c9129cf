"""Scores of all cases, with those of the baseline beside them, as columns."""

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
    """Scores of N cases by one kind of map.

    `values` by metric, N each; `best` and `largest` N×T: IoU of the best and of the largest component at T thresholds;
    `histograms` N×2×bins: of values inside the objects and outside.
    """

    values: dict[str, np.ndarray]
    best: np.ndarray
    largest: np.ndarray
    histograms: np.ndarray

    def of(self, chosen: np.ndarray) -> Columns:
        """Those of some cases."""
        values = {name: column[chosen] for name, column in self.values.items()}
        return Columns(values, self.best[chosen], self.largest[chosen], self.histograms[chosen])


@dataclass(frozen=True)
class CaseInfo:
    """Facts of a case beside its pixels. `right`: the map is of the predicted class; `alone`: the truth of
    the image has one class; `held_apart`: its image only serves to choose the threshold."""

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
    """All cases in their order: what they are, and the scores of their maps and of the baseline in the middle."""

    cases: tuple[CaseInfo, ...]
    maps: Columns
    centre: Columns

    def of(self, chosen: np.ndarray) -> Scores:
        """Those of some cases, as a mask or as numbers."""
        kept = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return Scores(tuple(self.cases[i] for i in kept), self.maps.of(kept), self.centre.of(kept))


def scored(cases: Iterable[Case], thresholds: np.ndarray, calibrate: float) -> Scores:
    """The scores of all cases at `thresholds`; a share `calibrate` of the images, by their names, is held apart."""
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
    """Gathers scores case by case."""

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
    """Whether an image is of the share that a threshold is chosen on; its name decides, so it is always the same."""
    digest = hashlib.sha256(image.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
