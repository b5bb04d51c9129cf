"""Judges a gate on the groups of an attribute, and explains the verdict in a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..statistics import Estimates, images_to_exceed, images_to_stay_within, z_of
from .condition import Condition
from .forms import FORMS, GAP, MAX, RATIO, Reading
from .verdict import WARN, GateResult, Verdict, judge


@dataclass(frozen=True)
class Groups:
    """Named groups with estimates. usable: indices of groups that are large enough. reference: index of the reference
    group."""

    by: str
    names: Sequence[str]
    estimates: Estimates
    usable: Sequence[int]
    reference: int | None = None


@dataclass(frozen=True)
class Judge:
    """Judges a condition on a metric. form: `gap`, `ratio`, `min` or `max` of groups; "" for one value over all images.
    comparisons: number of intervals that share the level of the gate, over all its attributes. share: shown in
    percent."""

    condition: Condition
    metric: str
    form: str = ""
    comparisons: int = 1
    confidence: float = 0.95
    prove: str = "harm"
    share: bool = True

    @property
    def z(self) -> float:
        return z_of(1 - self.confidence, self.comparisons)

    def on(self, groups: Groups) -> GateResult:
        """Verdict on these groups."""
        names, usable = groups.names, groups.usable
        missing = self._missing(groups)
        if missing:
            return self._undecided(groups, f"{missing}, so the value is unknown", [names[group] for group in usable])
        reading = FORMS[self.form or MAX](groups.estimates, usable, groups.reference, self.z)
        found = [names[group] for group in reading.groups]
        if math.isnan(reading.seen):
            return self._undecided(groups, f"the {self.form} is undefined, because all values are 0", found)
        verdict = judge(self.condition, *reading[:3], prove=self.prove)
        needed, advice = self._needed(reading, verdict)
        sentence = f"{self._values(groups, reading)}{advice}"
        return GateResult(self._text(groups), verdict, sentence, *reading[:3], tuple(found), needed)

    def _missing(self, groups: Groups) -> str:
        reference = groups.reference
        if reference is not None and reference not in groups.usable:
            return f"the reference group {groups.names[reference]!r} has too few images"
        if self.form in (GAP, RATIO) and len(groups.usable) < 2:
            return "fewer than two groups have enough images"
        return "" if groups.usable else "no group has enough images" if self.form else "there are no such images"

    def _undecided(self, groups: Groups, sentence: str, found: Sequence[str]) -> GateResult:
        verdict = judge(self.condition, math.nan, math.nan, math.nan, prove=self.prove)
        return GateResult(self._text(groups), verdict, sentence, groups=tuple(found))

    def _text(self, groups: Groups) -> str:
        text = self.condition.text
        return f"{text} by {groups.by}" if self.form and not self.condition.by else text

    def _values(self, groups: Groups, reading: Reading) -> str:
        estimates = groups.estimates
        values = ", ".join(
            f"{groups.names[group]} {self._number(float(estimates.value[group]))} (n = {int(estimates.total[group]):,})"
            for group in reading.groups
        )
        of_two = self.form in (GAP, RATIO)
        if self.form == RATIO:
            seen, low, high = (f"{value:.3g}" for value in reading[:3])
        else:
            seen, low, high = (self._number(value) for value in reading[:3])
        by = f" by {groups.by}" if self.form else ""
        shown = f"; {self.form} {seen}" if of_two else ""
        if reading.low == reading.seen == reading.high:  # exact: a count of these images
            return f"{self.metric}{by}: {values}{shown}"
        level = f"{100 * self.confidence:g} %"
        if self.comparisons > 1:
            level += f", all {self.comparisons:,} {'pairs' if of_two else 'groups'} together"
        return f"{self.metric}{by}: {values}{shown}, between {low} and {high} ({level})"

    def _needed(self, reading: Reading, verdict: Verdict) -> tuple[int | None, str]:
        """For an undecided verdict: the number of images that would decide it, and a phrase about it."""
        seen, limit = reading.seen, self.condition.limit
        if self.form == RATIO:
            if seen <= 0 or limit <= 0:
                return None, ""
            seen, limit = math.log(seen), math.log(limit)
        if not self.condition.above:
            seen, limit = -seen, -limit
        each = "images per group" if len(reading.groups) > 1 else "images"
        if verdict == WARN:
            needed = images_to_exceed(seen, limit, reading.spreads, self.z)
            return needed, f"; about {needed:,} {each} would be enough to decide" if needed else ""
        if self.prove == "parity" and verdict != "pass":
            needed = images_to_stay_within(seen, limit, reading.spreads, self.z)
            shown = f"about {needed:,} {each} would show" if needed else "no number of images would show"
            return needed, f"; {shown} that the limit is kept"
        return None, ""

    def _number(self, value: float) -> str:
        return f"{100 * value:.1f} %" if self.share else f"{value:.4g}"
