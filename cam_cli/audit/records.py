"""Records of the results of an audit, from which all outputs are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..gates import GateResult
from ..outputs.record import RunRecord
from .groups import Attribute
from .image_table import ImageTable


@dataclass(frozen=True)
class Value:
    """A number of a group with its interval and number of images."""

    value: float
    low: float
    high: float
    total: int


@dataclass(frozen=True)
class GroupRow:
    """One group of an attribute. images: number of explained ones. failed, unlabelled: counted separately. right: None
    without labels. values: by metric. small: too small for a verdict."""

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
    """Result of an audit. attributes: of `groups`, with the group of each image of `table`. overall: each metric over
    all images. left_out: number of images by reason. notes: warnings."""

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
