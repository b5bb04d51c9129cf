"""Cores shared between the network and the workers; on a CPU each would otherwise take them all and wait."""

from __future__ import annotations

import os
from types import TracebackType

import torch


class CoreShare:
    """Gives the network as many threads as its share of the work; a context that restores the number on leaving.

    Does nothing where the network runs on another device.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_cpu = device.type == "cpu"
        self._before = torch.get_num_threads()
        self._model = self._workers = 0.0

    def __enter__(self) -> CoreShare:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._on_cpu:
            torch.set_num_threads(self._before)

    def spent(self, model_seconds: float, worker_seconds: float) -> None:
        """Take note of what a batch has cost: seconds of the network, and processor seconds of the workers."""
        if not self._on_cpu:
            return
        self._model += model_seconds * torch.get_num_threads()
        self._workers += worker_seconds
        wanted = share(self._model, self._workers, min(self._before, cpus()))
        if wanted != torch.get_num_threads():
            torch.set_num_threads(wanted)


def share(model: float, workers: float, cores: int) -> int:
    """Of `cores`, those for the network by its part of the processor seconds; at least one."""
    return max(1, round(cores * model / max(1e-9, model + workers)))


def cpus() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
