"""Gates on the answers of `camx ask`: `accuracy < 0.9`, `accuracy_min < 0.8 by question`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..errors import CamxError
from ..gates import FORMS, Condition, GateResult, Groups, Judge, comparisons_of
from ..images.label_table import Columns
from ..images.typed_tables import table_rows
from ..outputs.run_folder import RunFolder
from ..statistics import Estimates, Resampler, Sample, Totals

ACCURACY, PROB, QUESTION = "accuracy", "prob", "question"
#: Smallest number of answers to a question for gates by question.
_LEAST = 30


def check_answer_conditions(texts: Sequence[str], table: str | None) -> None:
    """Raises `CamxError` for a condition that no run can satisfy. table: of the questions, whose column `answer` has
    the true answers; None without one."""
    for text in texts:
        metric, _ = _form(Condition.parse(text))
        if metric == ACCURACY and not (table and _has_answers(table)):
            raise CamxError(
                f"`fail_if` {text!r} needs true answers"
                + (f", and the column 'answer' of {table!r} has none." if table else "."),
                "Give questions as a CSV with image,question,answer.",
                field="fail_if",
            )


def judged_answers(path: str, texts: Sequence[str], confidence: float) -> list[GateResult]:
    """Judges conditions on the run of `camx ask` in `path`.

    Answers about one image are not independent: an interval counts images, not answers.
    """
    rows = [
        (number, answer) for number, row in enumerate(RunFolder.read(path).rows()) for answer in row.get("answers", ())
    ]
    images = np.array([number for number, _ in rows], int)
    values = {
        ACCURACY: np.array([float(answer.get("correct", math.nan)) for _, answer in rows]),
        PROB: np.array([math.exp(min(0.0, answer["logprob"])) for _, answer in rows]),
    }
    questions = [answer["question"] for _, answer in rows]
    return [_judged(Condition.parse(text), images, values, questions, confidence) for text in texts]


def _judged(
    condition: Condition,
    images: np.ndarray,
    values: dict[str, np.ndarray],
    questions: Sequence[str],
    confidence: float,
) -> GateResult:
    metric, form = _form(condition)
    names = tuple(dict.fromkeys(questions)) if form else ("all answers",)
    numbers = {name: number for number, name in enumerate(names)}
    codes = np.array([numbers[one] for one in questions], int) if form else np.zeros(len(questions), int)
    found = _estimates(metric, values[metric], codes, len(names), images)
    usable = np.flatnonzero((found.total >= (_LEAST if form else 1)) & np.isfinite(found.value)).tolist()
    judge = Judge(condition, metric, form, max(1, comparisons_of(form, usable)) if form else 1, confidence)
    return judge.on(Groups(QUESTION if form else "", names, found, usable))


def _estimates(metric: str, values: np.ndarray, codes: np.ndarray, count: int, images: np.ndarray) -> Estimates:
    known = np.isfinite(values)
    values, codes, images = values[known], codes[known], images[known]
    several = len(np.unique(images)) < len(images)
    resampler, sample = Resampler(clusters=images if several else None), Sample.of(values, codes, count)
    return resampler.shares(sample) if metric == ACCURACY else resampler.estimate(sample, Totals.mean)


def _form(condition: Condition) -> tuple[str, str]:
    """Metric and form of a condition. Raises `CamxError` for an unknown one."""
    condition.expect_flag()
    metric, form = condition.split_form((ACCURACY, PROB), tuple(FORMS))
    if condition.by not in ("", QUESTION) or bool(form) != bool(condition.by):
        raise CamxError(
            f"`fail_if` {condition.text!r}: answers are compared by question alone.",
            f"Write {metric} without `by`, or as in '{metric}_min < 0.8 by {QUESTION}'.",
            field="fail_if",
        )
    return metric, form


def _has_answers(table: str) -> bool:
    try:
        return any(row.get("answer", "").strip() for row in table_rows(table, Columns()))
    except OSError:
        # The run names a table that cannot be read.
        return True
