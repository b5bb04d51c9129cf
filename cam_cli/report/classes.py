"""Counts the classes of a run, and computes the mean map of each class."""

from __future__ import annotations

import base64
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

from ..maps.sketch import decode
from ..outputs.rows import ImageRow, MapRow
from ..parsers import whole_number

#: Cells per side of a mean map, relative to the image of any shape.
CELLS = 24
ALL, RIGHT, WRONG = range(3)


class Classes:
    """Classes of the rows so far. Predictions have an index; classes of labels are resolved after all rows."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}
        self._names: list[str] = []
        self._labels: dict[str, int] = {}
        self._meant: dict[int, int] = {}

    def place(self, index: int, name: str) -> int:
        """Number of a predicted class."""
        place = self._places.setdefault(index, len(self._names))
        if place == len(self._names):
            self._names.append(name or str(index))
        return place

    def label(self, row: ImageRow) -> int:
        """Number of the row's label; −1 without one."""
        if not row.get("label"):
            return -1
        number = self._labels.setdefault(row["label"], len(self._labels))
        if "label_index" in row:
            self._meant[number] = row["label_index"]
        return number

    def tables(self) -> dict[str, Any]:
        """`classes`: names, with the index if two are equal. `labels`: class of every label."""
        names, indices = list(self._names), [*self._places]
        meanings: list[int] = []
        for text, number in self._labels.items():
            meaning = self._places.get(self._meant[number]) if number in self._meant else self._meaning(text)
            if meaning is None:
                meaning = len(names)
                names.append(text)
            meanings.append(meaning)
        shared = {name for name, count in Counter(names).items() if count > 1}
        distinct = [f"{name} ({index})" if name in shared else name for name, index in zip(names, indices)]
        return {"classes": distinct + names[len(indices) :], "labels": meanings}

    def _meaning(self, text: str) -> int | None:
        """Class of a label without index: the only one of that name, or the one of that index."""
        wanted = text.strip().casefold()
        parts = ({name.casefold(), *(part.strip().casefold() for part in name.split(","))} for name in self._names)
        found = [place for place, names in enumerate(parts) if wanted in names]
        if found:
            return found[0] if len(found) == 1 else None
        index = whole_number(wanted)
        return None if index is None else self._places.get(index)


class MeanMaps:
    """Sums of sketches by method and class: over all, correct and wrong images.

    A mean is signed if all its sketches are; otherwise it is the mean magnitude.
    """

    def __init__(self) -> None:
        self._strengths: dict[tuple[str, int], _Sums] = defaultdict(_Sums)
        self._signed: dict[tuple[str, int], _Sums] = defaultdict(_Sums)

    def add(self, map_row: MapRow, target: int, correct: bool | None) -> None:
        """Adds a map, if it has a sketch. All maps have the same weight, independent of their peaks."""
        sketch = map_row.get("sketch")
        if not sketch:
            return
        cells = decode(sketch)
        placed = areas(cells.shape[0]) @ cells @ areas(cells.shape[1]).T
        groups = (ALL,) if correct is None else (ALL, RIGHT if correct else WRONG)
        for key in ((map_row["method"], target), (map_row["method"], -1)):
            self._strengths[key].add(np.abs(placed), groups)
            if sketch.get("signed"):
                self._signed[key].add(placed, groups)

    def as_part(self) -> dict[str, dict[str, list[Any]]]:
        """By method, then class (−1 for all): for each of the three groups null or [images, peak, 24×24 bytes in
        base64, signed].

        Bytes are shares of the peak, as in a sketch. The peak is in [0, 1], or in [−1, 1] if signed.
        """
        part: dict[str, dict[str, list[Any]]] = {}
        for key, strengths in self._strengths.items():
            signed = self._signed.get(key)
            part.setdefault(key[0], {})[str(key[1])] = [
                signed.packed(group, signed=True)
                if signed and signed.counts[group] == strengths.counts[group]
                else strengths.packed(group, signed=False)
                for group in (ALL, RIGHT, WRONG)
            ]
        return part


class _Sums:
    """Sums and counts of the placed sketches of one class, by group."""

    def __init__(self) -> None:
        self.totals = np.zeros((3, CELLS, CELLS), np.float32)
        self.counts = [0, 0, 0]

    def add(self, placed: np.ndarray, groups: Iterable[int]) -> None:
        for group in groups:
            self.totals[group] += placed
            self.counts[group] += 1

    def packed(self, group: int, *, signed: bool) -> list[Any] | None:
        total, count = self.totals[group], self.counts[group]
        if not count:
            return None
        peak = float(total.flat[np.abs(total).argmax()])
        share = total / abs(peak) if peak else total
        levels = np.rint(share * 127 + 128 if signed else share * 255).astype(np.uint8)
        return [count, round(peak / count, 4), base64.b64encode(levels.tobytes()).decode("ascii"), signed]


@cache
def areas(cells: int) -> np.ndarray:
    """The CELLS×cells matrix that averages `cells` equal cells of a line over CELLS equal ones."""
    fine, coarse = np.arange(CELLS)[:, None] / CELLS, np.arange(cells)[None] / cells
    overlap = np.minimum(fine + 1 / CELLS, coarse + 1 / cells) - np.maximum(fine, coarse)
    matrix: np.ndarray = (np.maximum(0.0, overlap) * CELLS).astype(np.float32)
    return matrix
