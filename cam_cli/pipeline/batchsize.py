"""How many pictures make a batch: as asked for, or found by measuring while the run is already at work.

The first batches are small and real, nothing is computed twice. A size and a larger one take turns, so that what slows
the machine for a while slows both; the larger one is taken where it is faster. No result depends on the size.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

import torch

from .memory import memory_of_machine

#: First and largest size on a GPU and elsewhere: beyond it nothing gets faster, and a signal waits for its batch.
_SIZES = {"cuda": (16, 512)}
_OTHER_SIZES = (4, 32)
#: A size is worth its memory if it is faster by this factor.
_FASTER = 1.05
#: Twice as many pictures are often no faster where four times as many are (convolutions on a CPU).
_LARGER = (2, 4)
#: Batches of a size that are measured; fast ones count, since others have waited for something or prepared kernels.
_MEASURED = 6
#: The share of the memory that batches may take.
_SHARE = 0.6


class BatchSize:
    """The sizes of batches: ask `next()` for that of the next one, and tell `spent` what it has cost.

    `current` is the best one so far.
    """

    def __init__(self, wanted: int | None, device: torch.device) -> None:
        """`wanted` None: found by measuring."""
        first, self._largest = _SIZES.get(device.type, _OTHER_SIZES)
        self.current = wanted or first
        self._peak, self._limit = _gauge(device)
        self._before = self._peak()
        self._begun = 0
        self._tried = 0
        #: What is still to be compared with the current size, and the seconds per picture of both.
        self._rivals: list[int] = []
        self._costs: dict[int, list[float]] = {}
        if wanted is None:
            self._challenge()

    @property
    def settled(self) -> bool:
        """Whether there is nothing left to compare."""
        return not self._rivals

    @property
    def largest(self) -> int:
        """The larger of the sizes that are in use now."""
        return max([self.current, *self._rivals[:1]])

    def next(self) -> int:
        """The size for the next batch: the current one, and as long as there is a rival, that in turn."""
        self._begun += 1
        return self.current if self.settled or self._begun % 2 else self._rivals[0]

    def spent(self, pictures: int, seconds: float) -> None:
        """Take note of the seconds of a batch; those that were not full tell nothing."""
        if self.settled or pictures not in (self.current, self._rivals[0]):
            return
        self._tried = max(self._tried, pictures)
        self._costs.setdefault(pictures, []).append(seconds / pictures)
        now, then = (self._costs.get(size, []) for size in (self.current, self._rivals[0]))
        if min(len(now), len(then)) < _MEASURED:
            return
        rival = self._rivals.pop(0)
        del self._costs[rival]
        if _typical(now) >= _typical(then) * _FASTER:
            self.current = rival
            self._challenge()
        self._rivals = [size for size in self._rivals if self._fits(size)]

    def _challenge(self) -> None:
        self._costs.clear()
        self._rivals = [size for size in (self.current * more for more in _LARGER) if size <= self._largest]

    def _fits(self, size: int) -> bool:
        """Whether the memory would hold such batches: what the largest so far has taken grows as they do."""
        return self._before + (self._peak() - self._before) * size / self._tried <= self._limit


def _typical(costs: list[float]) -> float:
    """The first quartile."""
    return sorted(costs)[len(costs) // 4]


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
