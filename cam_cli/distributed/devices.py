"""Runs a task on several devices of one machine: one process and shard per device, then one merged folder."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch

from ..cams.engine.devices import find_device
from ..errors import CamxError
from ..images.listing import Inputs
from ..images.shard import Shard
from ..outputs.folder import OutputFolder
from ..outputs.shards import locked_whole_folder, merge_rows, parts_in, remove_parts
from ..pipeline import Dropped, Observer, Plan, Stop, Summary
from ..pipeline.finish import end_state, finish_run, finished_if_broken
from ..pipeline.progress import Progress
from ..pipeline.task import AnyTask, E, J, R, Task
from ..sentences import counted
from .merge import FINISHED
from .messages import Ended, Failed, Fingerprint, Warned
from .processes import DeviceProcess, Processes

#: Fields of `Progress` that add up over the processes.
_SUMMED = (
    *("skipped", "labelled", "correct", "decode_seconds", "model_seconds", "encode_seconds"),
    *("waiting_for_decode", "waiting_for_model", "waiting_for_encode"),
)


def devices_of(wanted: str, local_rank: int | None = None) -> tuple[str, ...]:
    """Splits `cuda:0,cuda:1`; `all` gives all CUDA devices, or the single device of a machine without CUDA.

    `auto` gives one device: with `local_rank`, the CUDA device of that number. Raises `CamxError` for a device that
    does not exist.
    """
    count = torch.cuda.device_count()
    if wanted == "all":
        return tuple(f"cuda:{index}" for index in range(count)) or ("auto",)
    if wanted == "auto" and local_rank is not None and count:
        return (f"cuda:{local_rank % count}",)
    names = tuple(name.strip() for name in wanted.split(","))
    if len(names) > 1:
        for name in names:
            find_device(name)
    return names


def run_on_devices(task: Task[J, E, R], devices: Sequence[str], observer: Observer, stop: Stop) -> Summary:
    """Runs a task on these devices; see `run_task`.

    Raises `CamxError` if the process of a device ends too early. Finished images are kept.
    """
    with stop.droppable():
        inputs = task.find()
    with locked_whole_folder(task.job.output) as folder:
        tasks = [_on_one(task, device, Shard(number, len(devices))) for number, device in enumerate(devices, 1)]
        with Processes(tasks, inputs) as processes:
            run = _Run(task, inputs, folder, processes, observer, stop)
            run.agree()
            return run.to_end()


def _on_one(task: Task[J, E, R], device: str, shard: Shard) -> Task[J, E, R]:
    """Copy of the task for one device. It does not overwrite: the run does that once for all."""
    placed = task.on_device(device)
    return placed.with_job(dataclasses.replace(placed.job, overwrite=False, processes=shard.count, shard=shard))


class _Run:
    """State of a run on several devices, from the messages of its processes."""

    def __init__(
        self,
        task: AnyTask,
        inputs: Inputs,
        folder: OutputFolder,
        processes: Processes,
        observer: Observer,
        stop: Stop,
    ) -> None:
        self._task, self._inputs, self._folder = task, inputs, folder
        self._processes, self._observer, self._stop = processes, observer, stop
        self._fingerprints: dict[DeviceProcess, dict[str, Any]] = {}
        self._plans: dict[DeviceProcess, Plan] = {}
        self._progress: dict[DeviceProcess, Progress] = {}
        self._summaries: dict[DeviceProcess, Summary] = {}
        self._warnings: set[str] = set()
        self._batch_size = 0
        self._error = ""
        self._started = time.perf_counter()

    def agree(self) -> None:
        """Checks that all fingerprints are equal, opens the folder, and lets the processes begin."""
        with self._stop.droppable():
            while len(self._fingerprints) < len(self._processes.all) and not self._error:
                self._handle_next_message()
        if self._error:
            raise CamxError(self._error)
        first, *others = self._fingerprints.values()
        for other in others:
            for key in first:
                if other[key] != first[key]:
                    raise CamxError(
                        f"The devices do not agree on {key} ({first[key]}, {other[key]}), so results would differ. "
                        f"Set `{key}`, or give devices of one kind."
                    )
        self._folder.begin(first, (source.key for source in self._inputs.sources), overwrite=self._task.job.overwrite)
        self._processes.begin()

    def to_end(self) -> Summary:
        """Handles messages until no process runs, then merges the parts, even after an error."""
        while self._processes.running:
            self._handle_next_message()
            if self._stop.signal is not None:
                self._processes.stop(self._stop.signal)
            elif self._error or self._stopped:
                self._processes.stop()
        state = end_state(self._stop, stopped=self._stopped)
        with finished_if_broken(self._finish):
            if self._error:
                raise CamxError(self._error)
            self._merge_rows()
            if state == FINISHED and (lost := self._without_row()):
                raise CamxError(
                    f"{counted(lost, 'image has', 'images have')} no row although every device has finished "
                    f"({counted(len(self._inputs.sources), 'image')} in all). Run the same command again."
                )
        return self._finish(state)

    def _merge_rows(self) -> None:
        merge_rows(self._folder.path, parts_in(self._folder.path))
        self._folder.open_journal()

    def _without_row(self) -> int:
        """Number of images without a row: the journal of their part was lost."""
        return sum(source.key not in self._folder.journal for source in self._inputs.sources)

    @property
    def _stopped(self) -> bool:
        return any(summary.state == "stopped" for summary in self._summaries.values())

    def _handle_next_message(self) -> None:
        received = self._processes.next_message()
        for process in self._processes.kill_stuck():
            if process.signalled:
                self._observer.warned(f"The process for {process.device} ignored the signal to end, and was killed.")
            else:
                self._error = self._error or (
                    f"The process for {process.device} was stopped from outside (SIGSTOP) too long, and was killed. "
                    "Finished images are kept. Run the same command again to continue."
                )
        if received is None:
            return
        process, message = received
        match message:
            case Fingerprint(content):
                self._fingerprints[process] = content
            case Warned(text) if text not in self._warnings:
                self._warnings.add(text)
                self._observer.warned(text)
            case Plan():
                self._plans[process] = message
                if len(self._plans) == len(self._processes.all):
                    self._started = time.perf_counter()
                    self._observer.planned(self._plan())
            case Progress():
                self._progress[process] = message
                if len(self._plans) == len(self._processes.all):
                    self._observer.advanced(self._total())
            case Summary():
                self._summaries[process] = message
                self._batch_size = max(self._batch_size, message.batch_size)
                self._progress[process] = message.progress
            case Failed(text):
                self._error = self._error or text
            case Ended(description) if process not in self._summaries and not process.signalled:
                # An error that the process has sent is more precise.
                self._error = self._error or (
                    f"The process for {process.device} {description}. "
                    "Finished images are kept. Run the same command again to continue."
                )

    def _plan(self) -> Plan:
        plans = list(self._plans.values())
        return dataclasses.replace(
            plans[0],
            images=len(self._inputs.sources),
            skipped=sum(plan.skipped for plan in plans),
            device=", ".join(process.device for process in self._processes.all),
        )

    def _total(self) -> Progress:
        """Sum over all processes. Seconds of work add up, as in a pool of workers."""
        all_of_them = list(self._progress.values())
        total = Progress(len(self._inputs.sources), started=self._started)
        for name in _SUMMED:
            setattr(total, name, sum(getattr(progress, name) for progress in all_of_them))
        total.counts = sum((progress.counts for progress in all_of_them), Counter())
        return total

    def _finish(self, state: str) -> Summary:
        path, progress = self._folder.path, self._total()
        seconds = progress.seconds
        self._merge_rows()
        remove_parts(path, parts_in(path))
        if not self._plans:
            raise Dropped
        summary = Summary(self._plan(), progress, seconds, self._batch_size, state, self._stop.signal)
        fingerprint = next(iter(self._fingerprints.values()))
        return finish_run(self._task, self._folder, self._inputs, fingerprint, summary, self._observer, self._stop)
