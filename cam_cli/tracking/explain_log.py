"""Values for a tracker from a run folder of `camx explain`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..evaluation.marks import Mark, read_marks
from ..images.picture import file_state
from ..outputs.rows import BLANK, FAILED, OK, ImageRow, Prediction, first_map, number_of
from ..outputs.run_folder import RunFolder
from ..run_layout import is_inside
from ..sentences import counted
from .pictures import level_names, levels_of
from .results import image_cell
from .table_sample import TableSample
from .tracker import Box, Confusion, ImageCell, Scalar, Table, Value

#: Largest number of rows in a table: W&B stores it in one file.
_MOST_ROWS = 10_000
_SIDE = 512
#: Most maps of an image that become masks; most classes of a confusion matrix.
_MASKS, _CLASSES = 8, 100
#: Name of the mask and boxes of the ground truth, and names of its levels in the order of `evaluation.marks`.
_TRUTH, _TRUTH_LEVELS = "truth", ("no object", "object", "not scored")
_MEASURES = ("peak", "area", "center_x", "center_y", "border", "entropy")
_MAP_COLUMNS = (
    *("path", "map", "overlay", "label", "correct", "method", "layer", "target", "target_prob", "target_value"),
    *(f"cam_{name}" for name in _MEASURES),
)


@dataclass
class _Overview:
    """Counts and sums over all rows."""

    counts: Counter[str] = field(default_factory=Counter)
    labelled: int = 0
    correct: int = 0
    in_top_five: int = 0
    ranked: int = 0
    measured: int = 0
    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_MEASURES, 0.0))
    failures: list[list[Scalar | ImageCell]] = field(default_factory=list)
    _names: dict[int, str] = field(default_factory=dict)
    _predicted: Counter[int] = field(default_factory=Counter)
    _pairs: Counter[tuple[int | None, str, int]] = field(default_factory=Counter)
    _right: Counter[tuple[int | None, str]] = field(default_factory=Counter)

    def add(self, row: ImageRow) -> None:
        self.counts[row["status"]] += 1
        if row["status"] == FAILED and len(self.failures) < _MOST_ROWS:
            self.failures.append([row["image"], row.get("label", ""), row.get("error", "")])
        top = row.get("top", [])
        if top:
            self._names.update((entry["index"], entry["name"]) for entry in top)
            self._predicted[top[0]["index"]] += 1
        if top and "correct" in row:
            self._label(row, top)
        first = first_map(row)
        if row["status"] == OK and first.get("area") is not None:
            self.measured += 1
            for name in _MEASURES:
                self.sums[name] += number_of(first, name) or 0.0

    def _label(self, row: ImageRow, top: list[Prediction]) -> None:
        index = row.get("label_index")
        self.labelled += 1
        correct, label = row.get("correct", False), row.get("label", "")
        self.correct += correct
        self._pairs[index, label, top[0]["index"]] += 1
        self._right[index, label] += correct
        if index is not None:
            self.ranked += 1
            self.in_top_five += any(entry["index"] == index for entry in top[:5])

    def confusion(self) -> Counter[tuple[str, str]]:
        """Counts of (true class, predicted class)."""
        pairs: Counter[tuple[str, str]] = Counter()
        for (index, label, predicted), count in self._pairs.items():
            pairs[self._named(index, label), self._named(predicted)] += count
        return pairs

    def classes(self) -> list[list[Scalar | ImageCell]]:
        """Rows of class, number of predictions, number of labels, number correct and its share; most frequent first."""
        labelled, correct = Counter[str](), Counter[str]()
        for (actual, _), count in self.confusion().items():
            labelled[actual] += count
        for (index, label), count in self._right.items():
            correct[self._named(index, label)] += count
        predicted = Counter({self._named(index): count for index, count in self._predicted.items()})
        names = sorted({*predicted, *labelled}, key=lambda name: (-labelled[name], -predicted[name], name))
        return [
            [name, predicted[name], labelled[name], correct[name], _share(correct[name], labelled[name])]
            for name in names[:_MOST_ROWS]
        ]

    def _named(self, index: int | None, label: str = "") -> str:
        """Name of the class with this index, or the label itself if no prediction has named the class. Classes that
        share a name get their index in brackets."""
        if index is None or index not in self._names:
            return label
        name = self._names[index]
        return f"{name} ({index})" if name in self._shared_names else name

    @cached_property
    def _shared_names(self) -> set[str]:
        """Names that several classes share. Valid after the last row."""
        return {name for name, count in Counter(self._names.values()).items() if count > 1}


def explain_log(run: RunFolder, cap: int) -> tuple[dict[str, Value], dict[str, Scalar], list[str]]:
    """Returns tables of at most `cap` images, the confusion matrix, the summary, and sentences for the user."""
    overview, sample = _Overview(), TableSample(cap)
    for row in run.rows():
        overview.add(row)
        sample.add(row)
    chosen = sample.chosen()
    rows = list(run.rows(chosen))
    # A network with values as outputs has no classes: these columns are empty.
    top_k = max([1, *(len(row.get("top", ())) for row in rows)])
    originals, truth = _Originals(run), read_marks(run, chosen)
    table = Table(_columns(top_k), [_cells(row, chosen[row["image"]], top_k, run, originals, truth) for row in rows])
    values: dict[str, Value] = {
        "explanations": table,
        "maps": Table(_MAP_COLUMNS, [cells for row in rows for cells in _map_cells(row, run)][:_MOST_ROWS]),
        "classes": Table(("class", "predicted", "labelled", "correct", "accuracy"), overview.classes()),
    }
    if overview.failures:
        values["failures"] = Table(("path", "label", "error"), overview.failures)
    if overview.labelled:
        values["confusion"] = Confusion(most_common(overview.confusion()))
    words = [f"the table shows {sample.words()}"]
    if originals.missing:
        words.append(
            f"{counted(originals.missing, 'image')} moved or changed since the run: the table has only their overlays"
        )
    if overview.counts[FAILED] > len(overview.failures):
        words.append(f"the first {len(overview.failures)} of {overview.counts[FAILED]} failures")
    return values, _summary(overview, len(rows)), words


def _map_cells(row: ImageRow, run: RunFolder) -> Iterator[list[Scalar | ImageCell]]:
    """One row per map of an image, with its overlay: several methods are below each other."""
    for place, one in enumerate(row.get("maps", ())):
        yield [
            *(row["image"], place, image_cell(run, one.get("overlay")), row.get("label") or None, row.get("correct")),
            *(one.get("method"), one.get("layer"), one.get("target_name"), one.get("target_prob")),
            *(one.get("target_value"), *(number_of(one, name) for name in _MEASURES)),
        ]


def _columns(top_k: int) -> tuple[str, ...]:
    others = [f"top{k}_{what}" for k in range(2, top_k + 1) for what in ("name", "prob")]
    return (
        *("image", "overlay", "chosen", "label", "prediction", "probability", "correct"),
        *others,
        *("method", "layer", "target", "target_prob", *(f"cam_{name}" for name in _MEASURES)),
        *("status", "width", "height", "path"),
    )


def _cells(
    row: ImageRow, why: str, top_k: int, run: RunFolder, originals: _Originals, truth: Mapping[str, Mark]
) -> list[Scalar | ImageCell]:
    first = first_map(row)
    ranked: list[Scalar] = [value for entry in row.get("top", ()) for value in (entry["name"], entry["prob"])]
    ranked += [None] * (2 * top_k - len(ranked))
    return [
        _picture(row, originals, truth.get(row["image"])),
        image_cell(run, first.get("overlay")),
        *(why, row.get("label") or None, *ranked[:2], row.get("correct")),
        *ranked[2:],
        *(first.get("method"), first.get("layer"), first.get("target_name"), first.get("target_prob")),
        *(number_of(first, name) for name in _MEASURES),
        *(row["status"], row.get("width"), row.get("height"), row["image"]),
    ]


def _picture(row: ImageRow, originals: _Originals, truth: Mark | None) -> ImageCell | None:
    """The plain image with the levels of its maps and the ground truth as masks, and with the boxes of the first map
    and of the truth.

    Masks have the same names in all rows, so that one switch in the table shows one kind of map.
    """
    path = originals.path(row)
    if path is None:
        return None
    masks: dict[str, np.ndarray] = {}
    boxes: dict[str, list[Box]] = {}
    places = Counter[str]()
    maps = row.get("maps", [])[:_MASKS]
    for map_row in maps:
        method = map_row.get("method", "")
        places[method] += 1
        grid = levels_of(map_row, row.get("width", 1), row.get("height", 1))
        if grid is not None:
            masks[method if places[method] == 1 else f"{method} {places[method]}"] = grid
            if not boxes and map_row.get("box"):
                left, top, right, bottom = map_row["box"]
                boxes["half of the peak"] = [Box((left, top, right, bottom), map_row.get("target_name", ""))]
    names = level_names(maps)
    if truth is not None:
        masks[_TRUTH] = truth.grid + np.uint8(len(names))
        names += _TRUTH_LEVELS
        boxes[_TRUTH] = [Box(position, name) for position, name in truth.boxes]
    return ImageCell(path, _SIDE, masks, names, boxes)


class _Originals:
    """Finds the files of the explained images. On another machine only thumbnails may exist, or nothing."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self.missing = 0

    def path(self, row: ImageRow) -> str | None:
        """Path of the image if its file is unchanged, else of its thumbnail."""
        path = os.path.join(self._run.inputs, row["image"])
        if (
            self._as_shown(row)
            and is_inside(row["image"])
            and file_state(path) == (row.get("bytes"), row.get("mtime_ns"))
        ):
            return path
        thumbnail = image_cell(self._run, row.get("thumb"))
        self.missing += thumbnail is None
        return thumbnail.path if thumbnail else None

    def _as_shown(self, row: ImageRow) -> bool:
        """Whether reading the file with default options gives the image on which the maps lie."""
        pixels = row.get("pixels", {})
        stored = self._run.record.get("fingerprint", {}).get("pixels", {}).get("exif") == "ignore"
        return not ({"levels", "bands"} & pixels.keys() or (stored and "orientation" in pixels))


def most_common(confusion: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """The square confusion matrix of the most frequent classes, with its zeros."""
    occurs: Counter[str] = Counter()
    for pair, count in confusion.items():
        for name in pair:
            occurs[name] += count
    kept = sorted(name for name, _ in occurs.most_common(_CLASSES))
    return {(actual, predicted): confusion.get((actual, predicted), 0) for actual in kept for predicted in kept}


def _summary(overview: _Overview, rows: int) -> dict[str, Scalar]:
    counts = overview.counts
    return {
        "images": sum(counts.values()),
        **{status: counts[status] for status in (OK, FAILED, BLANK)},
        "labelled": overview.labelled,
        "accuracy@1": _share(overview.correct, overview.labelled),
        "accuracy@5": _share(overview.in_top_five, overview.ranked),
        **{f"cam_{name}": _share(overview.sums[name], overview.measured) for name in _MEASURES},
        "table/rows": rows,
        "table/of": sum(counts.values()) - counts[FAILED],
    }


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None
