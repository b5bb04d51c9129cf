"""Results of a comparison, as records from which every output is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..audit.image_table import ImageTable
from ..gates import GateResult
from ..outputs.record import RunRecord
from .maps import Likeness

SAME, BROKE, FIXED, CHANGED = "same", "broke", "fixed", "changed"
FLIPS = (SAME, BROKE, FIXED, CHANGED)


@dataclass(frozen=True)
class Number:
    """A number with its interval, and how many images are behind it."""

    value: float
    low: float
    high: float
    total: int


@dataclass(frozen=True)
class Accuracy:
    """Both accuracies on the images that both runs have labels for. difference: B − A, with the paired interval; p:
    exact McNemar test, mid-p."""

    both: int
    broke: int
    fixed: int
    neither: int
    a: Number
    b: Number
    difference: Number
    p: float


@dataclass(frozen=True)
class MapNumbers:
    """Similarity of the maps of some images: cosine, IoU and shift of the peak."""

    cosine: Number
    iou: Number
    shift: Number


@dataclass(frozen=True)
class GroupRow:
    """One group of an attribute. difference: accuracy B − A, None without labels. iou: that of the maps, or None."""

    by: str
    group: str
    images: int
    labelled: int
    right_a: int
    right_b: int
    broke: int
    fixed: int
    changed: int
    difference: Number | None
    iou: Number | None
    small: bool


@dataclass(frozen=True)
class Comparison:
    """a, b: the images that are compared, pair by pair, as columns. flips: by image the number of its word in `FLIPS`.
    borders: `cam_border` of the compared map in A and B. maps: by `all`, `same` and `differs` (the prediction).
    unmatched: classes that only one of the networks has."""

    records: tuple[RunRecord, RunRecord]
    a: ImageTable
    b: ImageTable
    flips: np.ndarray
    likeness: Likeness
    borders: tuple[np.ndarray, np.ndarray]
    accuracy: Accuracy | None
    maps: Mapping[str, MapNumbers]
    groups: tuple[GroupRow, ...]
    gates: tuple[GateResult, ...]
    left_out: Mapping[str, int]
    unmatched: tuple[tuple[str, ...], tuple[str, ...]]
    notes: tuple[str, ...]
    confidence: float

    def count(self, flip: str) -> int:
        return int((self.flips == FLIPS.index(flip)).sum())

    @property
    def flipped(self) -> int:
        """Images with another prediction."""
        return int((self.flips != 0).sum())
