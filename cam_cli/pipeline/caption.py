"""The task of `camx caption`: captions of images, with a map for each word."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ..cams.tracing.replay import StepCallback
from ..errors import CamxError
from ..images.labels import with_table_attributes
from ..images.listing import Inputs, Source, find
from ..images.picture import Decodable, load
from ..options import results
from ..outputs.renderer import with_truth
from ..outputs.rows import ImageRow
from ..report import thumbnail_side
from ..run_layout import CAPTIONS_TABLE, WORDS_TABLE
from ..text.results import CaptionRenderer, captions_table, words_table
from .earlier import named_as_before
from .fingerprint import common_fingerprint, rendering_fingerprint
from .frames import with_frames
from .job import decoding_as
from .progress import Observer, Plan, Silent, Summary
from .relabel import Naming
from .session import plan_task, run_task
from .stop import Stop
from .task import Table, Work
from .text_jobs import CaptionJob

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


@dataclass(frozen=True)
class CaptionTask:
    """Captions each image of a job, with maps."""

    job: CaptionJob

    @property
    def device(self) -> str:
        return self.job.caption.device

    def table_of(self, fingerprint: Mapping[str, Any]) -> Table:
        return caption_table()

    def with_job(self, job: CaptionJob) -> CaptionTask:
        return CaptionTask(job)

    def on_device(self, device: str) -> CaptionTask:
        options = dataclasses.replace(self.job.caption, device=device)
        return CaptionTask(dataclasses.replace(self.job, caption=options))

    def find(self) -> Inputs:
        """Finds the images, with their texts from a table of `text` as attributes."""
        job = self.job
        inputs = named_as_before(with_frames(find(job.sources, job.filters, limit=job.limit), job), job)
        return with_table_attributes(inputs, self._texts, _TEXT) if self._texts else inputs

    @property
    def _texts(self) -> str:
        """Path of the table of texts, or ""."""
        text = self.job.text or ""
        return text if text.lower().endswith((".csv", ".tsv")) else ""

    def build_engine(self, images: int, on_step: StepCallback | None = None) -> Captioner:
        """Builds the captioner. An image takes a few forwards, so `on_step` is not used."""
        from ..text.captioner import Captioner

        return decoding_as(self.job, Captioner.load(self.job.model, self.job.caption, self.job.origins))

    def fingerprint(self, engine: Captioner, base: str) -> dict[str, Any]:
        options = results(self.job.caption)
        options.pop("precision")
        # Texts of a table are in the rows of their images.
        text = None if self._texts else self.job.text
        return {
            "command": "caption",
            **common_fingerprint(self.job, engine, base),
            **options,
            "layers": [layer.name for layer in engine.layers],
            "text": text,
            "rendering": rendering_fingerprint(self.job.rendering),
        }

    def run_batch(self, engine: Captioner, images: Sequence[Decodable]) -> Sequence[Captioned]:
        given = {image.source.key: self._text_of(image.source) for image in images}
        return engine.caption(images, {key: text for key, text in given.items() if text})

    def _text_of(self, source: Source) -> str:
        """Given text of an image, or ""."""
        return dict(source.attributes).get(_TEXT, "") if self._texts else (self.job.text or "").strip()

    def work(self, engine: Captioner, images: int) -> Work[Captioned]:
        job = self.job
        return Work(
            load=partial(
                load,
                preprocessing=engine.network.preprocessing,
                canvas=job.rendering.size,
                max_pixels=job.max_pixels,
                pixels=job.pixels,
                decoding=job.decode,
            ),
            render=CaptionRenderer(job.rendering, thumbnail_side(images) if job.report else 0).render,
        )

    def naming(self, engine: Captioner) -> None:
        """None: rows of captions have no class names."""

    def relabel(self, naming: Naming | None, row: ImageRow, source: Source) -> ImageRow | None:
        """None if the given text of the image has changed."""
        caption = row.get("caption")
        before = caption["text"] if caption and caption.get("given") else ""
        return with_truth(row, source) if before == self._text_of(source) else None

    def warnings(self, engine: Captioner, inputs: Inputs) -> Iterable[str]:
        if self._texts and not any(map(self._text_of, inputs.sources)):
            raise CamxError(
                f"No image of this run has a text in {self._texts!r}.", "Check its column `image`.", field="text"
            )
        return inputs.notes

    def cost(self, engine: Captioner, images: int) -> str:
        """Returns "": an image takes one forward of the vision tower and a few of the decoder."""
        return ""
