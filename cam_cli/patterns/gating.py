"""Gates on patterns: `pattern_share > 0.2 if same_place`, `drop > 0.1 if same_place`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import CamxError
from ..gates import PASS, WARN, Condition, GateResult, Groups, Judge
from ..statistics import Estimates, Shares
from .checking import drawn_gains
from .options import FLAGGED, PatternsOptions
from .records import FILLS, FLAGS, LOGIT_DROP, MEASURES, OUTSIDE

if TYPE_CHECKING:
    from .records import Pattern, Patterns

#: Metrics of a gate on shares of images of a class: with the pattern, and the correct ones among them.
SHARES = ("pattern_share", "pattern_accuracy")
#: Metrics of a check, with measure and fill: additional drop of the class against covers elsewhere. The default fill
#: is the mean colour.
DROPS = {name + ("" if fill == FILLS[0] else f"_{fill}"): (name, fill) for name in MEASURES for fill in FILLS}
METRICS = (*SHARES, *DROPS)


def check(condition: Condition, options: PatternsOptions) -> None:
    """Raises `CamxError` for an unknown metric or flag, a flag without a truth, and a drop without a check."""
    condition.expect_metric(METRICS)
    condition.expect_flag(FLAGS)
    if condition.by:
        raise CamxError(
            f"`fail_if` {condition.text!r}: gates on patterns have no groups.",
            f"Leave `by {condition.by}` out.",
            field="fail_if",
        )
    if condition.flag == OUTSIDE and options.truth is None:
        raise CamxError(
            f"`fail_if` {condition.text!r}: this flag needs the places of the objects.",
            "Give boxes or masks with `truth`.",
            field="fail_if",
        )
    if condition.metric in DROPS and options.check is None:
        raise CamxError(
            f"`fail_if` {condition.text!r}: without a check there is no {condition.metric}.",
            "Give a number of images to cover with `check`.",
            field="fail_if",
        )
    if condition.metric in DROPS and not condition.flag and options.cover == (FLAGGED,):
        raise CamxError(
            f"`fail_if` {condition.text!r} applies to every pattern, but only flagged patterns are covered.",
            "Add `if same_place`, or choose the covered patterns with `cover`.",
            field="fail_if",
        )


def judged(condition: Condition, found: Patterns, options: PatternsOptions) -> GateResult:
    """Judges a gate on the worst pattern, with simultaneous intervals."""
    some = [one for one in found.patterns if not one.small and (not condition.flag or condition.flag in one.flags)]
    if not some:
        which = f"with the flag {condition.flag!r}" if condition.flag else "with enough images"
        return GateResult(condition.text, PASS, f"{condition.metric}: there is no pattern {which}", 0.0, 0.0, 0.0)
    if condition.metric in DROPS:
        some = [one for one in some if one.checked is not None]
        if not some:
            sentence = f"{condition.metric}: no such pattern was covered, so the value is unknown"
            return GateResult(condition.text, WARN, sentence)
    estimates = _drops(condition, some, options) if condition.metric in DROPS else _shares(condition, some)
    names = [found.name(one) for one in some]
    usable = np.flatnonzero(np.isfinite(estimates.value)).tolist()
    form = "max" if condition.above else "min"
    percent = DROPS.get(condition.metric, ("",))[0] != LOGIT_DROP
    judge = Judge(condition, condition.metric, form, max(1, len(usable)), options.confidence, share=percent)
    return replace(judge.on(Groups("pattern", names, estimates, usable)), text=condition.text)


def _drops(condition: Condition, some: Sequence[Pattern], options: PatternsOptions) -> Estimates:
    measure, fill = DROPS[condition.metric]
    gains = [one.checked.drops[measure][fill].gains for one in some if one.checked is not None]
    return drawn_gains(gains, options.seed)


def _shares(condition: Condition, some: Sequence[Pattern]) -> Estimates:
    return Shares(*(np.array(column, float) for column in zip(*(_counts(condition, one) for one in some))))


def _counts(condition: Condition, pattern: Pattern) -> tuple[int, int]:
    if condition.metric == SHARES[0]:
        return len(pattern.images), pattern.share.total
    if pattern.with_ is None:
        raise CamxError(
            f"`fail_if` {condition.text!r}: no image has a label that is a class of the network.",
            "Explain the images with `labels`, or leave the gate out.",
            field="fail_if",
        )
    return round(pattern.with_.value * pattern.with_.total), pattern.with_.total
