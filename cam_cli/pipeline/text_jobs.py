"""The jobs of `camx caption` and `camx ask`: every option with its default and help, and checks of combinations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from ..errors import CamxError
from ..models.options import ModelSpec
from ..options import EXPLANATION, MODEL, OUTPUT, Flag, check
from ..outputs.options import EACH, SPOTS, Rendering
from ..text.options import AskOptions, CaptionOptions
from .job import Output, RunOptions

TEXT_NAME = Flag(
    "hf:FOLDER or hf:OWNER/NAME, a network of the transformers library that writes text about an image.",
    name="model",
    short="-m",
    panel=MODEL,
    results=True,
    example="hf:Salesforce/blip-image-captioning-base",
    page="hub.md",
)
ASK_NAME = Flag(
    "hf:FOLDER or hf:OWNER/NAME, a network of the transformers library that answers questions about an image.",
    name="model",
    short="-m",
    panel=MODEL,
    results=True,
    example="hf:dandelin/vilt-b32-finetuned-vqa",
    page="hub.md",
)


@dataclass(frozen=True)
class TextModel(ModelSpec):
    """A network of the transformers library that writes text. It has its own weights and no classes."""

    name: Annotated[str, TEXT_NAME] = ""
    checkpoint: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    class_names: str | None = None
    prompts: tuple[str, ...] = ()
    scores: str | None = None
    ema: bool | None = None

    def __post_init__(self) -> None:
        check(self)
        if not self.name:
            raise CamxError("`model` is missing. Give it, such as hf:Salesforce/blip-image-captioning-base.")


@dataclass(frozen=True, kw_only=True)
class CaptionJob(RunOptions):
    """Options of `camx caption`. text: a table of image and text, or one text for all images."""

    model: TextModel
    text: Annotated[
        str | None,
        Flag(
            "Explain this text instead of a caption by the network: a CSV with image,text, or one text for all images.",
            panel=EXPLANATION,
            results=True,
            example="captions.csv",
            page="hub.md",
        ),
    ] = None
    caption: CaptionOptions = CaptionOptions()
    rendering: Rendering = Rendering()
    output: Output = "camx-captions"
    report: Annotated[bool, Flag("Write report/index.html, with the words as buttons.", panel=OUTPUT)] = True

    def __post_init__(self) -> None:
        RunOptions.__post_init__(self)
        if self.text is not None and not self.text.strip():
            raise CamxError("`text` is empty.", "Give a CSV or a text, or leave it out.", field="text")
        _check_rendering(self.rendering, "words")


@dataclass(frozen=True)
class AskModel(TextModel):
    """A network of the transformers library that answers questions."""

    name: Annotated[str, ASK_NAME] = ""


@dataclass(frozen=True, kw_only=True)
class AskJob(RunOptions):
    """Options of `camx ask`. question: about all images. questions: a table of image, question and, if known, the true
    answer; an image may have several rows."""

    model: AskModel
    question: Annotated[
        tuple[str, ...],
        Flag(
            "A question about every image. Repeatable.",
            panel=EXPLANATION,
            metavar="TEXT",
            repeatable=True,
            lines=True,
            results=True,
            example="is there a cat?",
            page="hub.md",
        ),
    ] = ()
    questions: Annotated[
        str | None,
        Flag(
            "Questions about single images: a CSV with image,question and, for the accuracy, answer.",
            panel=EXPLANATION,
            metavar="FILE",
            example="questions.csv",
            page="hub.md",
        ),
    ] = None
    ask: AskOptions = AskOptions()
    rendering: Rendering = Rendering()
    output: Output = "camx-answers"
    report: Annotated[bool, Flag("Write report/index.html, with the questions as buttons.", panel=OUTPUT)] = True

    def __post_init__(self) -> None:
        RunOptions.__post_init__(self)
        if bool(self.question) == (self.questions is not None):
            raise CamxError(
                "`camx ask` needs `question` for all images, or `questions` with a CSV, and not both.",
                field="question",
            )
        if not all(one.strip() for one in self.question) or (self.questions is not None and not self.questions.strip()):
            raise CamxError("`question` is empty.", "Give a question or a CSV.", field="question")
        _check_rendering(self.rendering, "answers")


def _check_rendering(rendering: Rendering, parts: str) -> None:
    """Raises `CamxError` for options of maps of classes. parts: the results with maps here, as a plural noun."""
    if SPOTS in rendering.save:
        raise CamxError(f"`save=spots` works only for maps of classes, not of {parts}.", "Leave it out.", field="save")
    if rendering.scale != EACH:
        own = "words of a caption share one already" if parts == "words" else "each answer has its own"
        raise CamxError(f"`scale` works only for maps of classes: {own}.", "Leave it out.", field="scale")
    if isinstance(rendering.box_threshold, str):
        raise CamxError(
            "`box_threshold` of another run works only for maps of classes.", "Give a number.", field="box_threshold"
        )
