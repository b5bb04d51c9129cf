"""Decoding ahead of the loop: in worker processes, in order, within the memory that there is."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

from ..errors import UnreadableImage
from ..images.picture import Fetched, Large, Readable, Unreadable, state_of
from ..images.remote import fetch, is_remote
from ..images.sources import Source
from ..images.workers import WorkerFailed, Workers
from .memory import Allowance, Room

T = TypeVar("T")

#: A picture that takes more to decode than this many bytes asks first.
_UNASKED = 128 << 20


class Loaded(NamedTuple):
    """What became of one file, and the seconds that it took."""

    item: Readable | Unreadable
    seconds: float


@dataclass(frozen=True)
class Decoder:
    """Decodes one image in a worker process; safe to call from several threads.

    `load` can be pickled: it takes a `Source` and `unasked`, the bytes above which it only says how `Large` it is.
    """

    workers: Workers
    load: Callable[..., Readable | Unreadable | Large]
    memory: Allowance

    def __call__(self, source: Source) -> Loaded:
        began = time.perf_counter()
        try:
            item = self._load(source)
        except (WorkerFailed, UnreadableImage) as error:
            item = Unreadable(source, str(error), state_of(source))
        return Loaded(item, time.perf_counter() - began)

    def _load(self, source: Source) -> Readable | Unreadable:
        # Waiting for a network is no work: a thread does it, and no worker needs to know how.
        image = Fetched(source, fetch(source.path, source.span)) if is_remote(source.path) else source
        item = self.workers.call(partial(self.load, unasked=_UNASKED), image)
        if not isinstance(item, Large):
            return item
        with self.memory.reserve(item.bytes):
            whole = self.workers.call(self.load, image)
        assert not isinstance(whole, Large)
        return whole


def ahead(
    pool: ThreadPoolExecutor, decode: Callable[[T], Loaded], items: Iterable[T], *, limit: Callable[[], int], room: Room
) -> Iterator[Loaded]:
    """Results in the order of the items, with at most `limit()` of them under way or waiting.

    Each picture takes its place in the `room`, which whoever is done with it gives back.
    """
    running: deque[tuple[int, Future[Loaded]]] = deque()

    def one(turn: int, item: T) -> Loaded:
        room.wait(turn)
        loaded = decode(item)
        room.take(loaded.item.nbytes)
        return loaded

    def first() -> Loaded:
        turn, future = running.popleft()
        room.await_turn(turn)
        return future.result()

    for turn, item in enumerate(items):
        running.append((turn, pool.submit(one, turn, item)))
        while len(running) >= limit():
            yield first()
    while running:
        yield first()
