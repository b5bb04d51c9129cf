"""Options of captions: whose text, which words, and the method of their maps. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..cams.engine.options import ComputeOptions
from ..options import EXPLANATION, Flag, check

METHODS = ("attention-gradient", "hirescam")
WHICH = ("content", "all")

METHOD = Flag(
    "attention-gradient (attention of the words to the image, weighted by its gradient) or hirescam (at the image "
    "tokens).",
    panel=EXPLANATION,
    choices=METHODS,
    results=True,
    page="hub.md",
)
MOST_TOKENS = Flag("Pieces of words that are written at most.", panel=EXPLANATION, min=1, max=1000, results=True)


@dataclass(frozen=True)
class TextOptions(ComputeOptions):
    """Options of everything that explains text. method: of the maps. max_new_tokens: pieces that the network writes."""

    method: Annotated[str, METHOD] = "attention-gradient"
    max_new_tokens: Annotated[int, MOST_TOKENS] = 30


@dataclass(frozen=True)
class CaptionOptions(TextOptions):
    """Options of a `Captioner`. words: `content`, or `all` with articles, prepositions and marks."""

    words: Annotated[
        str,
        Flag(
            "Words that get a map: content (all but articles, prepositions and the like, of English), or all.",
            panel=EXPLANATION,
            choices=WHICH,
            results=True,
        ),
    ] = "content"

    def __post_init__(self) -> None:
        check(self)
