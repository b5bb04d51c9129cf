"""`camx ask`: answers to questions about images, with a map for each."""

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
from ..outputs.rows import ImageRow
from ..report import thumbnail_side
from ..run_layout import ANSWERS_TABLE
from ..sentences import counted
from ..text.answer_results import AnswerRenderer, answers_table, with_answers_of
from ..text.asked import QUESTION, one_row_per_image, questions_of
from .earlier import named_as_before
from .fingerprint import common_fingerprint, rendering_fingerprint
from .frames import with_frames
from .job import decoding_as
from .progress import Observer, Plan, Silent, Summary
from .relabel import Naming
from .session import plan_task, run_task
from .stop import Stop
from .task import Table, Work
from .text_jobs import AskJob

if TYPE_CHECKING:
    from ..text.answerer import Answerer
    from ..text.records import Answered


def plan_ask(job: AskJob) -> Plan:
    """The plan of `run_ask`; writes nothing."""
    return plan_task(AskTask(job))


def run_ask(job: AskJob, observer: Observer = Silent(), stop: Stop | None = None) -> Summary:
    """Answers the questions of the job about every image, with a map for each answer; see `run_task`."""
    return run_task(AskTask(job), observer, stop or Stop())


def ask_table() -> Table:
    """`answers.csv`, one line per question."""
    return Table(ANSWERS_TABLE, answers_table)


@dataclass(frozen=True)
class AskTask:
    """Questions about the images of a job get answers with maps."""

    job: AskJob

    @property
    def device(self) -> str:
        return self.job.ask.device

    def table_of(self, fingerprint: Mapping[str, Any]) -> Table:
        return ask_table()

    def with_job(self, job: AskJob) -> AskTask:
        return AskTask(job)

    def on_device(self, device: str) -> AskTask:
        options = dataclasses.replace(self.job.ask, device=device)
        return AskTask(dataclasses.replace(self.job, ask=options))

    def find(self) -> Inputs:
        """The images about which something is asked; the questions of a table are among their attributes.

        Raises `CamxError` where the table names none of them.
        """
        job = self.job
        inputs = named_as_before(with_frames(find(job.sources, job.filters, limit=job.limit), job), job)
        if job.questions is None:
            return inputs
        found = with_table_attributes(inputs, job.questions, QUESTION, one_row_per_image)
        asked = tuple(source for source in found.sources if questions_of(source))
        left = len(found.sources) - len(asked)
        note = f"Nothing is asked about {counted(left, 'image')}: left out."
        return dataclasses.replace(found, sources=asked, notes=(*found.notes, *[note] * bool(left)))

    def build_engine(self, images: int, on_step: StepCallback | None = None) -> Answerer:
        """An answer takes a few forwards: there are no steps. Raises `CamxError` for a question that the network cannot
        read."""
        from ..text.answerer import Answerer

        engine = decoding_as(self.job, Answerer.load(self.job.model, self.job.ask, self.job.origins))
        if self.job.decode == "device" and engine.network.preprocessing.divisor:
            raise CamxError(
                "The device decodes for one input size, and this network sees each image at a size of its own.",
                "Leave `decode=device` out.",
                field="decode",
            )
        for question in self._common:
            engine.prompt(question)
        return engine

    def fingerprint(self, engine: Answerer, base: str) -> dict[str, Any]:
        options = results(self.job.ask) | {"method": engine.method}
        options.pop("precision")
        return {
            "command": "ask",
            **common_fingerprint(self.job, engine, base),
            **options,
            "layers": [layer.name for layer in engine.layers],
            # Questions of a table belong to their images, whose rows have them.
            "question": [*self._common] if self.job.questions is None else None,
            "rendering": rendering_fingerprint(self.job.rendering),
        }

    @property
    def _common(self) -> tuple[str, ...]:
        """The questions about all images."""
        return tuple(dict.fromkeys(" ".join(one.split()) for one in self.job.question))

    def run_batch(self, engine: Answerer, images: Sequence[Decodable]) -> Sequence[Answered]:
        asked = {one.source.key: [q.text for q in questions_of(one.source, self._common)] for one in images}
        return engine.ask(images, asked)

    def work(self, engine: Answerer, images: int) -> Work[Answered]:
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
            render=AnswerRenderer(job.rendering, self._common, thumbnail_side(images) if job.report else 0).render,
        )

    def naming(self, engine: Answerer) -> None:
        """Rows of answers name no classes."""

    def relabel(self, naming: Naming | None, row: ImageRow, source: Source) -> ImageRow | None:
        """None where other questions are asked about the image."""
        return with_answers_of(row, source, self._common)

    def warnings(self, engine: Answerer, inputs: Inputs) -> Iterable[str]:
        """Raises `CamxError` for a question of the table that the network cannot read."""
        for question in dict.fromkeys(q.text for source in inputs.sources for q in questions_of(source, self._common)):
            engine.prompt(question)
        return inputs.notes

    def cost(self, engine: Answerer, images: int) -> str:
        """Returns nothing: a question takes a few forwards of what lies behind the tower."""
        return ""
