"""Runs several batches at once: on a CPU one per core, on a GPU the next one while results of the last are fetched.

Threads that share one forward wait for each other at every operation, which wastes cores that other stages could use.
Lanes with one batch and one core each never wait. The system schedules the cores among lanes and the workers that
decode and draw.
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

#: Most lanes on a CPU: each holds the activations of a batch. With more cores, lanes get several.
_MOST = 16
#: Lanes on a GPU: one copies results to Python objects while kernels of the other run.
_ON_GPU = 2


class Share(NamedTuple):
    """Division of the processors into `lanes` of `threads` each."""

    lanes: int
    threads: int


def share(device: torch.device, batches: int, *, compiled: bool = False) -> Share:
    """Divides the threads of torch into lanes for a number of batches on a device.

    compiled: compiled code needs a fixed number of threads, so few batches do not increase it.
    """
    threads = max(1, min(torch.get_num_threads(), cpus()))
    most = {"cpu": min(_MOST, threads), "cuda": _ON_GPU}.get(device.type, 1)
    lanes = max(1, min(most, batches))
    return Share(lanes, threads // (most if compiled else lanes) if device.type == "cpu" else threads)


@contextlib.contextmanager
def as_in_a_lane(device: torch.device) -> Iterator[None]:
    """While active, torch uses the number of threads of a lane, which compilers build into their code."""
    before = torch.get_num_threads()
    torch.set_num_threads(share(device, _MOST, compiled=True).threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class LaneResult(Generic[C]):
    """Result of a batch, and its seconds in the lane.

    cost: seconds for comparing batch sizes: processor time if the lane has one thread, which ignores other load, else
    wall-clock time.
    """

    result: C
    seconds: float
    cost: float


class Lanes(Generic[A, B]):
    """Context manager of threads. Each runs one of `works`: the same work on separate replicas."""

    def __init__(self, works: Sequence[Callable[[A], B]], threads: int, device: torch.device) -> None:
        """threads: threads of torch within one lane."""
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
        """Waits for running batches. After an error, aborts them between two operations of the network."""
        if error is not None:
            for lane in self._lanes:
                lane.interrupt()
        self._pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(self._before)

    def submit(self, item: A, then: Callable[[B], C]) -> Future[LaneResult[C]]:
        """Runs the work on `item` in the next free lane, and then `then` on its result in the same thread."""
        return self._pool.submit(self._done, item, then)

    def _done(self, item: A, then: Callable[[B], C]) -> LaneResult[C]:
        lane = self._idle.get()
        try:
            began, spent = time.perf_counter(), self._clock()
            result = lane(item)
            seconds, cost = time.perf_counter() - began, self._clock() - spent
        finally:
            self._idle.put(lane)
        return LaneResult(then(result), seconds, cost)


def engine_lanes(engine: E, run_batch: Callable[[E, A], B], images: int, batch_size: int) -> Lanes[A, B]:
    """Lanes for the device: the first runs batches on `engine` itself, the others on replicas.

    One lane if the network cannot be copied.
    """
    lanes, threads = share(engine.device, math.ceil(images / batch_size), compiled=engine.backend != "torch")
    engines = [engine]
    try:
        engines += [engine.replica() for _ in range(1, lanes)]
    # Copying a network may raise any exception.
    except Exception:
        engines, threads = [engine], threads * lanes
    return Lanes([partial(run_batch, one) for one in engines], threads, engine.device)


class _Lane(Generic[A, B]):
    """Work of one lane, which another thread can abort."""

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
            # Without the traceback, which would keep the tensors of the forward.
            raise Dropped from None

    def interrupt(self) -> None:
        """Raises `Dropped` in the working thread, as a signal does in the main one, and in every later call."""
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
        # An exception from outside arrives in this function, or has already arrived.
        if closed:
            time.sleep(0)
