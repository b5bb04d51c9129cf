"""Runs one job on one device, on several, or on a cluster."""

from __future__ import annotations

import dataclasses
from functools import partial

from ..errors import CamxError
from ..images.remote import is_remote
from ..outputs.folder import OutputFolder
from ..outputs.record import RunRecord
from ..pipeline import Observer, Plan, Stop, Summary
from ..pipeline.commands import task_of
from ..pipeline.job import RunOptions
from ..pipeline.progress import Progress, Silent
from ..pipeline.run_scale import draw_on_run_scale
from ..pipeline.session import plan_task, run_task
from ..pipeline.task import AnyTask
from .cluster import run_on_ray
from .devices import devices_of, run_on_devices
from .merge import FINISHED, may_be_complete, merge


def plan(job: RunOptions) -> Plan:
    """The plan of `run`. Writes nothing."""
    task = task_of(job)
    devices = _devices(task)
    first = plan_task(task.on_device(devices[0]))
    return first if len(devices) == 1 else dataclasses.replace(first, device=", ".join(devices))


def run(job: RunOptions, observer: Observer = Silent(), stop: Stop | None = None) -> Summary:
    """Runs a job on its engine and devices; see `run_task`. The last shard to finish merges all parts."""
    task, stop = task_of(job), stop or Stop()
    if job.engine == "ray":
        return run_on_ray(task, observer, stop)
    devices = _devices(task)
    if len(devices) > 1:
        return run_on_devices(task, devices, observer, stop)
    summary = run_task(task.on_device(devices[0]), observer, stop)
    if job.shard is not None and summary.state == FINISHED:
        _merge_if_last(task, observer, stop)
    return summary


def _devices(task: AnyTask) -> tuple[str, ...]:
    job: RunOptions = task.job
    if job.engine == "ray":
        return (task.device.split(",")[0],)
    devices = devices_of(task.device, job.shard.local_rank if job.shard else None)
    if len(devices) > 1 and job.shard is not None:
        raise CamxError(
            f"`shard={job.shard}` runs on one device, not on `device={task.device}`. Start one shard per device, "
            "or leave `shard` out to use all devices of this machine."
        )
    if len(devices) > 1 and is_remote(job.output):
        raise CamxError(
            f"`device={task.device}` needs an `output` on this machine, not {job.output!r}. "
            "Give a folder and copy it, or use `engine=ray`."
        )
    return devices


def _merge_if_last(task: AnyTask, observer: Observer, stop: Stop) -> None:
    """Merges if this shard is the last one. An error in the merge is only a warning: this shard is complete."""
    job: RunOptions = task.job
    assert job.shard is not None
    if is_remote(job.output):
        # Stores have no locks: two shards that end together would merge parts that the other one removes.
        observer.warned(f"When all shards are finished, merge them: camx merge {job.output}")
        return
    if not may_be_complete(job.output, job.shard.count):
        return
    try:
        unfinished = merge(job.output, observer, partial(_draw_all, task, observer, stop)).unfinished
        if unfinished:
            states = ", ".join(f"shard {shard} is {state}" for shard, state in unfinished.items())
            observer.warned(f"The shards are not merged yet: {states}.")
    except CamxError as error:
        observer.warned(f"{error} Merge the shards later: camx merge {job.output}")


def _draw_all(task: AnyTask, observer: Observer, stop: Stop, folder: OutputFolder) -> dict[str, float]:
    """Draws the maps of all shards on one scale, if the job asks for that; see `draw_on_run_scale`."""
    record = folder.run_record() or RunRecord()
    sources = task.find().sources
    return draw_on_run_scale(task.job, folder, sources, record["fingerprint"], Progress(len(sources)), observer, stop)
