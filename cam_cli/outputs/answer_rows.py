"""Answers to the questions about an image, as fields of its journal row, with types, units and ranges."""

from __future__ import annotations

from typing import Annotated, TypedDict

from .shapes import Range
from .units import Count


class _EveryAnswer(TypedDict):
    #: The question.
    question: str
    #: The answer of the network; empty if it wrote none.
    answer: str
    #: Log-probability of the answer: the sum over its tokens, each given all tokens before it.
    logprob: Annotated[float, Range(-1e9, 0)]
    #: `logprob` minus its value for an image of the mean colour.
    depends: Annotated[float, Range(-1e9, 1e9)]


class AnswerRow(_EveryAnswer, total=False):
    """Answer to one question about an image (`ask`)."""

    #: Index of its map in `maps`, from 0; absent without a map.
    map: Count
    #: True if the map explains the score of `yes` minus that of `no`, or the reverse; absent if it explains the
    #: log-probability.
    contrast: bool
    #: True answer as the user wrote it; several are separated by `|`.
    truth: str
    #: Whether the answer equals a true one, ignoring case, spaces and a punctuation mark at the end; absent without a
    #: true answer.
    correct: bool
