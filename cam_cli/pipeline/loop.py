"""The loop. Workers decode ahead and encode behind while the device works; queues between them are bounded."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ..errors import CamxError
from ..images.picture import Picture, Unreadable
from ..images.sources import Source
from ..outputs.folder import OutputFolder
from ..outputs.journal import FAILED, Row
from .progress import Observer, Progress
from .stop import Dropped, Stop
from .threads import CoreShare, cpus


class OfPicture(Protocol):
    """A result that knows its picture."""

    @property
    def picture(self) -> Picture: ...


T = TypeVar("T")
S = TypeVar("S")
R = TypeVar("R", bound=OfPicture)
#: A result, the seconds that it took, and the processor seconds of its thread.
Timed = tuple[S, float, float]


@dataclass(frozen=True)
class Work(Generic[R]):
    """What is done with every image, in the order of the fields.

    load: decode one, in a worker. batch: one result per picture, on the device. row: write the files of one
    result and tell its row, in a worker. failed: the row of an image that cannot be read.
    """

    load: Callable[[Source], Picture | Unreadable]
    batch: Callable[[Sequence[Picture]], Sequence[R]]
    row: Callable[[R], Row]
    failed: Callable[[Unreadable], Row]


@dataclass(frozen=True)
class Pace:
    """How many pictures make a batch, how many workers decode (and as many encode), and whether a failure ends it."""

    batch_size: int
    workers: int
    fail_fast: bool = False

    @classmethod
    def of(cls, batch_size: int | None, workers: int | None, device: str, *, fail_fast: bool) -> Pace:
        """None is filled in for the type of the device."""
        return cls(batch_size or (64 if device == "cuda" else 16), workers or min(8, cpus()), fail_fast)


@dataclass
class Loop(Generic[R]):
    """One run of the loop; the fields are its surroundings."""

    work: Work[R]
    pace: Pace
    folder: OutputFolder
    progress: Progress
    observer: Observer
    stop: Stop
    cores: CoreShare
    _worked: float = 0.0

    def run(self, todo: Sequence[Source]) -> None:
        """Do the work on `todo`; ends early after a signal, or with `fail_fast` after a failed image."""
        pace, size = self.pace, self.pace.batch_size
        decoders, encoders = ThreadPoolExecutor(pace.workers, "decode"), ThreadPoolExecutor(pace.workers, "encode")
        loaded = _ahead(decoders, self.work.load, todo, limit=size + 2 * pace.workers)
        writing: deque[Future[Timed[Row]]] = deque()
        try:
            while self.stop.signal is None and not (pace.fail_fast and self.progress.counts[FAILED]):
                unreadable, results = self._batch(loaded)
                if not unreadable and not results:
                    break
                self._journal([self.work.failed(one) for one in unreadable])
                writing.extend(encoders.submit(_timed, self._row, one) for one in results)
                self._collect(writing, keep=size)
                self.observer.advanced(self.progress)
        except Dropped:
            pass
        finally:
            decoders.shutdown(wait=False, cancel_futures=True)
            encoders.shutdown(wait=True, cancel_futures=self.stop.signal is not None)
        self._collect(writing, keep=0)
        self.observer.advanced(self.progress)

    def _batch(self, loaded: Iterator[Timed[Picture | Unreadable]]) -> tuple[list[Unreadable], Sequence[R]]:
        """The results of one batch of pictures, and the unreadable images met on the way to it."""
        progress = self.progress
        with self.stop.droppable():
            began = time.perf_counter()
            pictures, unreadable, seconds, worked = _next_batch(loaded, self.pace.batch_size)
            decoded = time.perf_counter()
            results = self.work.batch(pictures)
            took = time.perf_counter() - decoded
            progress.decode_seconds += seconds
            progress.waiting_for_decode += decoded - began
            progress.model_seconds += took
        self.cores.spent(took, self._worked + worked)
        self._worked = 0.0
        return unreadable, results

    def _row(self, result: R) -> Row:
        """The row of one result; what goes wrong with its files alone is its own failure, not the run's."""
        try:
            return self.work.row(result)
        except CamxError:
            raise
        except Exception as error:
            picture = result.picture
            return self.work.failed(
                Unreadable(picture.source, f"its results cannot be written: {error}", picture.state)
            )

    def _collect(self, writing: deque[Future[Timed[Row]]], *, keep: int) -> None:
        """Journal the images whose files are written; wait until at most `keep` are still being written."""
        began = time.perf_counter()
        rows = []
        try:
            while writing and (len(writing) > keep or writing[0].done()):
                future = writing.popleft()
                if not future.cancelled():
                    row, seconds, worked = future.result()
                    self.progress.encode_seconds += seconds
                    self._worked += worked
                    rows.append(row)
        finally:
            # Also where one could not be written: the images before it are done.
            self.progress.waiting_for_encode += time.perf_counter() - began
            self._journal(rows)

    def _journal(self, rows: Sequence[Row]) -> None:
        self.folder.append(rows)
        for row in rows:
            self.progress.add(row)


def _next_batch(
    loaded: Iterator[Timed[Picture | Unreadable]], size: int
) -> tuple[list[Picture], list[Unreadable], float, float]:
    """Up to `size` readable pictures, the unreadable ones met on the way, the seconds and processor seconds of them."""
    pictures: list[Picture] = []
    unreadable: list[Unreadable] = []
    seconds = worked = 0.0
    for item, took, spent in loaded:
        seconds += took
        worked += spent
        if isinstance(item, Picture):
            pictures.append(item)
        else:
            unreadable.append(item)
        if len(pictures) == size or len(unreadable) == size:
            break
    return pictures, unreadable, seconds, worked


def _ahead(pool: ThreadPoolExecutor, work: Callable[[T], S], items: Iterable[T], *, limit: int) -> Iterator[Timed[S]]:
    """Results in the order of the items, with at most `limit` of them being made or waiting."""
    running: deque[Future[Timed[S]]] = deque()
    for item in items:
        running.append(pool.submit(_timed, work, item))
        if len(running) >= limit:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


def _timed(work: Callable[[T], S], item: T) -> Timed[S]:
    began, spent = time.perf_counter(), time.thread_time()
    result = work(item)
    return result, time.perf_counter() - began, time.thread_time() - spent
