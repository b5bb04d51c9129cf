"""The size of batches: as asked for, or found by measuring while the run is already at work.

Nothing is computed twice: the batches are real. A size and its rival take turns, so that what slows the machine for a
while slows both; the larger one is taken where it is faster. No result depends on the size.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

import torch

from ..machine import total_memory

#: The sizes that are tried, on a GPU and elsewhere. On a CPU convolutions use another algorithm from 16 on, and most
#: networks are faster with it; some transformers are faster with 4. Beyond the last size nothing gets faster.
_SIZES = {"cuda": (16, 32, 64, 128, 256, 512)}
_OTHER_SIZES = (4, 16, 32)
#: A size is worth its memory if it is faster than a smaller one by this factor.
_FASTER = 1.05
#: Where the next size is no faster, the one after it may be.
_RIVALS = 2
#: Batches of a size that are measured; fast ones count, since others have waited for something or prepared kernels.
_MEASURED = 6
#: The share of the memory that batches may take.
_SHARE = 0.6


class BatchSize:
    """Chooses the size of every batch: `next()` gives it, and `spent()` takes the cost of a batch that is done.

    `current` is the best one so far.
    """

    def __init__(self, wanted: int | None, device: torch.device) -> None:
        """`wanted` None: found by measuring."""
        self._sizes = _SIZES.get(device.type, _OTHER_SIZES)
        self.current = wanted or self._sizes[0]
        self._peak, self._limit = _gauge(device)
        self._before = self._peak()
        self._begun = 0
        self._largest_ended = 0
        #: What is still to be compared with the current size, and the seconds per image of both.
        self._rivals = [] if wanted else self._larger()
        self._costs: dict[int, list[float]] = {}

    @property
    def settled(self) -> bool:
        """Whether there is nothing left to compare."""
        return not self._rivals

    @property
    def largest(self) -> int:
        """The larger of the sizes that are in use now."""
        return max([self.current, *self._rivals[:1]])

    def next(self) -> int:
        """The size for the next batch: the current one, and in turn its rival, once it is known what a batch takes."""
        self._begun += 1
        alone = self.settled or not self._largest_ended or self._begun % 2
        return self.current if alone else self._rivals[0]

    def spent(self, pictures: int, seconds: float) -> None:
        """Compares the seconds of a batch with those of others; batches that were not full are left out."""
        if self.settled or pictures not in (self.current, self._rivals[0]):
            return
        if pictures > self._largest_ended:
            self._largest_ended = pictures
            self._rivals = [size for size in self._rivals if self._fits(size)]
        self._costs.setdefault(pictures, []).append(seconds / pictures)
        if self._rivals:
            rival = self._rivals[0]
            now, then = (self._costs.get(size, []) for size in (self.current, rival))
            if min(len(now), len(then)) >= _MEASURED:
                self._decide(rival, worth=_typical(now) >= _typical(then) * _FASTER)

    def _decide(self, rival: int, *, worth: bool) -> None:
        """`worth`: whether the rival is worth its memory."""
        self._costs.clear()
        if worth:
            self.current = rival
        rivals = self._larger() if worth else self._rivals[1:]
        self._rivals = [size for size in rivals if self._fits(size)]

    def _larger(self) -> list[int]:
        return [size for size in self._sizes if size > self.current][:_RIVALS]

    def _fits(self, size: int) -> bool:
        """Whether the memory would hold such batches, if it grows with the size as far as it has so far."""
        return self._before + (self._peak() - self._before) * size / self._largest_ended <= self._limit


def _typical(costs: list[float]) -> float:
    """The first quartile."""
    return sorted(costs)[len(costs) // 4]


def _gauge(device: torch.device) -> tuple[Callable[[], int], float]:
    """A function that gives the peak of the memory used so far, in bytes, and the bytes that may be used."""
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        return lambda: torch.cuda.max_memory_allocated(device), total * _SHARE
    return _peak_of_process, total_memory() * _SHARE or float("inf")


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
