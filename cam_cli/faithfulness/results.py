"""Converts an evaluation to a journal row, and rows to `faithfulness.csv`. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from ..evaluation.faithful_scores import METRICS
from ..maps import sketch
from ..maps.heatmap import normalised
from ..maps.measures import on_raster
from ..outputs.drawing import encode_thumbnail
from ..outputs.renderer import Rendered, base_row
from ..outputs.rows import BLANK, OK, ImageRow, MapRow, Sketch
from ..outputs.tables import line, number, text
from ..run_layout import THUMBNAILS, output_name
from .evaluation import Evaluation, ScoredMap

_ABOUT = (
    "image",
    "status",
    "error",
    "label",
    "correct",
    "method",
    "layer",
    "target_index",
    "target_name",
    "target_prob",
)


@dataclass(frozen=True)
class EvaluationRenderer:
    """Renders evaluations; can be pickled. thumbnail: long side of the thumbnail for the report; 0 for none."""

    thumbnail: int = 0

    def render(self, evaluation: Evaluation) -> Rendered:
        """Row and files of one evaluation."""
        picture, files = evaluation.picture, dict[str, bytes]()
        row = base_row(picture)
        if evaluation.problem:
            return Rendered({**row, "error": evaluation.problem}, files)
        row["top"] = [{"index": one.index, "name": one.name, "prob": one.probability} for one in evaluation.ranking]
        if evaluation.truth is not None and evaluation.correct is not None:
            truth = evaluation.truth
            row |= {"label": truth.text, "correct": evaluation.correct, "label_index": truth.index}
            row |= {"label_prob": truth.probability, "label_rank": truth.rank}
        row["frame"] = [round(edge, 3) for edge in picture.frame]
        row["maps"] = [self._map_row(evaluation, one) for one in evaluation.maps]
        if self.thumbnail:
            row["thumb"] = output_name(THUMBNAILS, picture.source.key, ".jpg", apart=picture.source.apart)
            files[row["thumb"]] = encode_thumbnail(picture.image, self.thumbnail)
        if not any(one.shown for one in evaluation.maps if one.layer):
            return Rendered({**row, "status": BLANK, "error": "the map is zero or not finite"}, files)
        return Rendered({**row, "status": OK, "error": ""}, files)

    def _map_row(self, evaluation: Evaluation, scored: ScoredMap) -> MapRow:
        picture, target = evaluation.picture, scored.prediction
        row: MapRow = {
            "method": scored.method,
            "layer": scored.layer,
            "target_index": target.index,
            "target_name": target.name,
            "target_prob": target.probability,
            "grid": [*scored.values.shape],
        }
        heat = normalised(scored.values) if scored.shown and scored.layer else None
        if heat is not None:
            mass = on_raster(heat, picture.frame, picture.width, picture.height)
            row["sketch"] = cast(Sketch, sketch.encode(mass))
        if scored.shown:
            row["scores"] = {name: _short(value) for name, value in scored.scores.items()}
        if scored.curves:
            row["curves"] = {name: [_short(point) for point in points] for name, points in scored.curves.items()}
        return row


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def table(rows: Iterable[ImageRow], metrics: tuple[str, ...]) -> Iterator[bytes]:
    """`faithfulness.csv` in pieces of UTF-8 (RFC 4180): one line per image and map, including baselines.

    A failed image has one line without a method.
    """
    names = [name for metric in metrics for name in METRICS[metric]]
    yield line([*_ABOUT, *names])
    for row in rows:
        yield b"".join(map(line, _lines(row, names)))


def _lines(row: ImageRow, names: list[str]) -> Iterator[list[Any]]:
    correct = row.get("correct")
    start = [
        *(text(row["image"]), row["status"], text(row.get("error", "")), text(row.get("label", ""))),
        "" if correct is None else "true" if correct else "false",
    ]
    if not row.get("maps"):
        yield [*start, *[""] * (len(_ABOUT) - len(start) + len(names))]
    for one in row.get("maps", ()):
        scores = one.get("scores", {})
        yield [
            *start,
            *(one.get("method", ""), text(one.get("layer", "")), one.get("target_index", "")),
            *(text(one.get("target_name", "")), number(one.get("target_prob"))),
            *(number(scores.get(name)) for name in names),
        ]
