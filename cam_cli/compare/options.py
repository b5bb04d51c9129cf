"""What a comparison is asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CompareOptions:
    """fail_if: gates. equivalent_within: the margin within which accuracy must be shown to be equal. by, groups, bins:
    attributes, as in an audit. on: the map that is compared: `prediction` (each run's own), `label`, `target:CLASS`.
    min_group: smaller groups are shown and not judged. partial: compare runs that are not finished."""

    fail_if: tuple[str, ...] = ()
    equivalent_within: float | None = None
    by: tuple[str, ...] = ()
    groups: str | None = None
    bins: tuple[str, ...] = ()
    on: str = "prediction"
    min_group: int = 30
    confidence: float = 0.95
    partial: bool = False
    seed: int = 0
