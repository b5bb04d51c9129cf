"""The task of `camx ask`: answers to questions about images, with a map for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..cams.tracing.replay import StepCallback
from ..errors import CamxError
from ..images.labels import with_table_attributes
from ..images.listing import Inputs, Source
from ..images.picture import Decodable
from ..outputs.rows import ImageRow
from ..run_layout import ANSWERS_TABLE
from ..text.answer_results import AnswerRenderer, answers_table, with_answers_of
from ..text.asked import QUESTION, one_row_per_image, questions_of
from .job import decoding_as
from .progress import Observer, Plan, Silent, Summary
from .relabel import Naming
from .session import plan_task, run_task
from .stop import Stop
from .task import Table, Work
from .text_jobs import AskJob
from .text_task import TextTask

if TYPE_CHECKING:
    from ..text.answerer import Answerer
    from ..text.records import Answered


def plan_ask(job: AskJob) -> Plan:
    """The plan of `run_ask`. Writes nothing."""
    return plan_task(AskTask(job))


def run_ask(job: AskJob, observer: Observer = Silent(), stop: Stop | None = None) -> Summary:
    """Answers the questions of the job about every image, with a map for each answer; see `run_task`."""
    return run_task(AskTask(job), observer, stop or Stop())


def ask_table() -> Table:
    """`answers.csv`, one line per question."""
    return Table(ANSWERS_TABLE, answers_table)


class AskTask(TextTask[AskJob]):
    """Answers questions about the images of a job, with maps."""

    command = "ask"

    def table_of(self, fingerprint: Mapping[str, Any]) -> Table:
        return ask_table()

    def find(self) -> Inputs:
        """Finds the images with a question, with the questions of a table as attributes. Raises `CamxError` if the
        table names none of them."""
        if self.job.questions is None:
            return self._images()
        found = with_table_attributes(self._images(), self.job.questions, QUESTION, one_row_per_image)
        asked = tuple(source for source in found.sources if questions_of(source))
        left = len(found.sources) - len(asked)
        note = f"Images without a question, left out: {left:,}."
        return dataclasses.replace(found, sources=asked, notes=(*found.notes, *[note] * bool(left)))

    def build_engine(self, images: int, on_step: StepCallback | None = None) -> Answerer:
        """Builds the engine. An answer takes a few forwards, so `on_step` is not used. Raises `CamxError` also for a
        question about all images that the network cannot read."""
        from ..text.answerer import Answerer

        engine = decoding_as(self.job, Answerer.load(self.job.model, self.job.ask, self.job.origins))
        self._checked(engine)
        for question in self._common:
            engine.prompt(question)
        return engine

    def fingerprint(self, engine: Answerer, base: str) -> dict[str, Any]:
        # Questions of a table belong to their images, whose rows have them.
        return self._fingerprint(engine, base, question=[*self._common] if self.job.questions is None else None)

    @property
    def _common(self) -> tuple[str, ...]:
        """The questions about all images."""
        return tuple(dict.fromkeys(" ".join(one.split()) for one in self.job.question))

    def run_batch(self, engine: Answerer, images: Sequence[Decodable]) -> Sequence[Answered]:
        asked = {one.source.key: [q.text for q in questions_of(one.source, self._common)] for one in images}
        return engine.ask(images, asked)

    def work(self, engine: Answerer, images: int) -> Work[Answered]:
        return self._work(engine, images, lambda side: AnswerRenderer(self.job.rendering, self._common, side).render)

    def relabel(self, naming: Naming | None, row: ImageRow, source: Source) -> ImageRow | None:
        """None if the questions about the image have changed."""
        return with_answers_of(row, source, self._common)

    def warnings(self, engine: Answerer, inputs: Inputs) -> Iterable[str]:
        """Raises `CamxError`, with the line of the table, for a question that the network cannot read."""
        asked = {q.text: q.line for source in reversed(inputs.sources) for q in questions_of(source, self._common)}
        for question, line in asked.items():
            try:
                engine.prompt(question)
            except CamxError as error:
                raise CamxError(f"{self.job.questions!r}, line {line}: {error}", field="questions") from error
        return inputs.notes
