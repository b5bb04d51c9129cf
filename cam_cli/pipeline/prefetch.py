"""Decodes ahead of the loop in worker processes, in input order, with bounded memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

from ..errors import UnreadableImage
from ..images.listing import Source
from ..images.picture import Decodable, Fetched, TooLarge, Unreadable, state_of
from ..images.remote import fetch, is_remote
from ..images.worker_process import WorkerFailed
from ..images.workers import Workers
from .memory import InFlightMemory, MemoryReservation

T = TypeVar("T")

#: Largest image, in bytes of decoding, without a reservation of memory.
UNRESERVED = 128 << 20


class Loaded(NamedTuple):
    """A decoded or unreadable file, with the seconds of decoding."""

    item: Decodable | Unreadable
    seconds: float


@dataclass(frozen=True)
class Decoder:
    """Decodes one image in a worker process. Thread-safe.

    load: can be pickled; takes a `Source` and `unreserved`, the bytes above which it only returns `TooLarge`.
    """

    workers: Workers
    load: Callable[..., Decodable | Unreadable | TooLarge]
    memory: MemoryReservation

    def __call__(self, source: Source) -> Loaded:
        began = time.perf_counter()
        try:
            item = self._load(source)
        except (WorkerFailed, UnreadableImage) as error:
            item = Unreadable(source, str(error), state_of(source))
        return Loaded(item, time.perf_counter() - began)

    def _load(self, source: Source) -> Decodable | Unreadable:
        # Fetched in this thread, so that no worker waits for the network.
        image = Fetched(source, fetched(source)) if is_remote(source.path) else source
        item = self.workers.call(partial(self.load, unreserved=UNRESERVED), image)
        if not isinstance(item, TooLarge):
            return item
        with self.memory.reserve(item.bytes):
            whole = self.workers.call(self.load, image)
        assert not isinstance(whole, TooLarge)
        return whole


def fetched(source: Source) -> bytes:
    return fetch(source.path, source.span, size=source.listed_state[0] if source.listed_state else -1)


def prefetch(
    pool: ThreadPoolExecutor,
    decode: Callable[[T], Loaded],
    items: Iterable[T],
    *,
    limit: Callable[[], int],
    in_flight: InFlightMemory,
) -> Iterator[Loaded]:
    """Yields results in the order of the items, with at most `limit()` running or waiting.

    Each image takes bytes of `in_flight`; the caller returns them.
    """
    running: deque[tuple[int, Future[Loaded]]] = deque()

    def one(turn: int, item: T) -> Loaded:
        in_flight.wait(turn)
        loaded = decode(item)
        in_flight.take(loaded.item.nbytes)
        return loaded

    def first() -> Loaded:
        turn, future = running.popleft()
        in_flight.await_turn(turn)
        return future.result()

    for turn, item in enumerate(items):
        running.append((turn, pool.submit(one, turn, item)))
        while len(running) >= limit():
            yield first()
    while running:
        yield first()
