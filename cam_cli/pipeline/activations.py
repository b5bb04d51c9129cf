"""The task of `camx activations`: sheets and numbers of the feature maps of one layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..cams.tracing.replay import StepCallback
from ..features.maps import Reading
from ..features.reader import FeatureReader
from ..features.results import rendered, table
from ..images.listing import Inputs, Source, find
from ..images.picture import Decodable, load
from ..models.catalog import load_model
from ..models.class_files import INDEX
from ..models.names import is_hub_network
from ..options import results
from ..outputs.renderer import with_truth
from ..outputs.rows import ImageRow
from ..run_layout import ACTIVATIONS_TABLE
from .earlier import named_as_before
from .fingerprint import common_fingerprint
from .frames import with_frames
from .job import ActivationsJob, decoding_as
from .progress import Observer, Plan, Silent, Summary
from .relabel import Naming
from .session import plan_task, run_task
from .stop import Stop
from .task import Table, Work


def plan_activations(job: ActivationsJob) -> Plan:
    """The plan of `run_activations`. Writes nothing."""
    return plan_task(ActivationsTask(job))


def run_activations(job: ActivationsJob, observer: Observer = Silent(), stop: Stop | None = None) -> Summary:
    """Draws a sheet of feature maps for every image of the job; see `run_task`."""
    return run_task(ActivationsTask(job), observer, stop or Stop())


def activations_table() -> Table:
    """`activations.csv`: one line per image and channel."""
    return Table(ACTIVATIONS_TABLE, table)


@dataclass(frozen=True)
class ActivationsTask:
    """Draws a sheet of feature maps for each image of a job."""

    job: ActivationsJob

    @property
    def device(self) -> str:
        return self.job.read.device

    def table_of(self, fingerprint: Mapping[str, Any]) -> Table:
        return activations_table()

    def with_job(self, job: ActivationsJob) -> ActivationsTask:
        return ActivationsTask(job)

    def on_device(self, device: str) -> ActivationsTask:
        options = dataclasses.replace(self.job.read, device=device)
        return ActivationsTask(dataclasses.replace(self.job, read=options))

    def find(self) -> Inputs:
        found = with_frames(find(self.job.sources, self.job.filters, limit=self.job.limit), self.job)
        return named_as_before(found, self.job)

    def build_engine(self, images: int, on_step: StepCallback | None = None) -> FeatureReader:
        """Builds the reader. An image takes one forward, so `on_step` is not used."""
        model = self.job.model
        if is_hub_network(model.name):  # one that compares images with texts would need class names
            model = dataclasses.replace(model, class_names=INDEX)
        return decoding_as(self.job, FeatureReader(load_model(model, self.job.origins), self.job.read))

    def fingerprint(self, engine: FeatureReader, base: str) -> dict[str, Any]:
        return {
            "command": "activations",
            **common_fingerprint(self.job, engine, base),
            **results(self.job.read.choice),
        }

    def run_batch(self, engine: FeatureReader, images: Sequence[Decodable]) -> Sequence[Reading]:
        return engine.read(images)

    def work(self, engine: FeatureReader, images: int) -> Work[Reading]:
        return Work(
            load=partial(
                load,
                preprocessing=engine.network.preprocessing,
                canvas="model",
                max_pixels=self.job.max_pixels,
                pixels=self.job.pixels,
                decoding=self.job.decode,
            ),
            render=rendered,
        )

    def naming(self, engine: FeatureReader) -> None:
        """None: rows of feature maps have no class names."""

    def relabel(self, naming: Naming | None, row: ImageRow, source: Source) -> ImageRow:
        """Replaces the label in the row: feature maps do not depend on it."""
        return with_truth(row, source)

    def warnings(self, engine: FeatureReader, inputs: Inputs) -> Iterable[str]:
        return inputs.notes

    def cost(self, engine: FeatureReader, images: int) -> str:
        """Returns "": an image takes one forward."""
        return ""
