"""Rows of a run as numpy columns, which keep audits of 100,000 images fast."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..outputs.rows import BLANK, FAILED, ImageRow, Prediction, first_map, number_of

#: Measures of a map, as `cam_…` columns.
MEASURES = ("peak", "area", "center_x", "center_y", "border", "entropy")
#: Instead of a class index: no label, and a label that is no class of the network.
NONE, UNKNOWN = -1, -2
_OF_ROW = ("label_prob", "width", "height", "brightness")


@dataclass(frozen=True)
class ImageTable:
    """N images in input order. failed, blank, several: bool; several: with several true classes.

    label: index of the true class in `classes`, or `NONE` or `UNKNOWN`. predicted: index of the top class, or `NONE`.
    correct: 1, 0, or NaN without a known label. numbers: columns of floats, NaN if missing: `prob` of the top class,
    `label_prob`, `width`, `height`, `brightness` and the `cam_…` of the first map. attributes: columns of texts, "" if
    missing.
    """

    images: Sequence[str]
    failed: np.ndarray
    blank: np.ndarray
    several: np.ndarray
    label: np.ndarray
    predicted: np.ndarray
    correct: np.ndarray
    classes: tuple[str, ...]
    numbers: Mapping[str, np.ndarray]
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labelled(self) -> np.ndarray:
        return np.asarray(np.isfinite(self.correct))

    def take(self, places: np.ndarray) -> ImageTable:
        """Table of these images, in this order."""
        listed = places.tolist()
        return replace(
            self,
            images=[self.images[place] for place in listed],
            attributes={name: [column[place] for place in listed] for name, column in self.attributes.items()},
            numbers={name: column[places] for name, column in self.numbers.items()},
            **{
                name: getattr(self, name)[places]
                for name in ("failed", "blank", "several", "label", "predicted", "correct")
            },
        )

    def with_attributes(self, columns: Mapping[str, Sequence[str]]) -> ImageTable:
        """With these columns, which replace those of the same name."""
        return replace(self, attributes={**self.attributes, **columns})

    def with_numbers(self, columns: Mapping[str, np.ndarray]) -> ImageTable:
        """With these columns, which replace those of the same name."""
        return replace(self, numbers={**self.numbers, **columns})


def image_table(rows: Iterable[ImageRow], class_names: Sequence[str] = ()) -> ImageTable:
    """Columns of journal rows. class_names: names of the network's classes by index, if known."""
    columns = TableBuilder(class_names)
    for row in rows:
        columns.add(row)
    return columns.table()


class TableBuilder:
    """Collects rows one by one, for callers that read them for another purpose, too."""

    def __init__(self, class_names: Sequence[str] = ()) -> None:
        self.names = dict(enumerate(class_names))
        self.several: list[bool] = []
        self.images: list[str] = []
        self.status: list[str] = []
        self.label_texts: list[str] = []
        self.label_indices: list[int] = []
        self.predicted: list[int] = []
        self.correct: list[float] = []
        self.numbers: dict[str, list[float]] = {
            name: [] for name in ("prob", *_OF_ROW, *(f"cam_{measure}" for measure in MEASURES))
        }
        self.attributes: dict[str, list[str]] = {}
        self.meaning: dict[str, int] = {}

    def add(self, row: ImageRow) -> None:
        best = next(iter(row.get("top", ())), None)
        text, index = row.get("label", ""), row.get("label_index", NONE)
        if best is not None:
            self.names.setdefault(best["index"], best["name"] or str(best["index"]))
        if index != NONE:
            self.meaning[text] = index
        correct = row.get("correct")
        for name, value in row.get("attributes", {}).items():
            column = self.attributes.setdefault(name, [])
            column += [""] * (len(self.images) - len(column))
            column.append(value)
        self.images.append(row["image"])
        self.status.append(row["status"])
        self.several.append(len(row.get("labels", ())) > 1)
        self.label_texts.append(text)
        self.label_indices.append(index)
        self.predicted.append(best["index"] if best else NONE)
        self.correct.append(math.nan if correct is None else float(correct))
        self._add_numbers(row, best)

    def _add_numbers(self, row: ImageRow, best: Prediction | None) -> None:
        found: dict[str, float | None] = {
            "prob": best["prob"] if best else None,
            "label_prob": row.get("label_prob"),
            "width": row.get("width"),
            "height": row.get("height"),
            "brightness": row.get("brightness"),
        }
        if row["status"] != BLANK:
            shown = first_map(row)
            found |= {f"cam_{measure}": number_of(shown, measure) for measure in MEASURES}
        for name, column in self.numbers.items():
            value = found.get(name)
            column.append(math.nan if value is None else value)

    def table(self) -> ImageTable:
        for text, index in self.meaning.items():
            self.names.setdefault(index, text or str(index))
        places = {index: place for place, index in enumerate(sorted(self.names))}
        status = np.array(self.status, dtype=object)
        for column in self.attributes.values():
            column += [""] * (len(self.images) - len(column))
        return ImageTable(
            images=self.images,
            failed=status == FAILED,
            blank=status == BLANK,
            several=np.array(self.several, bool),
            label=np.array([self._label(*found, places) for found in zip(self.label_indices, self.label_texts)], int),
            predicted=np.array([places.get(index, NONE) for index in self.predicted], int),
            correct=np.array(self.correct, float),
            classes=_distinct([self.names[index] for index in places], list(places)),
            numbers={name: np.array(column, float) for name, column in self.numbers.items()},
            attributes=self.attributes,
        )

    def _label(self, index: int, text: str, places: Mapping[int, int]) -> int:
        """Text and class of a row's label. A failed image has only the text; another image may name the class."""
        index = index if index != NONE else self.meaning.get(text, NONE)
        return places[index] if index != NONE else UNKNOWN if text else NONE


def _distinct(names: Sequence[str], indices: Sequence[int]) -> tuple[str, ...]:
    """Makes names unique: classes that share a name get their index in brackets."""
    shared = {name for name, count in Counter(names).items() if count > 1}
    return tuple(f"{name} ({index})" if name in shared else name for name, index in zip(names, indices))
