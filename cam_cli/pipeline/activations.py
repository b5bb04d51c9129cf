"""The task of `camx activations`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

from ..features.maps import Reading
from ..features.reader import FeatureReader
from ..features.results import rendered, table
from ..images.listing import Inputs, Source, find
from ..images.picture import load
from ..models.catalog import load_model
from ..outputs.journal import Row
from ..run_layout import ACTIVATIONS_TABLE
from .job import ActivationsJob, common_fingerprint, decoding_as
from .loop import Work
from .progress import Observer, Plan, Silent, Summary
from .session import Task, plan_task, run_task
from .stop import Stop


def plan_activations(job: ActivationsJob) -> Plan:
    """What `run_activations` would do; writes nothing."""
    return plan_task(_task(job), job)


def run_activations(job: ActivationsJob, observer: Observer = Silent(), stop: Stop | None = None) -> Summary:
    """A sheet of feature maps for every image of the job; see `session.carried_out`."""
    return run_task(_task(job), job, observer, stop or Stop())


def _task(job: ActivationsJob) -> Task[FeatureReader, Reading]:
    def gathered() -> Inputs:
        return find(job.sources, job.filters, limit=job.limit)

    def fingerprint(reader: FeatureReader, base: str) -> dict[str, Any]:
        return {
            "command": "activations",
            **common_fingerprint(job, reader, base),
            **dataclasses.asdict(job.read.choice),
        }

    def work(reader: FeatureReader, sources: Sequence[Source]) -> Work[Reading]:
        preprocessing = reader.network.preprocessing
        return Work(
            load=partial(
                load, preprocessing=preprocessing, canvas="model", max_pixels=job.max_pixels, decoding=job.decode
            ),
            render=rendered,
            indices={source.key: index for index, source in enumerate(sources)},
        )

    def relabelled(reader: FeatureReader, row: Row, source: Source) -> Row:
        """Feature maps do not depend on labels: only the note of it changes."""
        return {**row, "label": source.label}

    return Task(
        gather=gathered,
        build=lambda images, on_step: decoding_as(job, FeatureReader(load_model(job.model), job.read)),
        fingerprint=fingerprint,
        batch=FeatureReader.read,
        work=work,
        relabel=relabelled,
        warnings=lambda reader, inputs: (),
        table_name=ACTIVATIONS_TABLE,
        table=table,
    )
