"""The images of a run in shards: the list that each part keeps of its own, and all of them together in a merge."""

from __future__ import annotations

import heapq
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ..images.shard import Shard, name_hash, shard_number
from ..regular_files import open_regular
from ..run_layout import INPUTS, part_folder
from . import store
from .journal import Journal
from .record import RunInputs, RunRecord
from .shapes import parse_json

#: Lines that are read at once.
_CHUNK = 1000


@dataclass
class InputTally:
    """Number and digest of the names of images, in any order."""

    images: int = 0
    digest: int = 0

    def add(self, key: str) -> None:
        self.images += 1
        self.digest ^= name_hash(key)

    def as_record(self) -> RunInputs:
        return {"images": self.images, "digest": f"{self.digest:016x}"}


def write_inputs(path: str, shard: Shard, keys: Iterable[str]) -> InputTally:
    """Writes the list of the images of a shard with their positions among all `keys`; returns the tally of all."""
    tally = InputTally()

    def lines() -> Iterator[bytes]:
        for place, key in enumerate(keys):
            tally.add(key)
            if shard.holds(key):
                yield f"{json.dumps([place, key])}\n".encode()

    store.write_file(_list_of(path, shard), lines(), durable=True, below=path)
    return tally


@dataclass(frozen=True)
class MergedInputs:
    """The images of a run that is merged: those in the lists of its parts, and the rows of shards without a list.

    A shard has no list before it begins, after a merge, and where the list is damaged. `lists`: the length of each
    list. `others`: positions and names of the rows of the other shards, sorted.
    """

    path: str
    count: int
    lists: Mapping[Shard, int]
    others: list[tuple[int, str]] = field(repr=False)

    @classmethod
    def read(cls, path: str, count: int, records: Mapping[Shard, RunRecord], journal: Journal) -> MergedInputs:
        """`records` of the parts, and the journal of OUT with the rows of all of them."""
        lists = {}
        for shard, record in records.items():
            length = sum(1 for _ in _lines(path, shard))
            if os.path.exists(_list_of(path, shard)) and length == record.get("images", length):
                lists[shard] = length
        listed = {shard.number for shard in lists}
        keys = (key for key in journal if shard_number(key, count) not in listed) if len(listed) < count else ()
        others = sorted((row.get("index", -1), row["image"]) for row in journal.rows(keys))
        return cls(path, count, lists, others)

    def __iter__(self) -> Iterator[str]:
        """The names in the order of the input; lists are not held in memory."""
        lists = [_lines(self.path, shard) for shard in self.lists]
        return (key for _, key in heapq.merge(*lists, self.others))

    @property
    def images(self) -> int:
        """Their number."""
        return sum(self.lists.values()) + len(self.others)

    def tally(self) -> RunInputs:
        """Number and digest of all names."""
        tally = InputTally()
        for key in self:
            tally.add(key)
        return tally.as_record()

    def rows_of(self, shard: Shard, journal: Journal) -> int:
        """Number of images of a shard that have a row in the journal."""
        if shard in self.lists:
            return sum(key in journal for _, key in _lines(self.path, shard))
        return sum(shard_number(key, self.count) == shard.number for _, key in self.others)

    def without_row(self, shard: Shard, images: int, journal: Journal) -> int:
        """Number of images of a shard without a row in the journal, from its number of images."""
        return max(0, self.lists.get(shard, images) - self.rows_of(shard, journal))


def _list_of(path: str, shard: Shard) -> str:
    return os.path.join(path, part_folder(shard.number, shard.count), INPUTS)


def _lines(path: str, shard: Shard) -> Iterator[tuple[int, str]]:
    """The lines of one list, some at a time: there may be more lists than files that a process may have open."""
    start, file_path = 0, _list_of(path, shard)
    while os.path.isfile(file_path):
        with open_regular(file_path) as file:
            file.seek(start)
            some = list(islice(file, _CHUNK))
            start = file.tell()
        if not some:
            return
        for line in some:
            match _parsed(line):
                # A list that was copied from another shard holds images that are not of this one.
                case [int(place), str(key)] if shard.holds(key):
                    yield place, key


def _parsed(line: bytes) -> Any:
    try:
        return parse_json(line)
    except ValueError:
        return None
