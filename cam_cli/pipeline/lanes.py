"""Several batches at the network at once: on a CPU a core each, on a GPU the results of one beside the next one.

Threads that share one forward wait for each other at every operation, and leave a core to nobody while the other
stages could use it. Lanes with a batch and a core each never wait; what the cores do next is left to the system, which
shares them between the lanes and the workers that decode and encode.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Generic, NamedTuple, TypeVar

import torch

from ..machine import cpus
from .progress import Engine
from .stop import Dropped

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
E = TypeVar("E", bound=Engine)

#: On a CPU every lane holds the activations of a batch. Beyond this many, lanes get several cores each.
_MOST = 16
#: While one lane takes results off a GPU and makes Python objects of them, the other's kernels run.
_ON_GPU = 2


class Share(NamedTuple):
    """The processors, divided into `lanes` of so many `threads`."""

    lanes: int
    threads: int


def share(device: torch.device, batches: int, *, compiled: bool = False) -> Share:
    """Divides the threads of torch into lanes for so many batches on a device.

    compiled: code is compiled for a number of threads, so that few batches do not make it larger.
    """
    threads = max(1, min(torch.get_num_threads(), cpus()))
    most = {"cpu": min(_MOST, threads), "cuda": _ON_GPU}.get(device.type, 1)
    lanes = max(1, min(most, batches))
    return Share(lanes, threads // (most if compiled else lanes) if device.type == "cpu" else threads)


@contextlib.contextmanager
def as_in_a_lane(device: torch.device) -> Iterator[None]:
    """While active, torch has the threads of a lane with compiled code, which compilers build into it."""
    before = torch.get_num_threads()
    torch.set_num_threads(share(device, _MOST, compiled=True).threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Done(Generic[C]):
    """The result of a batch, and the seconds that the lane took for it.

    cost: seconds by which sizes of batches are compared. Those of the processor where a lane has one, which other work
    on it does not change; else those of the clock.
    """

    result: C
    seconds: float
    cost: float


class Lanes(Generic[A, B]):
    """A context of threads. Each does one of `works`, which are the same work on networks of their own."""

    def __init__(self, works: Sequence[Callable[[A], B]], threads: int, device: torch.device) -> None:
        """`threads`: those that torch may use within one lane."""
        self._clock = time.thread_time if device.type == "cpu" and threads == 1 else time.perf_counter
        self._pool = ThreadPoolExecutor(len(works), "lane")
        self._idle: queue.SimpleQueue[_Lane[A, B]] = queue.SimpleQueue()
        self._lanes = [_Lane(work) for work in works]
        self._threads, self._before = threads, torch.get_num_threads()

    def __len__(self) -> int:
        return len(self._lanes)

    def __enter__(self) -> Lanes[A, B]:
        torch.set_num_threads(self._threads)
        for lane in self._lanes:
            self._idle.put(lane)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for the batches under way. After an error, breaks them off between two operations of the network."""
        if error is not None:
            for lane in self._lanes:
                lane.interrupt()
        self._pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(self._before)

    def submit(self, item: A, then: Callable[[B], C]) -> Future[Done[C]]:
        """Does the work on `item` in the next free lane, and `then` on its result in the same thread."""
        return self._pool.submit(self._done, item, then)

    def _done(self, item: A, then: Callable[[B], C]) -> Done[C]:
        lane = self._idle.get()
        try:
            began, spent = time.perf_counter(), self._clock()
            result = lane(item)
            seconds, cost = time.perf_counter() - began, self._clock() - spent
        finally:
            self._idle.put(lane)
        return Done(then(result), seconds, cost)


def engine_lanes(engine: E, run_batch: Callable[[E, A], B], images: int, batch_size: int) -> Lanes[A, B]:
    """As many lanes as the device has use for: the first runs batches on `engine` itself, the others on replicas.

    One lane where the network cannot be copied.
    """
    lanes, threads = share(engine.device, math.ceil(images / batch_size), compiled=engine.backend != "torch")
    engines = [engine]
    try:
        engines += [engine.replica() for _ in range(1, lanes)]
    # Objects of a network may refuse to be copied with any exception.
    except Exception:
        engines, threads = [engine], threads * lanes
    return Lanes([partial(run_batch, one) for one in engines], threads, engine.device)


class _Lane(Generic[A, B]):
    """One network's work, which another thread can break off."""

    def __init__(self, work: Callable[[A], B]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._closed = False

    def __call__(self, item: A) -> B:
        try:
            self._enter()
            try:
                return self._work(item)
            finally:
                self._leave()
        except Dropped:
            # A copy without a traceback: that of the forward would keep its tensors.
            raise Dropped from None

    def interrupt(self) -> None:
        """Raises `Dropped` in the thread that is at work here, as a signal does in the main one. None enters again."""
        with self._lock:
            self._closed = True
            if self._thread is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), ctypes.py_object(Dropped))

    def _enter(self) -> None:
        with self._lock:
            if self._closed:
                raise Dropped
            self._thread = threading.get_ident()

    def _leave(self) -> None:
        with self._lock:
            self._thread = None
            closed = self._closed
        # An exception raised from outside arrives within this function, or has arrived already.
        if closed:
            time.sleep(0)
