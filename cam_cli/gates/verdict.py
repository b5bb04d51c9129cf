"""Compares a condition with an interval: fail, warn or pass."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from .condition import Condition

Verdict = Literal["pass", "warn", "fail"]
PASS: Verdict = "pass"
WARN: Verdict = "warn"
FAIL: Verdict = "fail"
_RANK = {PASS: 0, WARN: 1, FAIL: 2}


@dataclass(frozen=True)
class GateResult:
    """A judged condition. text: the condition as written. sentence: explanation with the values. seen, low, high: value
    and interval, None without data. groups: names of the measured groups. needed: images (per group) that would be
    enough to decide; None if decided, or if no number would be."""

    text: str
    verdict: Verdict
    sentence: str
    seen: float | None = None
    low: float | None = None
    high: float | None = None
    groups: tuple[str, ...] = ()
    needed: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON form: numbers with six digits."""
        rounded = {
            name: None if value is None or not math.isfinite(value) else float(f"{value:.6g}")
            for name, value in (("seen", self.seen), ("low", self.low), ("high", self.high))
        }
        return {**asdict(self), **rounded, "groups": list(self.groups)}


def judge(condition: Condition, seen: float, low: float, high: float, *, prove: str = "harm") -> Verdict:
    """fail: the interval low…high lies beyond the limit. warn: only the value does. pass: neither does.

    `prove="parity"` reverses the burden of proof: fail unless the whole interval lies within the limit. An unknown
    value (NaN) is a warning, or with parity a failure.
    """
    nearest, farthest = (low, high) if condition.above else (high, low)
    if prove == "parity":
        known = not (math.isnan(seen) or math.isnan(farthest))
        return PASS if known and not condition.holds(farthest) else FAIL
    if math.isnan(seen):
        return WARN
    if not math.isnan(nearest) and condition.holds(nearest):
        return FAIL
    return WARN if condition.holds(seen) else PASS


def exit_code(results: Iterable[GateResult]) -> int:
    """1 if any gate failed, else 0: a warning does not change the exit code."""
    return int(any(result.verdict == FAIL for result in results))


def worst(results: Iterable[GateResult]) -> Verdict:
    """Worst verdict; `pass` without any."""
    return max((result.verdict for result in results), key=_RANK.__getitem__, default=PASS)
