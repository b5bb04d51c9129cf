"""Runs a task on a Ray cluster: sends paths to its processes and receives journal rows in input order.

Only this file imports Ray: it is an extra, and takes seconds to start.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from ..errors import CamxError
from ..images.listing import Inputs, Source
from ..images.remote import is_remote
from ..models.placing import placed
from ..outputs.folder import OutputFolder
from ..outputs.remote import locked_remote_folder
from ..outputs.rows import FAILED, ImageRow
from ..outputs.shards import locked_whole_folder
from ..pipeline import Dropped, Observer, Plan, Stop, Summary
from ..pipeline.finish import end_state, finish_run, finished_if_broken
from ..pipeline.job import RunOptions
from ..pipeline.progress import Progress
from ..pipeline.resume import pending_sources
from ..pipeline.task import AnyTask, E, J, R, Task
from .actor import SPENT, Actor, Attempts, describe, packed

#: Network batches per call of an actor: the start and end of its pipeline are spread over them.
_BATCHES = 4
#: Processors per actor on a cluster without GPUs.
_CPUS = 4


def run_on_ray(task: AnyTask, observer: Observer, stop: Stop, actor: type[Actor] = Actor) -> Summary:
    """Runs a task with one actor per GPU of the cluster; see `run_task`.

    Raises `CamxError` if Ray is not installed, or the cluster cannot be reached.
    """
    job: RunOptions = task.job
    with stop.droppable():
        inputs = task.find()
    lock_folder = locked_remote_folder if is_remote(job.output) else locked_whole_folder
    with lock_folder(job.output) as folder, _cluster(job.ray_address) as ray:
        pool = _Pool.of(ray, task)
        with stop.droppable():
            answer = ray.get(ray.remote(describe).options(**pool.each).remote(pool.task, inputs))
        if isinstance(answer, str):
            raise CamxError(answer)
        fingerprint, plan, naming, warnings = answer
        folder.begin(fingerprint, (source.key for source in inputs.sources), overwrite=job.overwrite)
        run = _Run(task, inputs, folder, observer, stop, fingerprint, Progress(len(inputs.sources)))
        relabel = partial(task.relabel, naming)
        pending = pending_sources(inputs.sources, folder, run.progress, relabel, verify=job.verify)
        run.plan = dataclasses.replace(plan, skipped=run.progress.skipped, device=pool.words, output=job.output)
        observer.planned(run.plan)
        for warning in (*folder.problems(), *pending.problems(), *warnings):
            observer.warned(warning)
        run.progress.started = time.perf_counter()
        return run.to_end(_streamed(ray, pool, pending.sources, inputs, actor))


@dataclasses.dataclass(frozen=True)
class _Pool:
    """The actors: their number, the resources of each, and the task that they receive."""

    size: int
    each: dict[str, float]
    task: AnyTask
    words: str

    @classmethod
    def of(cls, ray: Any, task: Task[J, E, R]) -> _Pool:
        resources, nodes = ray.cluster_resources(), max(1, len(ray.nodes()))
        names = task.device.split(",")
        gpus = 0 if names[0] == "cpu" else int(resources.get("GPU", 0))
        kind = "cuda" if gpus else "cpu"
        size = len(names) if len(names) > 1 else gpus or max(1, int(resources.get("CPU", 1)) // _CPUS)
        each = {"num_cpus": 1.0, "num_gpus": 1.0 if gpus else 0.0}
        on_kind = task.on_device(kind)
        job = on_kind.job
        output = job.output if is_remote(job.output) else os.path.abspath(job.output)
        # Processes of Ray have their own working folders.
        model = placed(job.model)
        elsewhere = dataclasses.replace(job, model=model, output=output, processes=max(1, size // nodes))
        words = f"{size} × {kind} on {nodes} node{'s' * (nodes > 1)} of Ray"
        return cls(size, each, on_kind.with_job(elsewhere), words)

    @property
    def batch_size(self) -> int:
        return _BATCHES * (self.task.job.batch_size or (64 if self.each["num_gpus"] else 16))


@dataclasses.dataclass
class _Run:
    """The one writer of the journal."""

    task: AnyTask
    inputs: Inputs
    folder: OutputFolder
    observer: Observer
    stop: Stop
    fingerprint: dict[str, Any]
    progress: Progress
    plan: Plan = dataclasses.field(init=False)
    batch_size: int = 0

    def to_end(self, batches: Iterator[dict[str, Any]]) -> Summary:
        """Appends rows to the journal as they arrive; `run_task` describes how a run ends."""
        with finished_if_broken(self._finish), contextlib.suppress(Dropped):
            while self.stop.signal is None and not self._failed_fast:
                with self.stop.droppable():
                    batch = next(batches, None)
                if batch is None:
                    break
                self._journal(batch)
        stopped = self._failed_fast and self.progress.done < self.progress.total
        return self._finish(end_state(self.stop, stopped=stopped))

    @property
    def _failed_fast(self) -> bool:
        return bool(self.task.job.fail_fast and self.progress.counts[FAILED])

    def _journal(self, batch: dict[str, Any]) -> None:
        for note in filter(None, map(str, batch["note"])):
            content = json.loads(note)
            if "error" in content:
                raise CamxError(content["error"])
            self.batch_size = max(self.batch_size, content["batch_size"])
            for name in SPENT:
                setattr(self.progress, name, getattr(self.progress, name) + content["spent"][name])
        rows: list[ImageRow] = [json.loads(str(row)) for row in batch["row"]]
        self.folder.append(rows)
        for row in rows:
            self.progress.add(row)
        self.observer.advanced(self.progress)

    def _finish(self, state: str) -> Summary:
        summary = Summary(self.plan, self.progress, self.progress.seconds, self.batch_size, state, self.stop.signal)
        return finish_run(self.task, self.folder, self.inputs, self.fingerprint, summary, self.observer, self.stop)


def _streamed(
    ray: Any, pool: _Pool, todo: Sequence[Source], inputs: Inputs, actor: type[Actor]
) -> Iterator[dict[str, Any]]:
    """Yields batches of rows in input order, as soon as they are complete."""
    if not todo:
        return
    import ray.data as data
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # Ray logs every step to stderr; the observer of camx reports progress.
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    wanted = {source.key for source in todo}
    images = [
        {"image": packed(place, _placed(source))} for place, source in enumerate(inputs.sources) if source.key in wanted
    ]
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    attempts = ray.remote(Attempts).options(num_cpus=0, scheduling_strategy=here).remote()
    rows = data.from_items(images, override_num_blocks=-(-len(images) // pool.batch_size)).map_batches(
        actor,
        batch_size=pool.batch_size,
        batch_format="numpy",
        compute=data.ActorPoolStrategy(size=min(pool.size, len(images))),
        fn_constructor_args=(pool.task, len(inputs.sources), partial(_called, attempts)),
        **pool.each,
    )
    yield from rows.iter_batches(batch_size=None, batch_format="numpy")


def _called(attempts: Any, name: str, argument: Any) -> Any:
    import ray

    return ray.get(getattr(attempts, name).remote(argument))


@contextlib.contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    """Yields Ray, connected to the cluster at `address` or to a new one on this machine, without usage statistics."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise CamxError("`engine=ray` needs Ray. Install it with `pip install 'camx[ray]'`.") from error
    with _own_signals(), _path_for_children():
        try:
            ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="warning")
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise CamxError(
                f"The Ray cluster {address or 'of this machine'!r} cannot be reached: {_first_line(error)} "
                "Start one with `ray start --head`, or leave `ray_address` out for one on this machine."
            ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Restores the signal handlers of camx, which end a run between two images, after Ray has replaced them."""
    before: dict[int, Callable[..., Any] | int | None] = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _path_for_children() -> Iterator[None]:
    """While active, processes of Ray on this machine import modules from the same places as this one."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
    try:
        yield
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before


def _placed(source: Source) -> Source:
    return source if is_remote(source.path) else dataclasses.replace(source, path=os.path.abspath(source.path))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
