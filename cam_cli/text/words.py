"""Groups the pieces of a text into words, and selects content words. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

_FUNCTION_WORDS = """
a an the this that these those some any each every no another other such and or but nor so yet if then
than as while because although though whether of in on at by for with without from to into onto over
under above below between behind beside besides near next through across along around against about after
before during off out up down inside outside upon within i you he she it we they me him her us them my
your his its our their mine yours hers ours theirs who whom whose which what where when why how there
here is are was were be been being am do does did done have has had having will would can could shall
should may might must not very too also just only own same s t
"""
#: English function words: articles, prepositions, pronouns, conjunctions, auxiliary verbs.
FUNCTION_WORDS: Final = frozenset(_FUNCTION_WORDS.split())
#: Replacement for an incomplete UTF-8 character.
_HALF_LETTER: Final = "\ufffd"


@dataclass(frozen=True)
class PieceGroup:
    """A word of a text. pieces: positions of its pieces."""

    word: str
    pieces: tuple[int, ...]

    @property
    def has_content(self) -> bool:
        """Whether it is neither punctuation nor one of `FUNCTION_WORDS`."""
        plain = self.word.strip("'’\"").lower()
        return any(map(str.isalnum, plain)) and plain not in FUNCTION_WORDS


def words_of(pieces: int, decode: Callable[[int], str]) -> list[PieceGroup]:
    """Words of a text of so many `pieces`. decode: text of the first pieces, for any number of them.

    A word begins where the text grows by white space; marks such as a full stop are their own words. Pieces without
    visible text, such as white space or the first half of a character of several bytes, belong to the word that they
    are in or lead to.
    """
    words: list[str] = []
    members: list[list[int]] = []
    waiting: list[int] = []
    before, letters, ended = "", False, True
    for position in range(pieces):
        text = decode(position + 1).rstrip(_HALF_LETTER)
        grown = text.startswith(before)
        added = text[len(before) :] if grown else ""
        before, shown = text, added.strip()
        ended |= added[:1].isspace()
        if not shown:
            if not grown and words and text.split():
                words[-1] = text.split()[-1]
            (waiting if ended or not words else members[-1]).append(position)
            continue
        now = any(map(str.isalnum, shown))
        if ended or not words or now != letters:
            words.append(shown)
            members.append([*waiting, position])
        else:
            words[-1] += shown
            members[-1] += [*waiting, position]
        waiting = []
        letters, ended = now, added[-1:].isspace()
    if members:
        members[-1] += waiting
    return [PieceGroup(word, tuple(own)) for word, own in zip(words, members)]


def chosen(words: Sequence[PieceGroup], which: str) -> list[int]:
    """Positions of the words with a map: content words, or all."""
    return [place for place, one in enumerate(words) if which == "all" or one.has_content]
