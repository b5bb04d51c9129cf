"""Writes the files of `camx evaluate` into OUT/evaluate: tables, left-out images and objects, and a summary."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..gates import junit
from ..outputs import tables
from ..outputs.folder_errors import explained_errors
from ..outputs.store import write_file
from .boxes import IOUS
from .figures import ChosenThreshold, Measured, columns
from .marks import MARKS
from .metrics import BINS
from .records import CLASS, Localisation, MapSet
from .scores import Columns, Scores

FOLDER = "evaluate"
SUMMARY, IMAGES, GROUPS, LEFT_OUT = "summary.json", "images.csv", "groups.csv", "left_out.csv"
_SCORES = ("pointing", "pointing_tol", "energy", "box_iou", "best_iou", "pxap", "area_truth")
_IMAGE_COLUMNS = ("image", "class", *_SCORES, "method", "layer", "map", "target", "held_apart")
_FIGURE = ("n", "value", "low", "high", "baseline", "gain", "gain_low", "gain_high")
_BINS = 20


def write_files(found: Localisation, folder: str) -> list[str]:
    """Writes all files into a folder atomically and returns their paths. Raises `CamxError` if that fails."""
    contents: dict[str, Iterator[bytes] | bytes] = {
        IMAGES: _images(found),
        GROUPS: _groups(found),
        LEFT_OUT: _left_out(found),
        MARKS: iter(found.marks.lines.values()),
        SUMMARY: json.dumps(summary(found), indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n",
    }
    paths = []
    with explained_errors(folder):
        for name, content in contents.items():
            paths.append(os.path.join(folder, name))
            write_file(paths[-1], content, durable=True, below=folder)
    return paths


def _images(found: Localisation) -> Iterator[bytes]:
    yield tables.line(list(_IMAGE_COLUMNS))
    for one in found.sets:
        for scores in (one.scores, one.other):
            values = {name: column.ours for name, column in columns(scores, one.chosen).items()}
            for place, case in enumerate(scores.cases):
                numbers = [tables.number(_known(values[name][place])) for name in _SCORES]
                about = [case.method, tables.text(case.layer), case.which, tables.text(case.target)]
                held = "true" if case.held_apart and not one.chosen.fixed else "false"
                yield tables.line([tables.text(case.image), tables.text(case.name), *numbers, *about, held])


def _groups(found: Localisation) -> Iterator[bytes]:
    yield tables.line(["by", "group", "method", "metric", *_FIGURE])
    for one in found.sets:
        for group in one.groups:
            for name, figures in group.measured.figures.items():
                for place, figure in enumerate(figures):
                    numbers = [tables.number(_known(value)) for value in list(figure.__dict__.values())[2:]]
                    text = tables.text(group.names[place])
                    yield tables.line([tables.text(group.by), text, one.method, name, figure.n, *numbers])


def _left_out(found: Localisation) -> Iterator[bytes]:
    yield tables.line(["image", "thing", "reason", "detail"])
    for problem in found.problems.found:
        yield tables.line([tables.text(cell) for cell in problem])


def summary(found: Localisation) -> dict[str, Any]:
    """All figures as JSON, with their context."""
    run, options = found.run.record, found.options
    return {
        "schema": 1,
        "run": {name: run.get(name) for name in ("state", "finished", "fingerprint")},
        "truth": {"path": options.truth, "format": found.truth_format},
        "confidence": options.confidence,
        "images": found.images,
        "left_out": found.problems.counts(),
        "notes": list(found.notes),
        "maps": [_of_set(found, one) for one in found.sets],
        "gates": [gate.as_dict() for gate in found.gates],
    }


def _of_set(found: Localisation, one: MapSet) -> dict[str, Any]:
    return {
        "method": one.method,
        "layer": one.layer,
        "threshold": _threshold(found, one.chosen, one.scores),
        "own": {"maps": len(one.scores.cases), "metrics": _metrics(one.whole)},
        "other": {"maps": len(one.other.cases), "metrics": _metrics(one.whole_other) if one.other.cases else {}},
        "by": {
            group.by: {name: _metrics(group.measured, place) for place, name in enumerate(group.names)}
            for group in one.groups
            if group.by != CLASS or len(group.names) <= 100
        },
        "curves": _curves(found.thresholds, one.chosen, one.scores) if one.scores.cases else {},
    }


def _threshold(found: Localisation, chosen: ChosenThreshold, scores: Scores) -> dict[str, Any]:
    apart = 0 if chosen.fixed else sum(case.held_apart for case in scores.cases)
    value = None if chosen.ours is None else float(found.thresholds[chosen.ours])
    return {"value": value, "how": "given" if chosen.fixed else "calibrated", "maps_held_apart": apart}


def _metrics(measured: Measured, place: int = 0) -> dict[str, Any]:
    return {name: figures[place].as_dict() for name, figures in measured.figures.items()}


def _curves(thresholds: np.ndarray, chosen: ChosenThreshold, scores: Scores) -> dict[str, Any]:
    """Curves for the report: box accuracy over thresholds, precision over recall, histogram of IoU."""
    at = columns(scores, chosen)["box_iou"]
    return {
        "thresholds": thresholds.tolist(),
        "ious": list(IOUS),
        "box_accuracy": _accuracies(scores.maps),
        "box_accuracy_centre": _accuracies(scores.centre),
        **_precision("", scores.maps),
        **_precision("_centre", scores.centre),
        "iou_histogram": np.histogram(at.ours[np.isfinite(at.ours)], _BINS, (0, 1))[0].tolist(),
        "iou_histogram_centre": np.histogram(at.theirs[np.isfinite(at.theirs)], _BINS, (0, 1))[0].tolist(),
    }


def _accuracies(some: Columns) -> list[list[float]]:
    return [np.round((some.best >= iou).mean(0), 4).tolist() for iou in IOUS]


def _precision(suffix: str, some: Columns) -> dict[str, Any]:
    pooled = some.histograms.sum(0, dtype=np.float64)[:, ::-1].cumsum(1)
    true, everything = pooled[0], pooled.sum(0)
    precision = np.divide(true, everything, out=np.ones(BINS), where=everything > 0)
    return {
        f"recall{suffix}": np.round(true / max(true[-1], 1e-12), 4).tolist(),
        f"precision{suffix}": np.round(precision, 4).tolist(),
    }


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def junit_file(found: Localisation) -> bytes:
    """Gates as JUnit XML."""
    return junit("evaluate", found.gates)
