"""Parses the conditions of `--fail-if`: `METRIC OP NUMBER [by ATTRIBUTE] [if FLAG]`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import CamxError, nearest

Operator = Literal[">", ">=", "<", "<="]

_CONDITION = re.compile(
    r"(?P<metric>[^\s<>=]+)\s*(?P<operator>>=|<=|>|<)\s*(?P<number>[^\s%]+)\s*(?P<percent>%?)"
    r"(?:\s+by\s+(?P<by>.+?))?(?:\s+if\s+(?P<flag>\S+))?",
)
#: Tolerance at a limit: 0.95 − 0.9 is more than 0.05 in floating point.
_CLOSE = 1e-12


@dataclass(frozen=True)
class Condition:
    """A command fails if `metric` `operator` `limit` holds. text: as the user wrote it. percent: the limit was written
    with %, and `limit` is the share. by: attribute whose groups are compared. flag: restriction to some images.
    """

    text: str
    metric: str
    operator: Operator
    limit: float
    percent: bool = False
    by: str = ""
    flag: str = ""

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Parses a condition. Raises `CamxError` for any other text."""
        found = _CONDITION.fullmatch(text.strip())
        if found is None:
            raise CamxError(
                f"`fail_if` {text!r} is no condition.",
                "Write METRIC, one of > >= < <=, and a number, as in 'accuracy_gap > 0.04 by sex'.",
                field="fail_if",
            )
        try:
            number = float(found["number"])
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise CamxError(
                f"`fail_if` {text!r}: {found['number']!r} is no number.",
                "Write it as 0.04 or 4%, with a point.",
                field="fail_if",
            )
        by = (found["by"] or "").strip().strip("'\"").strip()
        share = number / 100 if found["percent"] else number
        operator: Operator = found["operator"]  # type: ignore[assignment] # by the pattern
        return cls(text.strip(), found["metric"], operator, share, bool(found["percent"]), by, found["flag"] or "")

    @property
    def above(self) -> bool:
        """True for `>` and `>=`: the gate fails for large values."""
        return self.operator.startswith(">")

    def holds(self, value: float) -> bool:
        """Whether the command fails if this is the true value."""
        beyond = value - self.limit if self.above else self.limit - value
        return beyond >= -_CLOSE if self.operator.endswith("=") else beyond > _CLOSE

    def expect_metric(self, known: Iterable[str]) -> None:
        """Raises `CamxError`, with the nearest name, unless the metric is one of these."""
        names = sorted(set(known))
        if self.metric not in names:
            raise CamxError(
                f"`fail_if` {self.text!r}: there is no metric {self.metric!r}."
                f"{nearest(self.metric, names) or f' There are {listed(names)}.'}",
                field="fail_if",
            )

    def expect_flag(self, known: Sequence[str] = ()) -> None:
        """Raises `CamxError` if the condition has a flag other than these."""
        if self.flag and self.flag not in known:
            raise CamxError(
                f"`fail_if` {self.text!r}: the flag {self.flag!r} does not exist here.",
                f"Give one of {listed(known)}." if known else f"Leave 'if {self.flag}' out.",
                field="fail_if",
            )

    def split_form(self, metrics: Iterable[str], forms: Sequence[str]) -> tuple[str, str]:
        """Splits metric and form: `accuracy_gap` gives (`accuracy`, `gap`), `accuracy` gives (`accuracy`, ``).

        Raises `CamxError`, with the nearest name, for an unknown metric.
        """
        known = {name: (name, "") for name in metrics}
        known |= {f"{name}_{form}": (name, form) for name, _ in list(known.values()) for form in forms}
        self.expect_metric(known)
        return known[self.metric]


def listed(names: Sequence[str], most: int = 20) -> str:
    """Names as a list for a sentence."""
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")
