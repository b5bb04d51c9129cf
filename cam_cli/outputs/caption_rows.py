"""Caption of an image, as fields of its journal row, with types, units and ranges."""

from __future__ import annotations

from typing import Annotated, TypedDict

from .shapes import Range
from .units import Count


class _EveryWord(TypedDict):
    #: The word, of one or several tokens.
    word: str
    #: Number of its tokens.
    pieces: Annotated[int, Range(1, 1e6)]
    #: Log-probability of the word: the sum over its tokens, each given all tokens before it.
    logprob: Annotated[float, Range(-1e9, 0)]
    #: `logprob` minus its value for an image of the mean colour.
    depends: Annotated[float, Range(-1e9, 1e9)]


class CaptionWord(_EveryWord, total=False):
    """A word of a caption."""

    #: Index of its map in `maps`, from 0; absent without a map.
    map: Count


class _EveryCaption(TypedDict):
    #: The caption.
    text: str
    #: Log-probability of the caption: the sum over its tokens.
    logprob: Annotated[float, Range(-1e9, 0)]
    #: Its words, in order.
    words: list[CaptionWord]


class CaptionRow(_EveryCaption, total=False):
    """The caption of an image (`caption`)."""

    #: True for a text of the user (`--text`); absent for one that the network wrote.
    given: bool
