"""One job, whatever it runs on."""

from __future__ import annotations

import dataclasses

from .. import pipeline
from ..errors import CamxError
from ..images.remote import is_remote
from ..outputs.shards import part_record, parts_in
from ..pipeline import Job, Observer, Plan, Stop, Summary
from ..pipeline.progress import Silent
from .cluster import run_on_ray
from .devices import devices_of, run_on_devices
from .merge import FINISHED, merge


def plan(job: Job) -> Plan:
    """What `run` would do; writes nothing."""
    devices = _devices(job)
    first = pipeline.plan(_on(job, devices[0]))
    return first if len(devices) == 1 else dataclasses.replace(first, device=", ".join(devices))


def run(job: Job, observer: Observer = Silent(), stop: Stop | None = None) -> Summary:
    """Carry out a job on its engine and devices; see `session.carried_out`. The last shard to finish merges all."""
    stop = stop or Stop()
    if job.engine == "ray":
        return run_on_ray(job, observer, stop)
    devices = _devices(job)
    if len(devices) > 1:
        return run_on_devices(job, devices, observer, stop)
    summary = pipeline.run(_on(job, devices[0]), observer, stop)
    if job.shard is not None and summary.state == FINISHED:
        _merge_if_last(job, observer)
    return summary


def _devices(job: Job) -> tuple[str, ...]:
    if job.engine == "ray":
        return (job.explain.device.split(",")[0],)
    devices = devices_of(job.explain.device)
    if len(devices) > 1 and job.shard is not None:
        raise CamxError(
            f"--shard {job.shard} with --device {job.explain.device}: start one shard per device, "
            "or leave --shard out for all devices of this machine."
        )
    if len(devices) > 1 and is_remote(job.output):
        raise CamxError(
            f"--device {job.explain.device} needs an --output on this machine, not {job.output!r}. "
            "Give a folder and copy it, or use --engine ray."
        )
    return devices


def _on(job: Job, device: str) -> Job:
    return dataclasses.replace(job, explain=dataclasses.replace(job.explain, device=device))


def _merge_if_last(job: Job, observer: Observer) -> None:
    """What this shard has done stands, whatever hinders the merge."""
    assert job.shard is not None
    parts = parts_in(job.output)
    records = [part_record(job.output, shard) or {} for shard in parts]
    if len(parts) < job.shard.count or any(record.get("state") != FINISHED for record in records):
        return
    try:
        merge(job.output)
    except CamxError as error:
        observer.warned(f"{error} `camx merge {job.output}` joins the shards.")
