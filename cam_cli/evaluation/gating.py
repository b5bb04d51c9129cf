"""Gates on localisation: `pointing < 0.8`, `energy_gain < 0.1`, `pointing_min < 0.5 by class`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import CamxError
from ..gates import FORMS, Condition, GateResult, Groups, Judge, comparisons_of
from .figures import BOX_SCORES, TOP1
from .metrics import METRICS
from .options import LocaliseOptions
from .records import MapSet
from .whole_set import SET_SCORES

#: Metrics of gates, and whether they are shown in percent.
GATED = {name: metric.share for name, metric in METRICS.items() if name != "area_truth"}
GATED |= dict.fromkeys(BOX_SCORES, False) | dict.fromkeys(("box_acc", TOP1, *SET_SCORES), True)
#: Suffix of a metric: its gain over the centre baseline.
GAIN = "gain"


@dataclass(frozen=True)
class Gate:
    """A gate on a metric, or on its gain over the baseline (`gained`), over all maps or a form over groups."""

    condition: Condition
    metric: str
    form: str
    gained: bool

    @classmethod
    def parse(cls, text: str) -> Gate:
        """Parses a condition. Raises `CamxError` for an unknown metric, and for a form without an attribute."""
        condition = Condition.parse(text)
        condition.expect_flag()
        known = [*GATED, *(f"{name}_{GAIN}" for name in GATED)]
        metric, form = condition.split_form(known, tuple(FORMS))
        if condition.by and not form:
            shown = ", ".join(f"{metric}_{name}" for name in FORMS)
            raise CamxError(f"`fail_if` {text!r}: 'by' needs a form of the groups. Write {shown}.")
        if form and not condition.by:
            raise CamxError(f"`fail_if` {text!r}: {form} needs groups. Name an attribute, as in '{text} by class'.")
        return cls(condition, metric.removesuffix(f"_{GAIN}"), form, metric.endswith(f"_{GAIN}"))

    def judged(self, one: MapSet, options: LocaliseOptions, *, several: bool) -> list[GateResult]:
        """Verdict on the maps of a method. several: include the method's name in the sentence."""
        measured, by, least = one.whole, "", 1
        names: tuple[str, ...] = ("all maps",)
        if self.form:
            group = next((some for some in one.groups if some.by == self.condition.by), None)
            if group is not None:
                measured, names, by, least = group.measured, group.names, group.by, options.min_group
        if by and self.metric == TOP1:
            raise CamxError(
                f"`fail_if` {self.condition.text!r}: {TOP1} is measured over all images, not by groups. Leave 'by' out."
            )
        found = (measured.gains if self.gained else measured.estimates)[self.metric]
        usable = np.flatnonzero((found.total >= least) & np.isfinite(found.value)).tolist()
        count = comparisons_of(self.form, usable) if self.form else 1
        label = (f"{one.method}: " if several else "") + self.metric + (" above the centre" if self.gained else "")
        judge = Judge(
            self.condition,
            label,
            self.form,
            max(1, count),
            options.confidence,
            share=GATED[self.metric] and not self.gained,
        )
        return [judge.on(Groups(by, names, found, usable))]
