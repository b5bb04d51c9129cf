"""Converts answers to files and journal rows, and rows to `answers.csv`. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..images.listing import Source
from ..maps.explanation import Explanation
from ..outputs.answer_rows import AnswerRow
from ..outputs.options import Rendering
from ..outputs.renderer import ExplanationRenderer, Rendered, with_truth
from ..outputs.rows import BLANK, OK, ImageRow, MapRow, number_of
from ..outputs.tables import MEASURES, line, number, text
from .asked import QUESTIONS, is_true, questions_of
from .records import Answer, Answered

ANSWERS = (
    *("image", "status", "error", "question", "answer", "prob", "depends", "truth", "correct"),
    *(f"cam_{name}" for name in MEASURES),
    "overlay",
)


@dataclass(frozen=True)
class AnswerRenderer:
    """Renders answers; can be pickled. common: the questions about all images. thumbnail: as in
    `ExplanationRenderer`."""

    rendering: Rendering
    common: tuple[str, ...] = ()
    thumbnail: int = 0

    def render(self, one: Answered) -> Rendered:
        """Overlays of all answers with maps, and the row of the image."""
        explanation = Explanation(one.picture, maps=one.maps, problem=one.problem)
        row, files = ExplanationRenderer(self.rendering, self.thumbnail).render(explanation)
        row.pop("top", None)
        row = _without_questions(row)
        if one.problem:
            return Rendered(row, files)
        row["answers"] = [_answer(answer) for answer in one.answers]
        row = _with_truths(row, one.picture.source, self.common)
        shown = any(own["area"] is not None for own in row["maps"])
        reason = "no answer has a map that is above zero" if row["maps"] else "the network wrote no answer"
        return Rendered(
            {**row, "status": OK, "error": ""} if shown else {**row, "status": BLANK, "error": reason}, files
        )


def with_answers_of(row: ImageRow, source: Source, common: tuple[str, ...]) -> ImageRow | None:
    """Finished row with the current true answers of its source; None if the questions differ."""
    asked = [question.text for question in questions_of(source, common)]
    if [answer["question"] for answer in row.get("answers", ())] != asked:
        return None
    return _with_truths(_without_questions(with_truth(row, source)), source, common)


def _answer(one: Answer) -> AnswerRow:
    found: AnswerRow = {
        "question": one.question,
        "answer": one.answer,
        "logprob": one.logprob,
        "depends": one.depends,
    }
    if one.map is not None:
        found["map"] = one.map
    if one.contrast:
        found["contrast"] = True
    return found


def _without_questions(row: ImageRow) -> ImageRow:
    """Row without the attribute that holds all questions as one text; its answers hold them one by one."""
    left = {name: value for name, value in row.get("attributes", {}).items() if name != QUESTIONS}
    now: ImageRow = {**row, "attributes": left}
    if not left:
        del now["attributes"]
    return now


def _with_truths(row: ImageRow, source: Source, common: tuple[str, ...]) -> ImageRow:
    truths = {question.text: question.truth for question in questions_of(source, common)}
    return {**row, "answers": [_judged(answer, truths[answer["question"]]) for answer in row["answers"]]}


def _judged(answer: AnswerRow, truth: str) -> AnswerRow:
    now: AnswerRow = {**answer}
    now.pop("truth", None)
    now.pop("correct", None)
    if truth:
        now |= {"truth": truth, "correct": is_true(answer["answer"], truth)}
    return now


def answers_table(rows: Iterable[ImageRow]) -> Iterator[bytes]:
    """`answers.csv` in pieces of UTF-8 (RFC 4180): one line per question; one line for a failed image."""
    yield line([*ANSWERS])
    for row in rows:
        start = [text(row["image"]), row["status"], text(row.get("error", ""))]
        for answer in row.get("answers", ()):
            yield line([*start, *_cells(row, answer)])
        if not row.get("answers"):
            yield line([*start, *[""] * (len(ANSWERS) - len(start))])


def _cells(row: ImageRow, answer: AnswerRow) -> list[str]:
    maps = row.get("maps", [])
    shown = answer.get("map", -1)
    own = maps[shown] if 0 <= shown < len(maps) else MapRow()
    correct = answer.get("correct")
    return [
        *(text(answer["question"]), text(answer["answer"])),
        *(number(math.exp(min(0.0, answer["logprob"]))), number(answer["depends"])),
        *(text(answer.get("truth", "")), "" if correct is None else "true" if correct else "false"),
        *(number(number_of(own, name)) for name in MEASURES),
        text(own.get("overlay", "")),
    ]
