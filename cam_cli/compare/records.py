"""Records of the results of a comparison, from which all outputs are written."""

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
    """A number with its interval and number of images."""

    value: float
    low: float
    high: float
    total: int


@dataclass(frozen=True)
class Accuracy:
    """Accuracies on images with labels in both runs. difference: B − A with the paired interval. p: exact McNemar test,
    mid-p."""

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
    """One group of an attribute. difference: accuracy B − A, None without labels. iou: of the maps, or None."""

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
    """Result of a comparison. a, b: columns of the pairs. flips: index into `FLIPS` by pair. borders: `cam_border` of
    the compared map in A and B. maps: by `all`, `same` and `differs` (of the prediction). unmatched: classes of only
    one network."""

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
        """Number of images with another prediction."""
        return int((self.flips != 0).sum())
