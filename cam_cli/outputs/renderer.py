"""Renders an explanation to files and a row, in a worker process without torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, cast

import numpy as np

from ..images.listing import Source
from ..images.picture import Picture, Unreadable
from ..images.pixels import PixelFacts
from ..maps import sketch
from ..maps.explanation import ClassMap, Explanation
from ..maps.explanation import Prediction as ClassProbability
from ..maps.measures import measured, on_raster
from ..redaction import redacted
from ..run_layout import THUMBNAILS, output_name
from .caption_words import caption_of
from .drawing import drawing_of, encode_thumbnail
from .options import RUN, SPOTS, Rendering
from .pixels_row import PixelsRow
from .rows import BLANK, FAILED, OK, ImageRow, MapRow, Prediction, Sketch
from .savers import COLOURED, encoded_files, kinds_of
from .spots import RowWithSpots, encoded

#: An image is dark, white or flat if its luma lies within this many levels, apart from this share at each end.
_ODD, _NARROW = 0.01, 16


class Rendered(NamedTuple):
    """Row of one image, and the bytes of its files by their names in OUT."""

    row: ImageRow
    files: dict[str, bytes]


@dataclass(frozen=True)
class ExplanationRenderer:
    """Renders explanations. Can be pickled; imports no torch.

    thumbnail: long side in pixels of the thumbnail for the report; 0 for none.
    """

    rendering: Rendering
    thumbnail: int = 0

    def render(self, explanation: Explanation) -> Rendered:
        """Row and files of one explanation."""
        picture, files = explanation.picture, dict[str, bytes]()
        row = base_row(picture)
        if explanation.problem:
            return Rendered({**row, "error": explanation.problem}, files)
        if not any(one.prediction.value is not None for one in explanation.maps):
            row["top"] = [_prediction(one) for one in explanation.ranking]
        if explanation.truth is not None and explanation.correct is not None:
            truth = explanation.truth
            row |= {"label": truth.text, "correct": explanation.correct, "label_index": truth.index}
            row |= {"label_prob": truth.probability, "label_rank": truth.rank}
        if explanation.boxes is not None:
            row["boxes"] = explanation.boxes
        row["seen"] = _seen(picture)
        row["frame"] = [round(edge, 3) for edge in picture.frame]
        row["maps"] = [self._map_row(explanation, class_map, row, files) for class_map in explanation.maps]
        if self.thumbnail:
            row["thumb"] = output_name(THUMBNAILS, picture.source.key, ".jpg", apart=picture.source.apart)
            files[row["thumb"]] = encode_thumbnail(picture.image, self.thumbnail)
        if SPOTS in self.rendering.save:
            place = (picture.frame, picture.width, picture.height)
            spots = [encoded(class_map.spots, *place) for class_map in explanation.maps]
            row = cast(ImageRow, RowWithSpots(**row, spots_row={"image": row["image"], "maps": spots}))
        blank = not row["maps"] or row["maps"][0]["area"] is None
        if blank:
            return Rendered(
                {**row, "status": BLANK, "error": explanation.blank or "the map is zero or not finite"}, files
            )
        return Rendered({**row, "status": OK, "error": ""}, files)

    def _map_row(self, explanation: Explanation, class_map: ClassMap, row: ImageRow, files: dict[str, bytes]) -> MapRow:
        """Row of one map of an image. Adds its files to `files`. row: of the image, with its classes.

        A blank map gets no measures and no files.
        """
        target = class_map.prediction
        peak = _peak(class_map)
        map_row: MapRow = {
            "method": class_map.method,
            "layer": class_map.layer,
            "target_index": target.index,
            "target_name": target.name,
            **_score(target),
            "peak": peak if np.isfinite(peak) else None,
            "area": None,
            "grid": [*class_map.values.shape],
        }
        if class_map.energies:
            map_row["energies"] = {
                layer: energy if np.isfinite(energy) else None for layer, energy in class_map.energies
            }
        if class_map.concept is not None:
            map_row["concept"] = class_map.concept
            map_row["concept_classes"] = [_prediction(one) for one in class_map.concept_classes]
        if class_map.found is not None:
            edges = [round(edge, 3) for edge in class_map.found.edges]
            map_row["found"] = {"index": class_map.found.index, "edges": edges}
        picture = explanation.picture
        scale, several = self.rendering.scale_of(class_map.method), len(explanation.maps) > 1
        drawing = drawing_of(picture, class_map, scale)
        if drawing is None:
            return map_row
        # A two-sided map is measured by its magnitude.
        place = (picture.frame, picture.width, picture.height)
        mass = on_raster(np.abs(drawing.heat), *place)
        signed = on_raster(drawing.heat, *place) if class_map.two_sided else mass
        threshold = self.rendering.threshold_of(class_map.method)
        numbers = measured(mass, threshold.value)
        map_row |= {
            "area": numbers.area,
            "center_x": numbers.center_x,
            "center_y": numbers.center_y,
            "border": numbers.border,
            "entropy": numbers.entropy,
            "box": [*numbers.box],
            "component": {
                "threshold": threshold.value,
                "box": [*numbers.component],
                "threshold_from": "calibrated" if threshold.calibrated else "fixed",
            },
            "sketch": cast(Sketch, sketch.encode(signed, two_sided=class_map.two_sided)),
        }
        if scale is not None:
            map_row["colour_scale"] = scale
        if self.rendering.panel:
            caption = caption_of(row, map_row, several=several, shares=class_map.outline is not None)
            drawing = replace(drawing, caption=caption)
        # With one scale for the run, coloured files are drawn when the peaks of all maps are known.
        later = COLOURED if self.rendering.scale == RUN and scale is None else frozenset[str]()
        kinds = [kind for kind in kinds_of(self.rendering) if kind not in later]
        for kind, (name, data) in encoded_files(
            kinds, drawing, picture.source, map_row, self.rendering, several=several
        ).items():
            files[name] = data
            map_row |= cast(MapRow, {kind: name})
        return map_row


def _prediction(one: ClassProbability) -> Prediction:
    return {"index": one.index, "name": one.name, "prob": one.probability}


def _score(target: ClassProbability) -> MapRow:
    """Probability of a class, or the value of an output that is no class."""
    return {"target_prob": target.probability} if target.value is None else {"target_value": target.value}


def _peak(class_map: ClassMap) -> float:
    """Largest raw value; of a two-sided map the signed value with the largest magnitude."""
    low, high = float(class_map.values.min()), float(class_map.values.max())
    return low if class_map.two_sided and -low > high else high


def _seen(picture: Picture) -> list[float]:
    """Part of the image in the frame: left, top, right, bottom in [0, 1] of width and height."""
    frame = picture.frame
    across = [min(1.0, max(0.0, x / picture.width)) for x in (frame.left, frame.right)]
    down = [min(1.0, max(0.0, y / picture.height)) for y in (frame.top, frame.bottom)]
    return [round(share, 5) for share in (across[0], down[0], across[1], down[1])]


def base_row(image: Picture | Unreadable) -> ImageRow:
    """Fields that every row has, with status `failed` and without a position in the input (-1)."""
    source, state = image.source, image.state
    row = with_truth({"image": source.key, "index": -1, "status": FAILED, "error": ""}, source)
    row |= {"bytes": state.size, "mtime_ns": state.mtime_ns}
    if image.digest:
        row["sha256"] = image.digest
    if isinstance(image, Picture):
        row |= {"width": image.width, "height": image.height}
        if pixels := _pixels(image.facts):
            row["pixels"] = pixels
        if image.canvas.size:
            luma = np.array(image.image.convert("L").histogram())
            row["brightness"] = round(float(luma @ np.arange(256) / luma.sum()) / 255, 5)
            if look := _look(luma):
                row["look"] = look
    return row


def _pixels(facts: PixelFacts) -> PixelsRow:
    row = PixelsRow()
    if facts.mode:
        row["mode"] = facts.mode
    if facts.levels:
        row["levels"] = [*facts.levels]
    if facts.nodata is not None:
        row["nodata"] = facts.nodata
    if facts.frames > 1:
        row |= {"frames": facts.frames, "frame": facts.frame}
    if facts.orientation > 1:
        row["orientation"] = facts.orientation
    if not facts.opaque:
        row["opaque"] = False
    if facts.bands:
        row["bands"] = [*facts.bands]
    return row


def _look(luma: np.ndarray) -> Literal["dark", "white", "flat"] | None:
    """`dark`, `white` or `flat` from the luma histogram without 1 % at each end; None for any other image."""
    below = luma.cumsum() / luma.sum()
    low, high = int(np.searchsorted(below, _ODD)), int(np.searchsorted(below, 1 - _ODD))
    if high < _NARROW:
        return "dark"
    if low > 255 - _NARROW:
        return "white"
    return "flat" if high - low < _NARROW else None


def with_truth(row: ImageRow, source: Source) -> ImageRow:
    """Row with the current labels and attributes of the source."""
    now: ImageRow = {**row, "label": source.label}
    now.pop("labels", None)
    now.pop("attributes", None)
    if source.more_labels:
        now["labels"] = [*source.labels]
    if source.attributes:
        now["attributes"] = dict(source.attributes)
    return now


def failed_row(unreadable: Unreadable) -> ImageRow:
    """Row of an image that cannot be explained."""
    return {**base_row(unreadable), "error": redacted(unreadable.reason)}
