"""What an audit is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class AuditOptions:
    """groups: a CSV with more attributes. by: attributes to look at; none for all. cross: also their intersections.
    bins: how columns of numbers become groups. reference: the group that others are compared with; none for all pairs.
    metrics: beside the usual ones. fail_if: gates. prove: whether a gate must show harm to fail, or parity to pass.
    min_group: smaller groups are shown and not judged. cluster: a column whose images belong together. positive: the
    class that recall and precision are of. partial: audit a run that is not finished."""

    groups: str | None = None
    by: tuple[str, ...] = ()
    cross: bool = False
    bins: tuple[str, ...] = ()
    reference: str | None = None
    metrics: tuple[str, ...] = ()
    fail_if: tuple[str, ...] = ()
    prove: Literal["harm", "parity"] = "harm"
    min_group: int = 30
    confidence: float = 0.95
    cluster: str | None = None
    positive: str | None = None
    partial: bool = False
    seed: int = 0
