"""Finds the shard of this process from the environment variables of schedulers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..errors import CamxError
from ..parsers import whole_number
from .shard import Shard


@dataclass(frozen=True)
class Scheduler:
    """A scheduler of processes.

    index, first, count, step: variables with the index of this process, the first index (or its value), the number of
    processes, and the distance of indices; None for missing ones.
    """

    name: str
    index: str
    first: str | int
    count: str | None
    step: str | None = None


SCHEDULERS = (
    Scheduler("torchrun", "RANK", 0, "WORLD_SIZE"),
    Scheduler(
        "a Slurm array",
        "SLURM_ARRAY_TASK_ID",
        "SLURM_ARRAY_TASK_MIN",
        "SLURM_ARRAY_TASK_COUNT",
        "SLURM_ARRAY_TASK_STEP",
    ),
    Scheduler("a Kubernetes indexed job", "JOB_COMPLETION_INDEX", 0, None),
    Scheduler("GitLab CI", "CI_NODE_INDEX", 1, "CI_NODE_TOTAL"),
)


def chosen_shard(text: str | None, environment: Mapping[str, str]) -> Shard | None:
    """Resolves a shard: `i/n` unchanged, `auto` with both numbers from the scheduler, `auto/n` with its index.

    Raises `CamxError` unless exactly one scheduler gives the index.
    """
    if text is None:
        return None
    word, _, count = text.strip().partition("/")
    if word != "auto":
        return Shard.parse(text)
    if count and whole_number(count) is None:
        raise CamxError(f"`shard` {text!r} is no shard. Give auto, or auto/n such as auto/8.")
    found = [scheduler for scheduler in SCHEDULERS if environment.get(scheduler.index)]
    if not found:
        names = ", ".join(scheduler.index for scheduler in SCHEDULERS)
        raise CamxError(f"`shard={text}`: none of {names} is set. Give `shard=i/n`.")
    shards = {
        scheduler.name: _read(scheduler, environment, whole_number(count) if count else None) for scheduler in found
    }
    if len(set(shards.values())) > 1:
        named = ", ".join(f"{shard} by {name}" for name, shard in shards.items())
        raise CamxError(f"`shard={text}` is ambiguous: this process is shard {named}. Give `shard=i/n`.")
    rank = environment.get("LOCAL_RANK", "")
    return replace(next(iter(shards.values())), local_rank=whole_number(rank))


def _read(scheduler: Scheduler, environment: Mapping[str, str], count: int | None) -> Shard:
    def number(variable: str) -> int:
        value = environment.get(variable, "")
        if (found := whole_number(value)) is None:
            raise CamxError(f"`shard=auto`: {variable} is {value!r} in {scheduler.name}. Give `shard=i/n`.")
        return found

    if count is None and scheduler.count is None:
        raise CamxError(f"`shard=auto`: {scheduler.name} does not give the number of shards. Give `shard=auto/n`.")
    total = count or number(str(scheduler.count))
    first = number(scheduler.first) if isinstance(scheduler.first, str) else scheduler.first
    step = number(scheduler.step) if scheduler.step and scheduler.step in environment else 1
    place, rest = divmod(number(scheduler.index) - first, max(1, step))
    if rest or not 0 <= place < total:
        raise CamxError(
            f"`shard=auto`: {scheduler.index}={environment[scheduler.index]} is not one of {total} in a row. "
            "Give `shard=i/n`."
        )
    return Shard(place + 1, total)
