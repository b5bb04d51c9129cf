"""Caption or answers of one image, as records from which all outputs are written. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..images.picture import Picture
from ..maps.explanation import ClassMap


@dataclass(frozen=True)
class Word:
    """A word of a text. pieces: number of its tokens. logprob: sum of their log-probabilities, each given the text
    before. depends: logprob minus that for an image of the mean colour. map: index of its map, or None."""

    word: str
    pieces: int
    logprob: float
    depends: float
    map: int | None = None


@dataclass(frozen=True)
class Captioned:
    """Caption of one image, with maps of some words on one scale. logprob: of all pieces.

    given: the text came from the user. problem: the reason why there is no caption, or "".
    """

    picture: Picture
    text: str = ""
    logprob: float = 0.0
    words: tuple[Word, ...] = ()
    maps: tuple[ClassMap, ...] = ()
    given: bool = False
    problem: str = ""


@dataclass(frozen=True)
class Answer:
    """The answer to a question. logprob: its log-probability, the sum over its pieces. depends: logprob minus that for
    an image of the mean colour. contrast: the map explains yes minus no, or no minus yes. map: index of its map, or
    None."""

    question: str
    answer: str
    logprob: float
    depends: float
    contrast: bool
    map: int | None = None

    def with_map(self, place: int) -> Answer:
        """The answer with a map."""
        return replace(self, map=place)


@dataclass(frozen=True)
class Answered:
    """Answers for one image in the order of its questions, and their maps. problem: the reason why there are none, or
    ""."""

    picture: Picture
    answers: tuple[Answer, ...] = ()
    maps: tuple[ClassMap, ...] = ()
    problem: str = ""
