"""Judges the gates of a comparison on all pairs, or on the worst group of an attribute."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..audit.groups import Attribute
from ..errors import CamxError
from ..gates import FAIL, PASS, Condition, GateResult, Groups, Judge
from ..sentences import counted
from ..statistics import Resampler, images_to_stay_within, paired_difference, z_of
from .estimates import PairedDrops
from .metrics import METRICS, Question
from .options import CompareOptions
from .pairing import FLAGS, Pairing
from .records import Accuracy

_MISSING = {
    "labels": "no image has a label that both networks know. Explain both with `camx explain … --labels folder`",
    "maps": "no image has comparable maps in both runs. Give another `on`",
    "label_prob": "the runs lack the probability of the true class. Explain both with `camx explain … --labels folder`",
}


@dataclass(frozen=True)
class Gate:
    """A condition of a comparison. attribute: groups of `by`, of which the worst counts."""

    condition: Condition
    attribute: Attribute | None = None


def check(condition: Condition) -> None:
    """Raises `CamxError` for an unknown metric or flag, and for a limit that may be a count or a share."""
    condition.expect_metric(METRICS)
    condition.expect_flag(FLAGS)
    whole = condition.limit == int(condition.limit)
    if METRICS[condition.metric].count and not condition.percent and not whole:
        raise CamxError(
            f"`fail_if` {condition.text!r}: {condition.metric} is a number of images.",
            f"Write a whole number, or a share as in '{condition.metric} {condition.operator} "
            f"{100 * condition.limit:g}%'.",
            field="fail_if",
        )


def has(need: str, pairing: Pairing) -> bool:
    """Whether the pairs have the data of a metric."""
    found = {
        "": np.array([1.0]),
        "labels": np.where(pairing.labelled, 1.0, np.nan),
        "maps": pairing.likeness.iou,
        "label_prob": pairing.a.numbers["label_prob"] - pairing.b.numbers["label_prob"],
    }[need]
    return bool(np.isfinite(found).any())


def judged(gate: Gate, pairing: Pairing, options: CompareOptions) -> GateResult:
    """Verdict on a gate. Raises `CamxError` if the runs lack the data of its metric."""
    condition, metric = gate.condition, METRICS[gate.condition.metric]
    if not has(metric.needs, pairing):
        raise CamxError(
            f"`fail_if` {condition.text!r}: {_MISSING[metric.needs]}, or leave the gate out.", field="fail_if"
        )
    attribute = gate.attribute or Attribute("", ("all images",), np.zeros(len(pairing.same), int))
    codes = np.where(pairing.flagged(condition.flag), attribute.codes, -1)
    question = Question(pairing, codes, len(attribute.groups), Resampler(seed=options.seed), condition.percent)
    estimates = metric.estimate(question)
    least = options.min_group if gate.attribute else 1
    usable = np.flatnonzero((estimates.total >= least) & np.isfinite(estimates.value)).tolist()
    form = ("max" if condition.above else "min") if gate.attribute else ""
    shown = metric.share and (condition.percent or not metric.count)
    comparisons = len(usable) if gate.attribute else 1
    judge = Judge(condition, condition.metric, form, comparisons, options.confidence, share=shown)
    return judge.on(Groups(attribute.name, attribute.groups, estimates, usable))


def equivalence(accuracy: Accuracy, margin: float, confidence: float) -> GateResult:
    """Two one-sided tests (TOST): passes if the interval of the difference at level 1 − 2α lies within the margin."""
    alpha = 2 * (1 - confidence)
    counts = (accuracy.both, accuracy.broke, accuracy.fixed, accuracy.neither)
    low, high = paired_difference(*counts, z_of(alpha))
    seen = accuracy.difference.value
    text = f"equivalent within {margin:g}"
    sentence = (
        f"accuracy B − A {100 * seen:+.2f} %, {100 * (1 - alpha):g} % interval {100 * low:+.2f} to {100 * high:+.2f} % "
        "(two one-sided tests)"
    )
    if -margin < low and high < margin:
        return GateResult(text, PASS, sentence, seen, low, high, ("all images",))
    spread = PairedDrops(*(np.array([count]) for count in counts)).spread[0]
    needed = images_to_stay_within(abs(seen), margin, [float(spread)], z_of(alpha))
    more = f"about {counted(needed, 'image')} would show it" if needed else "no number of images would show it"
    return GateResult(
        text, FAIL, f"{sentence}; not shown to be equal: {more}", seen, low, high, ("all images",), needed
    )
