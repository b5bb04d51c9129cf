"""Chooses the batch size: the requested one, or the fastest one, measured during the run.

Measurements use real batches, so nothing is computed twice. A size and a larger candidate alternate, so that other load
on the machine affects both. No result depends on the size.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

import torch

from ..machine import total_memory

#: Candidate sizes on a GPU and elsewhere. On a CPU convolutions use another algorithm from 16 on, and most networks are
#: faster with it; some transformers are faster with 4. Larger sizes than the last are no faster.
_SIZES = {"cuda": (16, 32, 64, 128, 256, 512)}
_OTHER_SIZES = (4, 16, 32)
#: Smallest speed-up that justifies the memory of a larger size.
_FASTER = 1.05
#: Number of sizes to try beyond one that is no faster.
_RIVALS = 2
#: Measured batches per size; the fast ones count, because others waited or prepared kernels.
_MEASURED = 6
#: Share of the memory that batches may take.
_SHARE = 0.6


class BatchSize:
    """Chooses the size of each batch: `next()` returns it, `spent()` receives the time of a finished batch.

    current: best size so far.
    """

    def __init__(self, wanted: int | None, device: torch.device) -> None:
        """wanted: fixed size; None measures."""
        self._sizes = _SIZES.get(device.type, _OTHER_SIZES)
        self.current = wanted or self._sizes[0]
        self._peak, self._limit = _gauge(device)
        self._before = self._peak()
        self._begun = 0
        self._largest_ended = 0
        #: Remaining candidates, and seconds per image of the compared sizes.
        self._rivals = [] if wanted else self._larger()
        self._costs: dict[int, list[float]] = {}

    @property
    def settled(self) -> bool:
        """Whether all candidates are compared."""
        return not self._rivals

    @property
    def largest(self) -> int:
        """The largest size in use now."""
        return max([self.current, *self._rivals[:1]])

    def next(self) -> int:
        """Size of the next batch: the current one, alternating with the candidate once a batch has been measured."""
        self._begun += 1
        alone = self.settled or not self._largest_ended or self._begun % 2
        return self.current if alone else self._rivals[0]

    def spent(self, images: int, seconds: float) -> None:
        """Records the seconds of a batch. Ignores incomplete batches."""
        if self.settled or images not in (self.current, self._rivals[0]):
            return
        if images > self._largest_ended:
            self._largest_ended = images
            self._rivals = [size for size in self._rivals if self._fits(size)]
        self._costs.setdefault(images, []).append(seconds / images)
        if self._rivals:
            rival = self._rivals[0]
            now, then = (self._costs.get(size, []) for size in (self.current, rival))
            if min(len(now), len(then)) >= _MEASURED:
                self._decide(rival, worth=_typical(now) >= _typical(then) * _FASTER)

    def _decide(self, rival: int, *, worth: bool) -> None:
        """Ends a comparison. worth: whether the candidate justifies its memory."""
        self._costs.clear()
        if worth:
            self.current = rival
        rivals = self._larger() if worth else self._rivals[1:]
        self._rivals = [size for size in rivals if self._fits(size)]

    def _larger(self) -> list[int]:
        return [size for size in self._sizes if size > self.current][:_RIVALS]

    def _fits(self, size: int) -> bool:
        """Whether batches of this size fit into memory, extrapolated from the growth so far."""
        return self._before + (self._peak() - self._before) * size / self._largest_ended <= self._limit


def _typical(costs: list[float]) -> float:
    """First quartile."""
    return sorted(costs)[len(costs) // 4]


def _gauge(device: torch.device) -> tuple[Callable[[], int], float]:
    """A function that returns the peak memory so far and the available memory, in bytes."""
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        return lambda: torch.cuda.max_memory_allocated(device), total * _SHARE
    return _peak_of_process, total_memory() * _SHARE or float("inf")


def _peak_of_process() -> int:
    # `resource` is the last choice: its peak includes that of the parent process.
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
