"""The task of `camx caption`: captions of images, with a map for each word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..cams.tracing.replay import StepCallback
from ..errors import CamxError
from ..images.labels import with_table_attributes
from ..images.listing import Inputs, Source
from ..images.picture import Decodable
from ..outputs.renderer import with_truth
from ..outputs.rows import ImageRow
from ..run_layout import CAPTIONS_TABLE, WORDS_TABLE
from ..sentences import counted
from ..text.results import CaptionRenderer, captions_table, words_table
from .job import decoding_as
from .progress import Observer, Plan, Silent, Summary
from .relabel import Naming
from .session import plan_task, run_task
from .stop import Stop
from .task import Table, Work
from .text_jobs import CaptionJob
from .text_task import TextTask

if TYPE_CHECKING:
    from ..text.captioner import Captioner
    from ..text.records import Captioned

#: Column with the text of an image.
_TEXT = "text"


def plan_caption(job: CaptionJob) -> Plan:
    """The plan of `run_caption`. Writes nothing."""
    return plan_task(CaptionTask(job))


def run_caption(job: CaptionJob, observer: Observer = Silent(), stop: Stop | None = None) -> Summary:
    """Captions every image of the job, with a map for each word; see `run_task`."""
    return run_task(CaptionTask(job), observer, stop or Stop())


def caption_table() -> Table:
    """`captions.csv`, one line per image, and `words.csv`, one line per word."""
    return Table(CAPTIONS_TABLE, captions_table, ((WORDS_TABLE, words_table),))


class CaptionTask(TextTask[CaptionJob]):
    """Captions each image of a job, with maps."""

    command = "caption"

    def table_of(self, fingerprint: Mapping[str, Any]) -> Table:
        return caption_table()

    def find(self) -> Inputs:
        """Finds the images, with their texts from a table of `text` as attributes."""
        inputs = self._images()
        return with_table_attributes(inputs, self._texts, _TEXT) if self._texts else inputs

    @property
    def _texts(self) -> str:
        """Path of the table of texts, or ""."""
        text = self.job.text or ""
        return text if text.lower().endswith((".csv", ".tsv")) else ""

    def build_engine(self, images: int, on_step: StepCallback | None = None) -> Captioner:
        """Builds the captioner. An image takes a few forwards, so `on_step` is not used."""
        from ..text.captioner import Captioner

        engine = decoding_as(self.job, Captioner.load(self.job.model, self.job.caption, self.job.origins))
        self._checked(engine)
        return engine

    def fingerprint(self, engine: Captioner, base: str) -> dict[str, Any]:
        # Texts of a table are in the rows of their images.
        found = self._fingerprint(engine, base, text=None if self._texts else self.job.text)
        # Runs of earlier versions have no prompt.
        return {name: value for name, value in found.items() if name != "prompt" or value}

    def run_batch(self, engine: Captioner, images: Sequence[Decodable]) -> Sequence[Captioned]:
        given = {image.source.key: self._text_of(image.source) for image in images}
        return engine.caption(images, {key: text for key, text in given.items() if text})

    def _text_of(self, source: Source) -> str:
        """Given text of an image, or ""."""
        return dict(source.attributes).get(_TEXT, "") if self._texts else (self.job.text or "").strip()

    def work(self, engine: Captioner, images: int) -> Work[Captioned]:
        return self._work(engine, images, lambda side: CaptionRenderer(self.job.rendering, side).render)

    def relabel(self, naming: Naming | None, row: ImageRow, source: Source) -> ImageRow | None:
        """None if the given text of the image has changed."""
        caption = row.get("caption")
        before = caption["text"] if caption and caption.get("given") else ""
        return with_truth(row, source) if before == self._text_of(source) else None

    def warnings(self, engine: Captioner, inputs: Inputs) -> Iterable[str]:
        """Raises `CamxError` for a table without a text of these images, and for a text that is too long."""
        texts = {text: source.key for source in reversed(inputs.sources) if (text := self._text_of(source))}
        if self._texts and not texts:
            raise CamxError(
                f"No image of this run has a text in {self._texts!r}.", "Check its column `image`.", field="text"
            )
        for text, image in texts.items():
            try:
                engine.check_text(text)
            except CamxError as error:
                raise CamxError(
                    f"{self._texts!r}, {image}: {error}" if self._texts else str(error), field="text"
                ) from error
        unknown = [image for text, image in texts.items() if engine.has_unknown(text)]
        if not unknown:
            return inputs.notes
        named = ", ".join(unknown[:3]) + " …" * (len(unknown) > 3)
        note = f"{counted(len(unknown), 'text has', 'texts have')} words that are not in the vocabulary ({named})."
        return (*inputs.notes, f"{note} Such words have no map and no line in {WORDS_TABLE}.")
