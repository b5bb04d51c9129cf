"""Curves and histograms of an evaluation for its page and for trackers, from `summary.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .faithful_scores import BASELINES, SCORES

Line = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class Figure:
    """A chart. lines: x and y over [0, 1] by name, the most important first. counts: histogram over equal bins of [0,
    1], and that of a baseline."""

    title: str
    note: str
    lines: Mapping[str, Line] = field(default_factory=dict)
    counts: Sequence[int] = ()
    baseline: Sequence[int] = ()


def localisation_figures(content: Mapping[str, Any]) -> list[Figure]:
    """Charts of the maps of one method: an element of `maps` in the summary."""
    drawn = content["curves"]
    if not drawn:
        return []
    thresholds = drawn["thresholds"]
    boxes: dict[str, Line] = {
        f"IoU {iou:g}": (thresholds, values) for iou, values in zip(drawn["ious"], drawn["box_accuracy"])
    }
    boxes["always the centre, IoU 0.5"] = (thresholds, drawn["box_accuracy_centre"][1])
    precision: dict[str, Line] = {
        "maps": (drawn["recall"], drawn["precision"]),
        "always the centre": (drawn["recall_centre"], drawn["precision_centre"]),
    }
    return [
        Figure("Boxes that fit", "share of maps over the threshold, a share of the peak", boxes),
        Figure("Precision over recall", "of pixels, all maps together", precision),
        Figure(
            "IoU of the box",
            "at the chosen threshold",
            counts=drawn["iou_histogram"],
            baseline=drawn["iou_histogram_centre"],
        ),
    ]


def faithfulness_figures(method: str, curves: Mapping[str, Mapping[str, Sequence[float]]]) -> list[Figure]:
    """Mean curves of one method and the baselines. curves: by method and name."""
    return [
        Figure(
            name.replace("_", " "),
            SCORES[name].sentence if name in SCORES else "mean over the images",
            {
                one: (_shares(curves[one][name]), curves[one][name])
                for one in (method, *BASELINES)
                if name in curves.get(one, {})
            },
        )
        for name in curves.get(method, {})
    ]


def _shares(points: Sequence[float]) -> list[float]:
    return [place / max(1, len(points) - 1) for place in range(len(points))]
