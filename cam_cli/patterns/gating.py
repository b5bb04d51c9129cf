"""Gates on patterns: `pattern_share > 0.2 if same_place`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import CamxError
from ..gates import PASS, Condition, GateResult, Groups, Judge
from ..statistics import Estimates, Shares
from .options import PatternsOptions
from .records import FLAGS, OUTSIDE

if TYPE_CHECKING:
    from .records import Pattern, Patterns

#: Metrics of a gate, each a share of the images of a class: with the pattern, and of them the right ones.
METRICS = ("pattern_share", "pattern_accuracy")


def check(condition: Condition, *, truth: bool) -> None:
    """Raises `CamxError` for an unknown metric or flag, or a flag that needs a truth."""
    condition.expect_metric(METRICS)
    condition.expect_flag(FLAGS)
    if condition.by:
        raise CamxError(
            f"`fail_if` {condition.text!r}: patterns have no groups.",
            f"Leave `by {condition.by}` out.",
            field="fail_if",
        )
    if condition.flag == OUTSIDE and not truth:
        raise CamxError(
            f"`fail_if` {condition.text!r}: nothing says where the objects are.",
            "Give their boxes or masks with `truth`.",
            field="fail_if",
        )


def judged(condition: Condition, found: Patterns, options: PatternsOptions) -> GateResult:
    """Judges a gate on the pattern that is worst for it; the intervals of all patterns hold together."""
    some = [one for one in found.patterns if not one.small and (not condition.flag or condition.flag in one.flags)]
    counts = [counted for one in some if (counted := _counts(condition, one)) is not None]
    if not some:
        which = f" is {condition.flag.replace('_', ' ')}" if condition.flag else " has enough images"
        return GateResult(condition.text, PASS, f"{condition.metric}: no pattern{which}", 0.0, 0.0, 0.0)
    estimates: Estimates = Shares(*(np.array(column, float) for column in zip(*counts or [(0, 0)])))
    names = [found.name(one) for one in some]
    usable = np.flatnonzero(np.isfinite(estimates.value)).tolist()
    form = "max" if condition.above else "min"
    judge = Judge(condition, condition.metric, form, max(1, len(usable)), options.confidence)
    return replace(judge.on(Groups("pattern", names, estimates, usable)), text=condition.text)


def _counts(condition: Condition, pattern: Pattern) -> tuple[int, int] | None:
    if condition.metric == "pattern_share":
        return len(pattern.images), pattern.share.total
    if pattern.with_ is None:
        raise CamxError(
            f"`fail_if` {condition.text!r}: no image has a label that the network knows.",
            "Explain with `labels`, or leave the gate out.",
            field="fail_if",
        )
    return round(pattern.with_.value * pattern.with_.total), pattern.with_.total
