"""A process of a Ray cluster: runs the local loop on a few images at a time and returns their rows.

Processes of Ray import this file; nothing in it imports Ray.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import CamxError
from ..images.decode import memory_limit
from ..images.listing import Inputs, Source
from ..images.picture import Unreadable, state_of
from ..images.remote import is_remote
from ..images.workers import Workers
from ..machine import picture_memory
from ..outputs.folder import OutputFolder
from ..outputs.remote import RemoteFolder
from ..outputs.renderer import failed_row
from ..outputs.rows import ImageRow
from ..pipeline import Plan, Stop
from ..pipeline.batchsize import BatchSize
from ..pipeline.job import RunOptions
from ..pipeline.lanes import engine_lanes
from ..pipeline.loop import Loop, Pace, worker_count
from ..pipeline.memory import InFlightMemory
from ..pipeline.progress import Progress, Silent
from ..pipeline.relabel import Naming
from ..pipeline.task import AnyTask

#: Error of an image that ended two processes: once in a batch, once alone.
_ENDED = "the process that explained it ended twice"


def packed(place: int, source: Source) -> str:
    """Image and its position in the input as text, for a Ray data set."""
    return json.dumps([place, *dataclasses.astuple(source)])


def unpacked(text: str) -> tuple[int, Source]:
    place, key, path, label, folder_label, span, state, more_labels, attributes, apart, frame, mask = json.loads(text)
    return place, Source(
        key=key,
        path=path,
        label=label,
        folder_label=folder_label,
        span=tuple(span) if span else None,
        listed_state=tuple(state) if state else None,
        more_labels=tuple(more_labels),
        attributes=tuple((name, value) for name, value in attributes),
        apart=apart,
        frame=frame,
        mask=mask,
    )


@dataclass
class _CollectedRows:
    """Writes files to `target` and collects rows, which the run appends to its one journal."""

    target: OutputFolder
    rows: list[ImageRow] = field(default_factory=list)

    def write(self, relative: str, data: bytes) -> None:
        self.target.write(relative, data)

    def append(self, rows: Sequence[ImageRow]) -> None:
        self.rows += rows


class Attempts:
    """Counts how often a process ended while it worked on each image. Lives in a process without images.

    If a process ends during a batch, all its images are suspects and are tried again one by one. An image that then
    ends its process alone is the cause, and clears the others.
    """

    _FOUND, _KNOWN = 2, 3

    def __init__(self) -> None:
        self._begun: dict[str, int] = {}

    def begin(self, keys: Sequence[str]) -> list[int]:
        """Registers a batch. Returns the number of processes that each image may have ended; the images run together
        if all are 0, else one by one."""
        counts = {key: self._begun.get(key, 0) for key in keys}
        if self._FOUND in counts.values():
            cleared = {0: 0, 1: 0, self._FOUND: self._KNOWN, self._KNOWN: self._KNOWN}
            self._begun |= {key: cleared[count] for key, count in counts.items()}
        elif not any(counts.values()):
            self._begun |= dict.fromkeys(keys, 1)
            return [0] * len(keys)
        return [self._begun[key] for key in keys]

    def begin_alone(self, key: str) -> None:
        self._begun[key] += 1

    def end(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._begun[key] = 0


class Actor:
    """Callable for `map_batches` that builds engine and workers once. Batches are read-only."""

    def __init__(self, task: AnyTask, images: int, call: Callable[..., Any]) -> None:
        """images: number of images of the run. `call(name, argument)` calls a method of the `Attempts` of this run."""
        self._task, self._call = task, call
        job: RunOptions = task.job
        self._engine = task.build_engine(images)
        self._work = task.work(self._engine, images)
        #: Positions in the input of the images of the current batch.
        self._places: dict[str, int] = {}
        count, memory = worker_count(job.workers, job.processes), memory_limit(job.max_pixels)
        self._decoders = Workers(count, timeout=job.image_timeout, memory=memory)
        self._drawers = Workers(count, memory=memory)
        self._batch = BatchSize(job.batch_size, self._engine.device)
        remote = is_remote(job.output)
        self._target = RemoteFolder("", url=job.output) if remote else OutputFolder(job.output)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Converts the column `image` (packed sources) to the columns `row` (one JSON object each) and `note`.

        The first note is JSON with the progress of the batch, or with the error that ends the run. Others are empty.
        """
        images = [unpacked(str(text)) for text in batch["image"]]
        progress = Progress(len(images))
        self._places = {source.key: place for place, source in images}
        try:
            rows = self._rows([source for _, source in images], progress)
        except CamxError as error:
            return {"row": [""], "note": [json.dumps({"error": str(error)})]}
        rows.sort(key=lambda row: int(row["index"]))
        spent = {name: getattr(progress, name) for name in SPENT}
        notes = [json.dumps({"spent": spent, "batch_size": self._batch.current}), *[""] * (len(rows) - 1)]
        return {"row": [json.dumps(row, allow_nan=False) for row in rows], "note": notes}

    def _rows(self, sources: Sequence[Source], progress: Progress) -> list[ImageRow]:
        """Rows of these images. Images that may have ended a process run one by one; one that ends a second process
        fails without a third attempt."""
        keys = [source.key for source in sources]
        before = self._call("begin", keys)
        if not any(before):
            try:
                rows = self.explain_images(sources, progress)
                self._call("end", keys)
                return rows
            except CamxError:
                raise
            except Exception as error:
                _exit_if_device_lost(error)
        return [self._alone(source, count, progress) for source, count in zip(sources, before)]

    def _alone(self, source: Source, begun: int, progress: Progress) -> ImageRow:
        if begun > 1:
            return self._failed(source, _ENDED)
        self._call("begin_alone", source.key)
        try:
            (row,) = self.explain_images([source], progress)
        except CamxError:
            raise
        except Exception as error:
            _exit_if_device_lost(error)
            row = self._failed(source, f"cannot be explained: {type(error).__name__}: {error}")
        self._call("end", [source.key])
        return row

    def explain_images(self, sources: Sequence[Source], progress: Progress) -> list[ImageRow]:
        """Runs the same loop as on one machine, and returns the rows of these images."""
        folder = _CollectedRows(self._target)
        job: RunOptions = self._task.job
        Loop(
            self._work,
            self._places,
            engine_lanes(self._engine, self._task.run_batch, len(sources), self._batch.current),
            Pace(self._batch, worker_count(job.workers, job.processes)),
            folder,
            progress,
            Silent(),
            Stop(),
            self._decoders,
            self._drawers,
            InFlightMemory(picture_memory(job.processes)),
        ).run(sources)
        return folder.rows

    def _failed(self, source: Source, reason: str) -> ImageRow:
        row = failed_row(Unreadable(source, reason, state_of(source)))
        return {**row, "index": self._places[source.key]}


#: Fields of `Progress` that a batch reports.
SPENT = (
    *("decode_seconds", "model_seconds", "encode_seconds"),
    *("waiting_for_decode", "waiting_for_model", "waiting_for_encode"),
)


def _exit_if_device_lost(error: Exception) -> None:
    """Ends this process after a CUDA error, which makes its device unusable; Ray starts another one."""
    if "CUDA error" in str(error):
        os._exit(70)


def describe(task: AnyTask, inputs: Inputs) -> tuple[dict[str, Any], Plan, Naming | None, list[str]] | str:
    """Builds the engine on a machine of the cluster. Returns fingerprint, plan, class names and warnings, or the error
    as text."""
    try:
        engine = task.build_engine(len(inputs.sources))
        warnings = [*engine.network.warnings, *task.warnings(engine, inputs)]
    except CamxError as error:
        return str(error)
    plan = Plan.of(engine, inputs, task.job.output, cost=task.cost(engine, len(inputs.sources)))
    return task.fingerprint(engine, inputs.base), plan, task.naming(engine), warnings
