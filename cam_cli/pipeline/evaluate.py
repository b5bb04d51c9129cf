"""The task of `camx evaluate` over images: faithfulness of the maps of methods and of two baselines."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..cams.engine.backend_choice import depends_on_threads
from ..cams.engine.devices import find_device
from ..cams.tracing.replay import StepCallback
from ..errors import CamxError
from ..faithfulness.evaluation import Evaluation
from ..faithfulness.evaluator import Evaluator
from ..faithfulness.results import EvaluationRenderer, table
from ..images.labels import FOLDER, with_labels
from ..images.listing import Inputs, Source, find
from ..images.picture import Decodable, load
from ..images.places import DEMO
from ..options import results
from ..outputs.rows import ImageRow
from ..report import thumbnail_side
from ..run_layout import FAITHFULNESS_TABLE
from ..sentences import counted
from .classes import check_numbered_folders, network_with_classes, unknown_labels
from .earlier import named_as_before
from .fingerprint import common_fingerprint
from .frames import with_frames
from .job import EvaluateJob, decoding_as
from .lanes import as_in_a_lane
from .progress import Observer, Plan, Silent, Summary
from .relabel import Naming, best_known, relabelled, renamed
from .resume import has_labels_of, with_attributes
from .session import plan_task, run_task
from .stop import Stop
from .task import Table, Work


def plan_evaluate(job: EvaluateJob) -> Plan:
    """The plan of `run_evaluate`. Writes nothing."""
    return plan_task(EvaluateTask(job))


def run_evaluate(job: EvaluateJob, observer: Observer = Silent(), stop: Stop | None = None) -> Summary:
    """Measures the faithfulness of maps of every image of the job; see `run_task`."""
    return run_task(EvaluateTask(job), observer, stop or Stop())


def faithfulness_table(metrics: Iterable[str]) -> Table:
    """Table `faithfulness.csv` with the scores of these metrics."""
    return Table(FAITHFULNESS_TABLE, partial(table, metrics=tuple(metrics)))


@dataclass(frozen=True)
class EvaluateTask:
    """Computes maps of each image of a job, and scores of their faithfulness."""

    job: EvaluateJob

    @property
    def device(self) -> str:
        return self.job.faithful.device

    def table_of(self, fingerprint: Mapping[str, Any]) -> Table:
        return faithfulness_table(self.job.faithful.metrics)

    def with_job(self, job: EvaluateJob) -> EvaluateTask:
        return EvaluateTask(job)

    def on_device(self, device: str) -> EvaluateTask:
        options = dataclasses.replace(self.job.faithful, device=device)
        return EvaluateTask(dataclasses.replace(self.job, faithful=options))

    def find(self) -> Inputs:
        job = self.job
        if self.job.faithful.target.kind == "label" and not (
            job.labels or any(one == DEMO or one[:1] == "@" for one in job.sources)
        ):
            raise CamxError(
                "`target=label` needs labels. Give `labels=folder`, `labels=FILE.csv`, or an @list.csv with them.",
                field="target",
            )
        inputs = named_as_before(with_frames(find(job.sources, job.filters, limit=job.limit), job), job)
        return with_labels(inputs, job.labels, job.filters.columns) if job.labels else inputs

    def build_engine(self, images: int, on_step: StepCallback | None = None) -> Evaluator:
        options = self.job.faithful
        fixed = depends_on_threads(options.backend, images)
        with as_in_a_lane(find_device(options.device)) if fixed else contextlib.nullcontext():
            engine = Evaluator(network_with_classes(self.job), options, on_step, images)
        check_numbered_folders(self.job, engine.explainer)
        return decoding_as(self.job, engine)

    def fingerprint(self, engine: Evaluator, base: str) -> dict[str, Any]:
        names = "\n".join(engine.network.classes.names)
        options = results(self.job.faithful)
        options.pop("precision")
        return {
            "command": "evaluate",
            **common_fingerprint(self.job, engine, base),
            "class_names": hashlib.sha256(names.encode()).hexdigest()[:16],
            **options,
            "layers": [layer.name for layer in engine.layers],
        }

    def run_batch(self, engine: Evaluator, images: Sequence[Decodable]) -> Sequence[Evaluation]:
        return engine.evaluate(images)

    def work(self, engine: Evaluator, images: int) -> Work[Evaluation]:
        return Work(
            load=partial(
                load,
                preprocessing=engine.network.preprocessing,
                canvas=thumbnail_side(images),
                max_pixels=self.job.max_pixels,
                pixels=self.job.pixels,
                decoding=self.job.decode,
            ),
            render=EvaluationRenderer(thumbnail_side(images) if self.job.report else 0).render,
        )

    def naming(self, engine: Evaluator) -> Naming:
        return Naming.of(engine.explainer)

    def relabel(self, naming: Naming | None, row: ImageRow, source: Source) -> ImageRow | None:
        """None if a label or class name selected the maps and now means another class."""
        assert naming is not None
        now = renamed(row, naming.classes)
        chosen = {one.get("target_index") for one in row.get("maps", ())}
        if now is not row and not {*naming.target_classes} <= chosen:
            return None
        meanings = naming.classes_of(source)
        if has_labels_of(row, source) and best_known(row, meanings) == row.get("label_index"):
            return with_attributes(now, source)
        if self.job.faithful.target.kind == "label":
            return None
        return relabelled(now, source, meanings)

    def warnings(self, engine: Evaluator, inputs: Inputs) -> Iterable[str]:
        return (*inputs.notes, *unknown_labels(engine.explainer, inputs, by_folder=self.job.labels == FOLDER))

    def cost(self, engine: Evaluator, images: int) -> str:
        """Returns a line about the forwards per image and the estimated time."""
        if not images:
            return ""
        forwards, explanations = engine.cost
        seconds = images * engine.seconds_per_image()
        return (
            f"each image takes {counted(forwards, 'forward')} and {counted(explanations, 'explanation')} by "
            f"{counted(len(self.job.faithful.methods), 'method')}: about {_duration(seconds)} for "
            f"{counted(images, 'image')}"
        )


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
