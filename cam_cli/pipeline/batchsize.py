"""How many pictures make a batch: as asked for, or found by measuring while the run is already at work.

Nothing is computed twice: the batches are real. A size and its rival take turns, so that what slows the machine for a
while slows both; the larger one is taken where it is faster. No result depends on the size.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import NamedTuple

import torch

from .memory import memory_of_machine


class _Sizes(NamedTuple):
    """The smallest size, the one to begin with, and the largest: beyond it nothing gets faster."""

    smallest: int
    first: int
    largest: int


#: On a CPU 16 suits most networks (convolutions change their way at a size), some transformers are faster with 4.
_SIZES = {"cuda": _Sizes(16, 16, 512)}
_OTHER_SIZES = _Sizes(4, 16, 32)
#: A size is worth its memory if it is faster than a smaller one by this factor.
_FASTER = 1.05
#: Twice as many pictures are sometimes no faster where four times as many are.
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
        smallest, first, self._largest = _SIZES.get(device.type, _OTHER_SIZES)
        self.current = wanted or first
        self._peak, self._limit = _gauge(device)
        self._before = self._peak()
        self._begun = 0
        self._tried = 0
        #: What is still to be compared with the current size, and the seconds per picture of both.
        self._rivals: list[int] = []
        self._costs: dict[int, list[float]] = {}
        if wanted is None:
            self._rivals = [smallest] * (smallest < first) + self._larger()

    @property
    def settled(self) -> bool:
        """Whether there is nothing left to compare."""
        return not self._rivals

    @property
    def largest(self) -> int:
        """The larger of the sizes that are in use now."""
        return max([self.current, *self._rivals[:1]])

    def next(self) -> int:
        """The size for the next batch: that of the rival, as long as there is one, and the current one in turn."""
        self._begun += 1
        return self.current if self.settled or self._begun % 2 == 0 else self._rivals[0]

    def spent(self, pictures: int, seconds: float) -> None:
        """Take note of the seconds of a batch; those that were not full tell nothing."""
        if self.settled or pictures not in (self.current, self._rivals[0]):
            return
        self._tried = max(self._tried, pictures)
        self._costs.setdefault(pictures, []).append(seconds / pictures)
        rival = self._rivals[0]
        costs = [self._costs.get(size, []) for size in sorted((self.current, rival))]
        if min(map(len, costs)) < _MEASURED:
            return
        smaller, larger = map(_typical, costs)
        self._decide(rival, worth=smaller >= larger * _FASTER)

    def _decide(self, rival: int, *, worth: bool) -> None:
        """`worth`: whether the larger of both is worth its memory."""
        left = self._rivals[1:]
        if worth == (rival > self.current):
            # What is larger than a smaller one that was taken has lost already.
            left, self.current = [], rival
            if worth:
                left = self._larger()
        self._rivals = [size for size in left if self._fits(size)]
        self._costs.clear()

    def _larger(self) -> list[int]:
        return [size for size in (self.current * more for more in _LARGER) if size <= self._largest]

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
