"""Stores the questions about an image in one of its attributes: several rows of a table become one text. Imports no
torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import NamedTuple

from ..errors import CamxError
from ..images.label_table import BETWEEN_LABELS
from ..images.listing import Source
from ..images.tables import Row

#: Columns of a table of questions; the attribute of a source.
QUESTION, TRUTH = "question", "answer"
QUESTIONS = "questions"


class Question(NamedTuple):
    """A question and its true answers, separated by `|`; "" if none is known. line: of its table, 0 without one."""

    text: str
    truth: str = ""
    line: int = 0


def one_row_per_image(rows: Sequence[Row]) -> list[Mapping[str, str]]:
    """Combines the rows of a table of questions to one row per image, with all its questions in one cell.

    A question in several rows is asked once, and all their answers are true. Raises `CamxError` if no row has a
    question.
    """
    found: dict[str, dict[str, tuple[int, dict[str, None]]]] = {}
    for row in rows:
        asked = found.setdefault(PurePath(row["image"]).as_posix(), {})
        if text := " ".join(row[QUESTION].split()):
            _, truths = asked.setdefault(text, (row.line, {}))
            truths.update(dict.fromkeys(one.strip() for one in row.get(TRUTH, "").split(BETWEEN_LABELS) if one.strip()))
    joined = {
        image: [Question(text, BETWEEN_LABELS.join(truths), line) for text, (line, truths) in asked.items()]
        for image, asked in found.items()
        if asked
    }
    if not joined:
        raise CamxError("No row of `questions` has a question.", f"Fill its column {QUESTION!r}.", field="questions")
    return [{"image": image, QUESTION: "", QUESTIONS: json.dumps(asked)} for image, asked in joined.items()]


def questions_of(source: Source, common: Sequence[str] = ()) -> tuple[Question, ...]:
    """Questions about an image: those of its row, else the common ones."""
    own = dict(source.attributes).get(QUESTIONS)
    if own is None:
        return tuple(Question(text) for text in dict.fromkeys(common))
    return tuple(Question(*one) for one in json.loads(own))


def is_true(answer: str, truth: str) -> bool:
    """Whether an answer equals a true one, ignoring case, white space and a punctuation mark at its end."""
    return _plain(answer) in map(_plain, truth.split(BETWEEN_LABELS))


def _plain(text: str) -> str:
    return " ".join(text.split()).rstrip(".!?, ").casefold()
