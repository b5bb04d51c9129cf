"""A run from the sources to the finished folder, whatever the command does with each image."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from ..cams.tracing.replay import StepCallback
from ..errors import CamxError
from ..images.decode import memory_limit
from ..images.listing import Inputs, Source
from ..images.picture import Decodable
from ..images.remote import is_remote
from ..images.workers import Workers
from ..machine import keep_freed_memory, picture_memory
from ..outputs.folder import OutputFolder, check_writable
from ..outputs.journal import FAILED, Row
from ..outputs.remote import locked_remote_folder, staging
from ..outputs.shards import Claim, locked_shard_folder, locked_whole_folder
from ..report import build_report
from .batchsize import BatchSize
from .job import RunOptions
from .lanes import Lanes, share
from .loop import Loop, OfPicture, Pace, Work, worker_count
from .memory import InFlightMemory, gc_frozen
from .progress import Engine, Observer, Plan, Progress, Summary
from .record import record
from .resume import pending_sources
from .stop import Stop

E = TypeVar("E", bound=Engine)
R = TypeVar("R", bound=OfPicture)


@dataclass(frozen=True)
class Task(Generic[E, R]):
    """What makes a command: how it finds its images and builds its engine, what its results depend on, what is done
    with every image, and the table that is derived at the end.

    batch: what an engine does with a batch: one result per image. relabel: a row whose image has another label now,
    or None where it must be done again. warnings: what the user should know before the first image. build: the engine
    for a run over so many images, which calls a function with the steps done and in all of a method of many forwards.
    """

    gather: Callable[[], Inputs]
    build: Callable[[int, StepCallback | None], E]
    fingerprint: Callable[[E, str], dict[str, Any]]
    batch: Callable[[E, Sequence[Decodable]], Sequence[R]]
    work: Callable[[E, Sequence[Source]], Work[R]]
    relabel: Callable[[E, Row, Source], Row | None]
    warnings: Callable[[E, Inputs], Iterable[str]]
    table_name: str
    table: Callable[[Iterable[Row]], Iterator[bytes]]

    def lanes(self, engine: E, images: int, batch_size: int) -> Lanes[Sequence[Decodable], Sequence[R]]:
        """As many lanes as the device has use for, the first of them with `engine` itself.

        One where the network cannot be copied.
        """
        lanes, threads = share(engine.device, math.ceil(images / batch_size), compiled=engine.compiled)
        engines = [engine]
        try:
            engines += [engine.replica() for _ in range(1, lanes)]
        # Whatever a network's own objects have against being copied.
        except Exception:
            engines, threads = [engine], threads * lanes
        return Lanes([partial(self.batch, one) for one in engines], threads, engine.device)


def plan_task(task: Task[E, R], options: RunOptions) -> Plan:
    """Find the images, build the engine, look at the output folder, and tell what a run would do; writes nothing."""
    inputs = task.gather()
    remote = is_remote(options.output)
    if not remote:
        check_writable(options.output)
    engine = task.build(len(inputs.sources), None)
    OutputFolder(staging(options.output) if remote else options.output).check(
        task.fingerprint(engine, inputs.base), overwrite=options.overwrite
    )
    return Plan.of(engine, _own(inputs, options), options.output)


def run_task(
    task: Task[E, R], options: RunOptions, observer: Observer, stop: Stop, claim: Claim | None = None
) -> Summary:
    """Do the task for every image, or every one of the shard, and leave the folder complete, also where the run is
    ended early. `claim` holds the output folder, or the part of it.

    Continues what an earlier run of the same fingerprint has left. Raises `CamxError` when it cannot start,
    or cannot go on (output full); the journal then holds all that was done. A signal that comes before the
    first image raises `Dropped`; later ones end the run with a summary.
    """
    keep_freed_memory()
    with stop.droppable():
        inputs = task.gather()
        own = _own(inputs, options)
    # The workers begin while the engine is built.
    with (
        _workers(options, len(own.sources)) as decoders,
        # Others than those that decode: a decoder that hangs holds up no results.
        _workers(options, len(own.sources)) as drawers,
        (claim or _claimed(options))(options.output) as folder,
    ):
        progress = Progress(total=len(own.sources))
        with stop.droppable():
            engine = task.build(len(inputs.sources), progress.step)
        fingerprint = task.fingerprint(engine, inputs.base)
        folder.begin(fingerprint, (source.key for source in inputs.sources), overwrite=options.overwrite)
        todo = pending_sources(
            inputs.sources, folder, progress, lambda row, source: task.relabel(engine, row, source), options.shard
        )
        plan = Plan.of(engine, own, options.output, progress.skipped)
        observer.planned(plan)
        for warning in (*_links(inputs), *task.warnings(engine, inputs)):
            observer.warned(warning)
        progress.started = time.perf_counter()
        batch = BatchSize(options.batch_size, engine.device)
        pace = Pace(batch, worker_count(options.workers, options.processes), options.fail_fast)
        work, room = task.work(engine, inputs.sources), InFlightMemory(picture_memory(options.processes))
        lanes = task.lanes(engine, len(todo), batch.current)
        loop = Loop(work, lanes, pace, folder, progress, observer, stop, decoders, drawers, room)

        def finish(state: str) -> Summary:
            summary = Summary(plan, progress, progress.seconds, batch.current, state, stop.signal)
            folder.derive(task.table_name, (source.key for source in inputs.sources), task.table)
            folder.record(record(options, fingerprint, summary))
            if options.report and not options.shard:
                report(folder, [source.key for source in inputs.sources], observer)
            elif not options.shard:
                # A page of an earlier run would say what is no longer so.
                folder.remove_report()
            return summary

        try:
            with gc_frozen():
                loop.run(todo)
        except BaseException:
            # What went wrong is what the user must hear of, not that the table could not be written either.
            with contextlib.suppress(CamxError):
                finish("broken")
            raise
        stopped = options.fail_fast and progress.counts[FAILED] and progress.done < progress.total
        return finish("interrupted" if stop.signal else "stopped" if stopped else "finished")


def _links(inputs: Inputs) -> Iterator[str]:
    if inputs.linked:
        shown = ", ".join(inputs.linked[:3]) + (" …" if len(inputs.linked) > 3 else "")
        yield (
            f"{len(inputs.linked)} links to folders are not followed ({shown}); "
            "name the folders themselves if their images are wanted."
        )


def _own(inputs: Inputs, options: RunOptions) -> Inputs:
    """The inputs, or those of the shard."""
    return dataclasses.replace(inputs, sources=options.shard.of(inputs.sources)) if options.shard else inputs


def _claimed(options: RunOptions) -> Claim:
    if is_remote(options.output):
        if options.shard:
            raise CamxError(
                f"--shard needs an --output that all shards can write to as a folder, not {options.output!r}. "
                "Give each an address of its own, or use --engine ray."
            )
        return locked_remote_folder
    return partial(locked_shard_folder, shard=options.shard) if options.shard else locked_whole_folder


def _workers(options: RunOptions, images: int) -> Workers:
    """Worker processes for a run, no more than it has images."""
    count = min(worker_count(options.workers, options.processes), images)
    return Workers(count, timeout=options.image_timeout, memory=memory_limit(options.max_pixels))


def report(folder: OutputFolder, keys: Sequence[str], observer: Observer) -> None:
    """Write the report; the results stand without it, so that what goes wrong with it is a warning."""
    try:
        build_report(folder.path, keys)
        folder.publish("report")
    except Exception as error:
        observer.warned(f"The report could not be written: {error} `camx report {folder.path}` tries again.")
