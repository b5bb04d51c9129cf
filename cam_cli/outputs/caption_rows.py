"""The caption of an image in its row of the journal: every field with its type, unit and range."""

from __future__ import annotations

from typing import Annotated, TypedDict

from .shapes import Range
from .units import Count


class _EveryWord(TypedDict):
    #: The word, of one or several pieces.
    word: str
    #: How many pieces of the tokenizer it has.
    pieces: Annotated[int, Range(1, 1e6)]
    #: Log-probability of the word: the sum over its pieces, each given all before it.
    logprob: Annotated[float, Range(-1e9, 0)]
    #: How much larger `logprob` is than for an image of the mean colour.
    depends: Annotated[float, Range(-1e9, 1e9)]


class CaptionWord(_EveryWord, total=False):
    """A word of a caption."""

    #: Place of its map in `maps`, from 0; absent for a word without one.
    map: Count


class _EveryCaption(TypedDict):
    #: The caption.
    text: str
    #: Log-probability of the caption: the sum over its pieces.
    logprob: Annotated[float, Range(-1e9, 0)]
    #: Its words, in order.
    words: list[CaptionWord]


class CaptionRow(_EveryCaption, total=False):
    """The caption of an image (`caption`)."""

    #: Whether the text came from the user (`--text`); absent for one that the network wrote.
    given: bool
