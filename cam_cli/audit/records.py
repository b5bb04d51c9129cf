"""Results of an audit, as records from which every output is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..gates import GateResult
from ..outputs.record import RunRecord
from .groups import Attribute
from .image_table import ImageTable


@dataclass(frozen=True)
class Value:
    """A number of a group with its interval, and how many images are behind it."""

    value: float
    low: float
    high: float
    total: int


@dataclass(frozen=True)
class GroupRow:
    """One group of an attribute. images: explained ones. failed, unlabelled: counted apart. right: None without labels.
    values: by metric. small: too small to be judged."""

    by: str
    group: str
    images: int
    failed: int
    unlabelled: int
    right: int | None
    values: Mapping[str, Value]
    small: bool


@dataclass(frozen=True)
class PairRow:
    """Two groups: the difference of a metric with its simultaneous interval, and the p-value adjusted by Holm."""

    by: str
    group_a: str
    group_b: str
    metric: str
    difference: float
    low: float
    high: float
    p_holm: float


@dataclass(frozen=True)
class AuditResult:
    """attributes: those of `groups`, with the group of each image of `table`. overall: each metric over all images.
    left_out: how many images, and why. notes: sentences on what could not be done, or not as expected."""

    run: RunRecord
    table: ImageTable
    attributes: tuple[Attribute, ...]
    metrics: tuple[str, ...]
    overall: Mapping[str, Value]
    groups: tuple[GroupRow, ...]
    pairs: tuple[PairRow, ...]
    gates: tuple[GateResult, ...]
    left_out: Mapping[str, int]
    notes: tuple[str, ...]
    confidence: float
