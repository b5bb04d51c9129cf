"""The answers for an image in its row of the journal: every field with its type, unit and range."""

from __future__ import annotations

from typing import Annotated, TypedDict

from .shapes import Range
from .units import Count


class _EveryAnswer(TypedDict):
    #: The question.
    question: str
    #: The answer of the network; empty where it wrote none.
    answer: str
    #: Log-probability of the answer: the sum over its pieces, each given all before it.
    logprob: Annotated[float, Range(-1e9, 0)]
    #: How much larger `logprob` is than for an image of the mean colour.
    depends: Annotated[float, Range(-1e9, 1e9)]


class AnswerRow(_EveryAnswer, total=False):
    """The answer to a question about an image (`ask`)."""

    #: Place of its map in `maps`, from 0; absent for an answer without one.
    map: Count
    #: Whether the map explains the score of `yes` minus that of `no`, or the other way round; absent where it explains
    #: the log-probability.
    contrast: bool
    #: The true answer, as the user wrote it; several with `|` between them.
    truth: str
    #: Whether the answer is a true one, but for case, spaces and a mark at the end; absent without a truth.
    correct: bool
