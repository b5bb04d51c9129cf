"""Finds the parts of maps above a threshold, in pixels of the upright images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import CamxError, nearest
from ..evaluation.calibration import Threshold, calibrated
from ..evaluation.folder import ExplainedRun
from ..evaluation.journal import ImageRecord, MapRecord, image_record
from ..images.annotations.rasterise import filled
from ..images.geometry import fitted
from ..maps.contours import Part, parts, simplified
from ..maps.sketch import enlarged
from ..maps.thresholds import otsu
from .options import AUTO, ExportOptions

#: Long side of the raster on which parts are outlined.
LONG_SIDE = 256
#: Largest deviation of a simplified outline: pixels of the image, or a share of its long side.
_TOLERANCE, _TOLERANCE_SHARE = 0.25, 1 / 2000


@dataclass(frozen=True)
class MapPart:
    """One part of a map, in pixels of the image (its edges are 0 and its size).

    outline, holes: n×2. point: x, y of its largest value. area: pixels². threshold: share of the peak. tolerance:
    largest deviation of a simplified polygon.
    """

    name: str
    probability: float
    method: str
    layer: str
    threshold: float
    outline: np.ndarray
    holes: tuple[np.ndarray, ...]
    area: float
    point: tuple[float, float]
    tolerance: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        (left, top), (right, bottom) = self.outline.min(0), self.outline.max(0)
        return float(left), float(top), float(right), float(bottom)

    @property
    def polygon(self) -> np.ndarray:
        """Outer edge, simplified within the tolerance."""
        return simplified(self.outline, self.tolerance)

    def mask(self, width: int, height: int) -> np.ndarray:
        """Pixels whose centres lie in the part: bool height×width."""
        inside = filled(self.outline, width, height)
        for hole in self.holes:
            inside &= ~filled(hole, width, height)
        return inside


@dataclass(frozen=True)
class ImageFindings:
    """An explained image with its parts, the most probable class first."""

    image: str
    width: int
    height: int
    found: tuple[MapPart, ...]


@dataclass(frozen=True)
class Exported:
    """All findings of a run and their origin. `images` reads them again for each format, to bound memory."""

    run: ExplainedRun
    options: ExportOptions
    method: str
    threshold: Threshold
    names: tuple[str, ...]
    provenance: dict[str, Any]

    def in_shape(self, shape: str) -> Exported:
        """Copy with another shape."""
        return replace(self, options=replace(self.options, shape=shape))

    def records(self) -> Iterator[ImageRecord]:
        """Explained images, in input order."""
        return filter(None, map(image_record, self.run.rows()))

    def images(self) -> Iterator[ImageFindings]:
        """Explained images with their parts, in input order."""
        for record in self.records():
            yield ImageFindings(record.image, record.width, record.height, tuple(self._of(record)))

    def _of(self, record: ImageRecord) -> Iterator[MapPart]:
        for one in sorted(record.maps, key=lambda one: -one.probability):
            if one.method == self.method and one.probability >= self.options.min_prob:
                yield from found_in(one, record.size, self.threshold.value, self.options)


def found_in(
    one: MapRecord, size: tuple[int, int], threshold: float | None, options: ExportOptions
) -> Iterator[MapPart]:
    """Parts of a map over an image of a size, largest first; empty for a blank map."""
    heat = None if one.cells is None else enlarged(one.cells, *size, LONG_SIDE)
    if heat is None:
        return
    tau = otsu(heat) if threshold is None else threshold
    columns, rows = fitted(*size, LONG_SIDE)
    scale = np.array([size[0] / columns, size[1] / rows])
    for part in parts(heat, tau, most=1 if options.parts == "largest" else None):
        if part.area >= options.least_area * columns * rows:
            yield _placed(part, one, tau, scale, max(_TOLERANCE, _TOLERANCE_SHARE * max(size)))


def _placed(part: Part, one: MapRecord, tau: float, scale: np.ndarray, tolerance: float) -> MapPart:
    return MapPart(
        name=one.name,
        probability=one.probability,
        method=one.method,
        layer=one.layer,
        threshold=tau,
        outline=part.outline * scale,
        holes=tuple(hole * scale for hole in part.holes),
        area=part.area * float(scale.prod()),
        point=(part.at[0] * float(scale[0]), part.at[1] * float(scale[1])),
        tolerance=tolerance,
    )


def findings(path: str, options: ExportOptions, version: str) -> Exported:
    """Opens the run of `camx explain` in `path` for an export. Reads its rows and changes nothing.

    Raises `CamxError` for an unfinished run, a run of no classifier, and if it has maps of several methods.
    """
    run = ExplainedRun(path, partial=options.partial)
    run.require_probabilities()
    methods, names = dict[str, str](), defaultdict[str, set[str]](set)
    for record in filter(None, map(image_record, run.rows())):
        for one in record.maps:
            methods.setdefault(one.method, one.layer)
            if one.probability >= options.min_prob:
                names[one.method].add(one.name)
    method = _method(list(methods), options.method, path)
    threshold = _threshold(run, method, options)
    fingerprint = run.record.get("fingerprint") or {}
    provenance = {
        "source": "camx",
        "version": version,
        "model": fingerprint.get("model", ""),
        "weights": fingerprint.get("weights", ""),
        "method": method,
        "layer": methods.get(method, ""),
        "threshold": threshold.value if threshold.value is not None else "otsu",
        "threshold_from": threshold.origin,
        "parts": options.parts,
        "finished": run.record.get("finished", ""),
    }
    return Exported(run, options, method, threshold, tuple(sorted(names[method])), provenance)


def _method(methods: list[str], wanted: str | None, path: str) -> str:
    if wanted is None:
        if len(methods) > 1:
            raise CamxError(f"{path!r} has maps of {', '.join(methods)}.", "Choose one with `method`.")
        return methods[0] if methods else ""
    if methods and wanted not in methods:
        hint = nearest(wanted, methods) or f" It has {', '.join(methods)}."
        raise CamxError(f"{path!r} has no maps of `method` {wanted!r}.{hint}", field="method")
    return wanted


def _threshold(run: ExplainedRun, method: str, options: ExportOptions) -> Threshold:
    if options.fixed is not None:
        return Threshold(options.fixed, "given")
    if options.threshold == AUTO:
        found = calibrated(run.path, run.record.get("fingerprint"))
        if method in found:
            return found[method]
        return Threshold(None, "Otsu's for each map, because `camx evaluate` has chosen none for this run")
    return Threshold(None, "Otsu's for each map")
