"""Runs a task from the sources to the finished folder."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from functools import partial

from ..images.listing import Inputs
from ..images.remote import is_remote
from ..machine import keep_freed_memory, picture_memory
from ..outputs.folder import OutputFolder
from ..outputs.folder_lock import check_writable
from ..outputs.remote import locked_remote_folder, locked_remote_shard, staging
from ..outputs.rows import FAILED
from ..outputs.shards import FolderLock, locked_shard_folder, locked_whole_folder
from ..sentences import counted
from .batchsize import BatchSize
from .finish import end_state, finish_run, finished_if_broken
from .job import RunOptions
from .lanes import engine_lanes
from .loop import Loop, Pace, worker_count, workers_of
from .memory import InFlightMemory, gc_frozen
from .progress import Observer, Plan, Progress, Summary
from .resume import pending_sources
from .stop import Stop
from .task import E, J, R, Task


def plan_task(task: Task[J, E, R]) -> Plan:
    """Plan of a run. Finds the images, builds the engine and reads the output folder, but writes nothing."""
    job, inputs = task.job, task.find()
    remote = is_remote(job.output)
    if not remote:
        check_writable(job.output)
    engine = task.build_engine(len(inputs.sources))
    # Raises where the images do not suit the engine.
    _ = [*task.warnings(engine, inputs)]
    folder, fingerprint = (
        OutputFolder(staging(job.output) if remote else job.output),
        task.fingerprint(engine, inputs.base),
    )
    folder.check(fingerprint, overwrite=job.overwrite)
    replaced = folder.replaced(fingerprint) if job.overwrite else ""
    own = _own(inputs, job)
    plan = Plan.of(engine, own, job.output, cost=task.cost(engine, len(own.sources)))
    return dataclasses.replace(plan, replaced=replaced)


def run_task(
    task: Task[J, E, R],
    observer: Observer,
    stop: Stop,
    *,
    inputs: Inputs | None = None,
    lock_folder: FolderLock | None = None,
) -> Summary:
    """Runs the task on all images, or those of the shard. Leaves a complete folder even if the run ends early.
    Continues an earlier run of the same fingerprint.

    inputs: images, if already known. lock_folder: locks the output folder, or the part of a shard. Raises `CamxError`
    if the run cannot start or continue (full disk); the journal then has all finished images. A signal before the first
    image raises `Dropped`; a later one ends the run with a summary.
    """
    job = task.job
    keep_freed_memory()
    with stop.droppable():
        found = inputs or task.find()
        own, images = _own(found, job), len(found.sources)
    # Workers start while the engine is built.
    with (
        workers_of(job, len(own.sources)) as decoders,
        # Separate from those that decode: a hanging decoder must not delay results.
        workers_of(job, len(own.sources)) as drawers,
        (lock_folder or _folder_lock(job))(job.output) as folder,
    ):
        progress = Progress(total=len(own.sources))
        with stop.droppable():
            engine = task.build_engine(images, progress.step)
        # Before the first file: the images may not suit the engine.
        doubts = [*engine.network.warnings, *task.warnings(engine, found)]
        fingerprint = task.fingerprint(engine, found.base)
        folder.begin(fingerprint, (source.key for source in found.sources), overwrite=job.overwrite)
        relabel = partial(task.relabel, task.naming(engine))
        pending = pending_sources(found.sources, folder, progress, relabel, job.shard, verify=job.verify)
        todo = pending.sources
        plan = Plan.of(engine, own, job.output, progress.skipped, task.cost(engine, len(todo)))
        observer.planned(plan)
        warnings = (
            *folder.problems(),
            *pending.problems(),
            *_links(found),
            *doubts,
        )
        for warning in warnings:
            observer.warned(warning)
        progress.started = time.perf_counter()
        batch = BatchSize(job.batch_size, engine.device)
        loop = Loop(
            task.work(engine, images),
            {source.key: index for index, source in enumerate(found.sources)},
            engine_lanes(engine, task.run_batch, len(todo), batch.current),
            Pace(batch, worker_count(job.workers, job.processes), job.fail_fast),
            folder,
            progress,
            observer,
            stop,
            decoders,
            drawers,
            InFlightMemory(picture_memory(job.processes)),
        )

        def finish(state: str) -> Summary:
            summary = Summary(plan, progress, progress.seconds, batch.current, state, stop.signal)
            return finish_run(task, folder, found, fingerprint, summary, observer, stop)

        with finished_if_broken(finish), gc_frozen():
            loop.run(todo)
        failed_fast = job.fail_fast and progress.counts[FAILED] > 0 and progress.done < progress.total
        return finish(end_state(stop, stopped=failed_fast))


def _links(inputs: Inputs) -> Iterator[str]:
    if inputs.linked:
        shown = ", ".join(inputs.linked[:3]) + (" …" if len(inputs.linked) > 3 else "")
        yield (
            f"{counted(len(inputs.linked), 'link to a folder is', 'links to folders are')} not followed ({shown}). "
            "Give the folders themselves to use their images."
        )


def _own(inputs: Inputs, job: RunOptions) -> Inputs:
    """Inputs of the shard, or all."""
    return dataclasses.replace(inputs, sources=job.shard.of(inputs.sources)) if job.shard else inputs


def _folder_lock(job: RunOptions) -> FolderLock:
    """Context that locks the output folder of a job."""
    if is_remote(job.output):
        return partial(locked_remote_shard, shard=job.shard) if job.shard else locked_remote_folder
    return partial(locked_shard_folder, shard=job.shard) if job.shard else locked_whole_folder
