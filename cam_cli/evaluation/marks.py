"""Stores the truth of each image on a small grid in `OUT/evaluate/truth.jsonl`, for trackers."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import UnreadableImage
from ..images.annotations.run_lengths import decoded, encoded
from ..outputs.run_folder import RunFolder
from ..run_layout import EVALUATE
from .cases import Case

MARKS, _SUMMARY = "truth.jsonl", "summary.json"
#: Levels of a grid: no object, object, not scored (crowd, void).
NOTHING, OBJECT, IGNORED = range(3)
_MOST_CELLS = 1024


@dataclass(frozen=True)
class Mark:
    """Truth of one image. grid: h×w of `NOTHING`, `OBJECT` or `IGNORED` over the whole upright image. boxes: left, top,
    right, bottom in [0, 1] and class of objects that have only boxes."""

    grid: np.ndarray
    boxes: tuple[tuple[tuple[float, float, float, float], str], ...]


@dataclass
class Marks:
    """Collects the truth of the cases that pass through as lines of `MARKS`, one per image and class."""

    lines: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def collected(self, cases: Iterable[Case]) -> Iterator[Case]:
        """Yields the cases unchanged."""
        for case in cases:
            key = (case.record.image, case.name)
            if key not in self.lines:
                self.lines[key] = _line(case)
            yield case


def _line(case: Case) -> bytes:
    truth = case.truth
    rows, columns = truth.inside.shape
    boxes = [] if truth.outlined else np.round(truth.boxes / ([columns, rows] * 2), 5).clip(0, 1).tolist()
    content = {
        "image": case.record.image,
        "class": case.name,
        "size": [rows, columns],
        "inside": encoded(truth.inside >= 0.5),
        "ignored": encoded(truth.ignored >= 0.5),
        "boxes": boxes,
    }
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def read_marks(run: RunFolder, images: Collection[str]) -> dict[str, Mark]:
    """Truth of these images from the last evaluation of the run, without damaged lines.

    Empty without an evaluation, or if it belongs to another run.
    """
    found: dict[str, list[Mark]] = {}
    try:
        summary = json.loads(run.read_file(f"{EVALUATE}/{_SUMMARY}"))
        if summary["run"]["fingerprint"] != run.record.get("fingerprint"):
            return {}
        lines = run.read_file(f"{EVALUATE}/{MARKS}").splitlines()
    except (UnreadableImage, ValueError, KeyError, TypeError, RecursionError):
        return {}
    for line in lines:
        try:
            content = json.loads(line)
            if content["image"] in images:
                mark = _mark(content)
                found.setdefault(content["image"], []).append(mark)
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return {image: _together(marks) for image, marks in found.items()}


def _mark(content: Mapping[str, Any]) -> Mark:
    rows, columns = (int(side) for side in content["size"])
    if not (0 < rows <= _MOST_CELLS and 0 < columns <= _MOST_CELLS):
        raise ValueError("the grid has no such size")
    grid = np.full((rows, columns), NOTHING, np.uint8)
    grid[decoded(content["ignored"], columns, rows)] = IGNORED
    grid[decoded(content["inside"], columns, rows)] = OBJECT
    boxes = tuple((_box(edges), str(content["class"])) for edges in content["boxes"])
    return Mark(grid, boxes)


def _box(edges: Any) -> tuple[float, float, float, float]:
    left, top, right, bottom = (min(1.0, max(0.0, float(edge))) for edge in edges)
    return left, top, right, bottom


def _together(marks: list[Mark]) -> Mark:
    """Combines the truth of all classes of an image: an object of one class overrides what others ignore."""
    first = marks[0]
    same = [mark for mark in marks if mark.grid.shape == first.grid.shape]
    grid = first.grid.copy()
    for mark in same:
        grid[(mark.grid == IGNORED) & (grid == NOTHING)] = IGNORED
        grid[mark.grid == OBJECT] = OBJECT
    return Mark(grid, tuple(box for mark in same for box in mark.boxes))
