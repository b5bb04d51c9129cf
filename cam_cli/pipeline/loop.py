"""The main loop: workers decode the next images and draw the last ones while the network runs, with bounded queues."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, NamedTuple

from ..cams.engine.devices import DeviceFailed
from ..errors import CamxError
from ..images.decode import memory_limit
from ..images.listing import Source
from ..images.picture import Decodable, Unreadable
from ..images.remote import is_remote
from ..images.workers import Workers
from ..machine import cpus, picture_memory
from ..outputs.folder import ResultSink
from ..outputs.renderer import failed_row
from ..outputs.result_files import written_file
from ..outputs.rows import FAILED, ImageRow
from .batchsize import BatchSize
from .job import RunOptions
from .lanes import LaneResult, Lanes
from .memory import InFlightMemory, MemoryReservation
from .prefetch import Decoder, Loaded, prefetch
from .progress import Observer, Progress
from .stop import Dropped, Stop
from .task import R, Work

#: Remote files to fetch at once: each mostly waits for a server.
_READERS = 32
#: Most worker processes of each kind with `auto`; each takes about 40 MB.
_MOST_WORKERS = 32
#: Seconds between two progress reports during a long batch.
_TICK = 0.5


class Batch(NamedTuple):
    """Images of a batch, the unreadable ones between them, and the seconds of decoding."""

    images: list[Decodable]
    unreadable: list[Unreadable]
    seconds: float


class WrittenResult(NamedTuple):
    """Row of one result, seconds of its files, and bytes that its image held in memory."""

    row: ImageRow
    seconds: float
    nbytes: int


def worker_count(wanted: int | None, processes: int = 1) -> int:
    """Number of workers of one process: the requested one, or the number of processors divided by that of processes."""
    return max(1, (wanted or min(_MOST_WORKERS * processes, cpus())) // processes)


def workers_of(job: RunOptions, images: int) -> Workers:
    """Worker processes for a run, no more than it has images."""
    count = min(worker_count(job.workers, job.processes), images)
    return Workers(count, timeout=job.image_timeout, memory=memory_limit(job.max_pixels))


@dataclass(frozen=True)
class Pace:
    """Batch size, number of workers that decode (and as many draw), and whether a failure ends the run."""

    batch: BatchSize
    workers: int
    fail_fast: bool = False


@dataclass
class Loop(Generic[R]):
    """One run of the loop. Fields are its dependencies.

    indices: position of each image in the input, for its row. lanes: return one result per image of a batch.
    """

    work: Work[R]
    indices: Mapping[str, int]
    lanes: Lanes[Sequence[Decodable], Sequence[R]]
    pace: Pace
    folder: ResultSink
    progress: Progress
    observer: Observer
    stop: Stop
    decoders: Workers
    drawers: Workers
    in_flight: InFlightMemory = field(default_factory=lambda: InFlightMemory(picture_memory()))
    #: Batches at or before the network, and results whose files are being written; oldest first.
    _submitted: deque[tuple[Batch, Future[LaneResult[list[Future[WrittenResult]]]]]] = field(default_factory=deque)
    _writing: deque[Future[WrittenResult]] = field(default_factory=deque)

    def run(self, todo: Sequence[Source]) -> None:
        """Processes `todo`. Ends early after a signal, and with `fail_fast` after a failed image."""
        pace = self.pace
        readers = max(pace.workers, _READERS) if todo and is_remote(todo[0].path) else pace.workers
        readings, writings = ThreadPoolExecutor(readers, "decode"), ThreadPoolExecutor(pace.workers, "encode")
        decode = Decoder(self.decoders, self.work.load, MemoryReservation(self.in_flight.total))
        loaded = prefetch(
            readings, decode, todo, limit=lambda: pace.batch.largest + 2 * readers, in_flight=self.in_flight
        )
        try:
            with self.lanes:
                self._submit(loaded, writings)
        except Dropped:
            self._keep_finished()
        except DeviceFailed:
            self._keep_finished()
            self._collect(keep=0)
            raise
        finally:
            self.in_flight.close()
            readings.shutdown(wait=False, cancel_futures=True)
            writings.shutdown(wait=True, cancel_futures=self.stop.signal is not None)
        self._collect(keep=0)
        self.observer.advanced(self.progress)

    def _submit(self, loaded: Iterator[Loaded], writings: ThreadPoolExecutor) -> None:
        """Submits batches to the lanes and takes results in order. One batch per lane waits, so that lanes never idle.

        Drawing begins as soon as a batch leaves its lane, even while the loop waits for a decoder.
        """

        def write(images: Sequence[Decodable], results: Sequence[R]) -> list[Future[WrittenResult]]:
            return [writings.submit(self._written, *one) for one in zip(results, images, strict=True)]

        while batch := self._next_batch(loaded):
            self._submitted.append((batch, self.lanes.submit(batch.images, partial(write, batch.images))))
            while len(self._submitted) > 2 * len(self.lanes) or (self._submitted and self.in_flight.full):
                self._finish_oldest()
            if self._ended():
                return
        while self._submitted and not self._ended():
            self._finish_oldest()

    def _ended(self) -> bool:
        return self.stop.signal is not None or (self.pace.fail_fast and self.progress.counts[FAILED] > 0)

    def _next_batch(self, loaded: Iterator[Loaded]) -> Batch | None:
        """The next batch, smaller if memory is full; None at the end."""
        images: list[Decodable] = []
        unreadable: list[Unreadable] = []
        size, seconds, nbytes, began = self.pace.batch.next(), 0.0, 0, time.perf_counter()
        with self.stop.droppable():
            for item, took in loaded:
                seconds, nbytes = seconds + took, nbytes + item.nbytes
                if isinstance(item, Unreadable):
                    unreadable.append(item)
                else:
                    images.append(item)
                if len(images) == size or len(unreadable) == size or nbytes > self.in_flight.total // 4:
                    break
        self.progress.waiting_for_decode += time.perf_counter() - began
        return Batch(images, unreadable, seconds) if images or unreadable else None

    def _finish_oldest(self) -> None:
        """Waits for the oldest batch, and journals images whose files are written."""
        batch, future = self._submitted.popleft()
        began = time.perf_counter()
        with self.stop.droppable():
            while not wait([future], _TICK).done:
                self.observer.advanced(self.progress)
            try:
                done = future.result()
            except DeviceFailed as error:
                self._fail_batch(batch, error)
                raise
        self.progress.waiting_for_model += time.perf_counter() - began
        self.progress.decode_seconds += batch.seconds
        self.progress.model_seconds += done.seconds
        self.pace.batch.spent(len(batch.images), done.cost)
        self._journal([failed_row(one) for one in batch.unreadable])
        self._writing.extend(done.result)
        self._collect(keep=self.pace.batch.largest)
        self.observer.advanced(self.progress)

    def _keep_finished(self) -> None:
        """Keeps finished results of the network until their files are written."""
        for _, future in self._submitted:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._writing.extend(future.result().result)

    def _fail_batch(self, batch: Batch, error: DeviceFailed) -> None:
        """Journals the images of a batch as failed after the loss of the device."""
        lost = [Unreadable(image.source, str(error), image.state) for image in batch.images]
        self._journal([failed_row(one) for one in (*batch.unreadable, *lost)])

    def _written(self, result: R, image: Decodable) -> WrittenResult:
        """Draws a result in a worker and writes its files. An error of these files fails only this image."""
        began, picture = time.perf_counter(), result.picture
        try:
            row, files = self.drawers.call(self.work.render, result)
            for name, data in files.items():
                self.folder.write(name, data)
            if files:
                row["files"] = {name: written_file(data) for name, data in files.items()}
        except CamxError:
            raise
        except Exception as error:
            row = failed_row(Unreadable(picture.source, f"its results cannot be written: {error}", picture.state))
        return WrittenResult(row, time.perf_counter() - began, image.nbytes)

    def _collect(self, *, keep: int) -> None:
        """Journals images whose files are written. Waits until at most `keep` are unfinished."""
        began = time.perf_counter()
        writing, rows = self._writing, []
        try:
            while writing and (len(writing) > keep or self.in_flight.full or writing[0].done()):
                future = writing.popleft()
                if not future.cancelled():
                    written = future.result()
                    self.in_flight.give_back(written.nbytes)
                    self.progress.encode_seconds += written.seconds
                    rows.append(written.row)
        finally:
            # Even after an error: earlier images are complete.
            self.progress.waiting_for_encode += time.perf_counter() - began
            self._journal(rows)

    def _journal(self, rows: Sequence[ImageRow]) -> None:
        for row in rows:
            row["index"] = self.indices[row["image"]]
        self.folder.append(rows)
        for row in rows:
            self.progress.add(row)
