"""Options of captions and of questions: texts, words, and the method of their maps. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..cams.engine.options import ComputeOptions
from ..errors import CamxError
from ..options import EXPLANATION, Flag, check

METHODS = ATTENTION, HIRESCAM = ("attention-gradient", "hirescam")
AUTO = "auto"
#: Placeholder of the question in the text around it.
GAP = "{}"
WHICH = ("content", "all")

METHOD = Flag(
    "attention-gradient (attention of the text to the image, weighted by its gradient), hirescam (at the image "
    "tokens), or auto: the first where the text attends to image tokens.",
    panel=EXPLANATION,
    choices=(AUTO, *METHODS),
    results=True,
    page="hub.md",
)
MOST_TOKENS = Flag("Pieces of words that are written at most.", panel=EXPLANATION, min=1, max=1000, results=True)


@dataclass(frozen=True)
class TextOptions(ComputeOptions):
    """Options of all commands that explain text. method: of the maps; `auto` is attention-gradient if text attends to
    image tokens, else hirescam. max_new_tokens: most pieces that the network writes."""

    method: Annotated[str, METHOD] = AUTO
    max_new_tokens: Annotated[int, MOST_TOKENS] = 30


@dataclass(frozen=True)
class CaptionOptions(TextOptions):
    """Options of a `Captioner`. words: `content`, or `all` with articles, prepositions and marks. prompt: the request
    for a caption, or its beginning; "" for the default of the network."""

    words: Annotated[
        str,
        Flag(
            "Words that get a map: content (all but articles, prepositions and the like, of English), or all.",
            panel=EXPLANATION,
            choices=WHICH,
            results=True,
        ),
    ] = "content"
    prompt: Annotated[
        str,
        Flag(
            "Request for a caption, or its beginning, which the network continues; without it that of the network.",
            panel=EXPLANATION,
            results=True,
            example="Describe the weather.",
            page="hub.md",
        ),
    ] = ""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class AskOptions(TextOptions):
    """Options of an `Answerer`. contrast: maps of yes and no explain the difference of their scores. prompt: the text
    around each question, with {} in its place; "" for the default of the network."""

    contrast: Annotated[
        bool,
        Flag(
            "For the answers yes and no: explain the score of one minus that of the other, not its probability.",
            panel=EXPLANATION,
            results=True,
            page="hub.md",
        ),
    ] = True
    prompt: Annotated[
        str,
        Flag(
            "Text around each question, with {} in its place; without it that of the network.",
            panel=EXPLANATION,
            results=True,
            example="Question: {} Short answer:",
            page="hub.md",
        ),
    ] = ""

    def __post_init__(self) -> None:
        check(self)
        if self.prompt and GAP not in self.prompt:
            raise CamxError(
                f"`prompt` {self.prompt!r} has no {GAP} for the question.",
                f"Write it as in 'Question: {GAP} Answer:'.",
                field="prompt",
            )
