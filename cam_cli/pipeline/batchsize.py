"""How many pictures make a batch: as asked for, or found by measuring while the run is already at work.

The first batches are small and real, nothing is computed twice: the size is doubled for as long as that makes the
network faster and the memory allows it. No result depends on the size.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

import torch

from .memory import memory_of_machine

#: First and largest size on a GPU and elsewhere: beyond it nothing gets faster, and a signal waits for its batch.
_SIZES = {"cuda": (16, 512)}
_OTHER_SIZES = (4, 64)
#: A size is worth its memory if it is faster by this factor.
_FASTER = 1.05
#: Batches of a size that are measured; the fastest counts, because the others have waited for something.
_MEASURED = 3
#: The share of the memory that batches may take.
_SHARE = 0.6


class BatchSize:
    """The size of the next batch in `current`; tell it what each batch has cost."""

    def __init__(self, wanted: int | None, device: torch.device) -> None:
        """`wanted` None: found by measuring."""
        first, self._largest = _SIZES.get(device.type, _OTHER_SIZES)
        self.current = wanted or first
        self.settled = wanted is not None
        self._peak, self._limit = _gauge(device)
        self._before = self._peak()
        self._best: tuple[float, int] = (0.0, self.current)
        self._rates: list[float] = []

    def spent(self, pictures: int, seconds: float) -> None:
        """Take note of the seconds of a batch; those that were not full tell nothing."""
        if self.settled or pictures != self.current:
            return
        self._rates.append(pictures / max(seconds, 1e-9))
        if len(self._rates) == _MEASURED:
            self._decide(max(self._rates))
            self._rates.clear()

    def _decide(self, rate: float) -> None:
        best, size = self._best
        if rate < best * _FASTER:
            self.current, self.settled = size, True
            return
        self._best = (rate, self.current)
        growth = self._peak() - self._before
        if 2 * self.current > self._largest or self._before + 2 * growth > self._limit:
            self.settled = True
        else:
            self.current *= 2


def _gauge(device: torch.device) -> tuple[Callable[[], int], float]:
    """A function that tells the most memory used so far, in bytes, and how much may be used."""
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        return lambda: torch.cuda.max_memory_allocated(device), total * _SHARE
    return _peak_of_process, memory_of_machine() * _SHARE or float("inf")


def _peak_of_process() -> int:
    # Not `resource` where there is another way: there a process begins with the peak of the one that started it.
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
