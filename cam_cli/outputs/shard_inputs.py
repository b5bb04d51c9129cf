"""Lists of the images of a run in shards: written by each part, combined by a merge."""

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

#: Lines to read at once.
_CHUNK = 1000


@dataclass
class InputTally:
    """Number of image names, and a digest that does not depend on their order."""

    images: int = 0
    digest: int = 0

    def add(self, key: str) -> None:
        self.images += 1
        self.digest ^= name_hash(key)

    def as_record(self) -> RunInputs:
        return {"images": self.images, "digest": f"{self.digest:016x}"}


def write_inputs(path: str, shard: Shard, keys: Iterable[str]) -> InputTally:
    """Writes the list of images of a shard with their positions among all `keys`. Returns the tally of all."""
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
    """Images of a merged run: from the lists of its shards, and from the rows of shards without a list.

    A shard has no list before it begins, after a merge, and if the list is damaged. lists: length of each list. others:
    positions and names in rows of shards without a list, sorted.
    """

    path: str
    count: int
    lists: Mapping[Shard, int]
    others: list[tuple[int, str]] = field(repr=False)

    @classmethod
    def read(cls, path: str, count: int, records: Mapping[Shard, RunRecord], journal: Journal) -> MergedInputs:
        """records: of the parts. journal: of OUT, with the rows of all parts."""
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
        """Names in input order, without holding the lists in memory."""
        lists = [_lines(self.path, shard) for shard in self.lists]
        return (key for _, key in heapq.merge(*lists, self.others))

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(self.lists.values()) + len(self.others)

    def tally(self) -> RunInputs:
        """Number and digest of all names."""
        tally = InputTally()
        for key in self:
            tally.add(key)
        return tally.as_record()

    def rows_of(self, shard: Shard, journal: Journal) -> int:
        """Number of images of a shard with a row in the journal."""
        if shard in self.lists:
            return sum(key in journal for _, key in _lines(self.path, shard))
        return sum(shard_number(key, self.count) == shard.number for _, key in self.others)

    def without_row(self, shard: Shard, images: int, journal: Journal) -> int:
        """Number of images of a shard without a row in the journal. images: number of its images."""
        return max(0, self.lists.get(shard, images) - self.rows_of(shard, journal))


def _list_of(path: str, shard: Shard) -> str:
    return os.path.join(path, part_folder(shard.number, shard.count), INPUTS)


def _lines(path: str, shard: Shard) -> Iterator[tuple[int, str]]:
    """Lines of one list, in blocks: there may be more lists than a process may have open files."""
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
                # A list that was copied from another shard has images of that shard.
                case [int(place), str(key)] if shard.holds(key):
                    yield place, key


def _parsed(line: bytes) -> Any:
    try:
        return parse_json(line)
    except ValueError:
        return None
