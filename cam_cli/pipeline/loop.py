"""The loop. Workers decode ahead and encode behind while the device works; queues between them are bounded."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

from ..cams.runner import DeviceFailed
from ..errors import CamxError
from ..images.picture import Large, Picture, Unreadable
from ..images.remote import is_remote
from ..images.sources import Source
from ..images.workers import Workers
from ..outputs.folder import OutputFolder
from ..outputs.journal import FAILED, Row
from .ahead import Decoder, Loaded, ahead
from .batchsize import BatchSize
from .memory import Allowance, Room, for_pictures
from .progress import Observer, Progress
from .stop import Dropped, Stop
from .threads import CoreShare, cpus


class OfPicture(Protocol):
    """A result that knows its picture."""

    @property
    def picture(self) -> Picture: ...


R = TypeVar("R", bound=OfPicture)

#: Files that are read at once from a network: each waits for the other end most of its time.
_READERS = 32


class Written(NamedTuple):
    """The row of one result, the seconds that its files took, the processor seconds, and the memory of its picture."""

    row: Row
    seconds: float
    worked: float
    nbytes: int


@dataclass(frozen=True)
class Work(Generic[R]):
    """What is done with every image, in the order of the fields.

    load: decode one, in a worker process (so it can be pickled; see `Decoder`). batch: one result per picture, on
    the device. row: write the files of one result and tell its row, in a thread. failed: the row of an image that
    cannot be read.
    """

    load: Callable[..., Picture | Unreadable | Large]
    batch: Callable[[Sequence[Picture]], Sequence[R]]
    row: Callable[[R], Row]
    failed: Callable[[Unreadable], Row]


def worker_count(wanted: int | None, processes: int = 1) -> int:
    """As many workers as were asked for, or one per processor up to eight, shared between this many processes."""
    return max(1, (wanted or min(8 * processes, cpus())) // processes)


@dataclass(frozen=True)
class Pace:
    """The size of the batches, how many workers decode (and as many encode), and whether a failure ends it."""

    batch: BatchSize
    workers: int
    fail_fast: bool = False


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
    workers: Workers
    room: Room = field(default_factory=lambda: Room(for_pictures()))
    _worked: float = 0.0

    def run(self, todo: Sequence[Source]) -> None:
        """Do the work on `todo`; ends early after a signal, or with `fail_fast` after a failed image."""
        pace = self.pace
        readers = max(pace.workers, _READERS) if todo and is_remote(todo[0].path) else pace.workers
        decoders, encoders = ThreadPoolExecutor(readers, "decode"), ThreadPoolExecutor(pace.workers, "encode")
        decode = Decoder(self.workers, self.work.load, Allowance(self.room.total))
        loaded = ahead(decoders, decode, todo, limit=lambda: self._size + 2 * readers, room=self.room)
        writing: deque[Future[Written]] = deque()
        try:
            while self.stop.signal is None and not (pace.fail_fast and self.progress.counts[FAILED]):
                unreadable, results = self._batch(loaded)
                if not unreadable and not results:
                    break
                self._journal([self.work.failed(one) for one in unreadable])
                writing.extend(encoders.submit(self._written, one) for one in results)
                self._collect(writing, keep=self._size)
                self.observer.advanced(self.progress)
        except Dropped:
            pass
        except DeviceFailed:
            # What has left the device before is whole.
            self._collect(writing, keep=0)
            raise
        finally:
            self.room.close()
            decoders.shutdown(wait=False, cancel_futures=True)
            encoders.shutdown(wait=True, cancel_futures=self.stop.signal is not None)
        self._collect(writing, keep=0)
        self.observer.advanced(self.progress)

    @property
    def _size(self) -> int:
        return self.pace.batch.current

    def _batch(self, loaded: Iterator[Loaded]) -> tuple[list[Unreadable], Sequence[R]]:
        """The results of one batch of pictures, and the unreadable images met on the way to it."""
        progress = self.progress
        with self.stop.droppable():
            began = time.perf_counter()
            pictures, unreadable, seconds, worked = self._next_batch(loaded)
            decoded = time.perf_counter()
            results = self._explained(pictures, unreadable)
            took = time.perf_counter() - decoded
            progress.decode_seconds += seconds
            progress.waiting_for_decode += decoded - began
            progress.model_seconds += took
        self.pace.batch.spent(len(pictures), took)
        self.cores.spent(took, self._worked + worked)
        self._worked = 0.0
        return unreadable, results

    def _explained(self, pictures: Sequence[Picture], unreadable: Sequence[Unreadable]) -> Sequence[R]:
        """The results of a batch. Where the device is lost, the images of the batch are marked failed first."""
        try:
            return self.work.batch(pictures)
        except DeviceFailed as error:
            lost = [Unreadable(picture.source, str(error), picture.state) for picture in pictures]
            self._journal([self.work.failed(one) for one in (*unreadable, *lost)])
            raise

    def _next_batch(self, loaded: Iterator[Loaded]) -> tuple[list[Picture], list[Unreadable], float, float]:
        """The readable pictures of a batch, as many as the memory for them allows, the unreadable ones met on the way,
        the seconds and processor seconds of them."""
        pictures: list[Picture] = []
        unreadable: list[Unreadable] = []
        size, seconds, worked, nbytes = self._size, 0.0, 0.0, 0
        for item, took, spent in loaded:
            seconds, worked, nbytes = seconds + took, worked + spent, nbytes + item.nbytes
            if isinstance(item, Picture):
                pictures.append(item)
            else:
                unreadable.append(item)
            if len(pictures) == size or len(unreadable) == size or nbytes > self.room.total // 4:
                break
        return pictures, unreadable, seconds, worked

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

    def _written(self, result: R) -> Written:
        began, spent = time.perf_counter(), time.thread_time()
        row = self._row(result)
        seconds, worked = time.perf_counter() - began, time.thread_time() - spent
        return Written(row, seconds, worked, result.picture.nbytes)

    def _collect(self, writing: deque[Future[Written]], *, keep: int) -> None:
        """Journal the images whose files are written; wait until at most `keep` are still being written."""
        began = time.perf_counter()
        rows = []
        try:
            while writing and (len(writing) > keep or self.room.full or writing[0].done()):
                future = writing.popleft()
                if not future.cancelled():
                    written = future.result()
                    self.room.give_back(written.nbytes)
                    self.progress.encode_seconds += written.seconds
                    self._worked += written.worked
                    rows.append(written.row)
        finally:
            # Also where one could not be written: the images before it are done.
            self.progress.waiting_for_encode += time.perf_counter() - began
            self._journal(rows)

    def _journal(self, rows: Sequence[Row]) -> None:
        self.folder.append(rows)
        for row in rows:
            self.progress.add(row)
