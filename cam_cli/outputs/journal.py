"""The append-only journal: one JSON object per image, the truth that table, report and resume derive from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import store

Row = dict[str, Any]

OK, FAILED, BLANK = "ok", "failed", "blank"


@dataclass
class Journal:
    """The file and where in it the last line of each image begins. Later lines of an image replace earlier ones.

    Only offsets are kept in memory. A line that was torn by a kill is cut off when the journal is opened; a
    damaged one in the middle counts as never written.
    """

    path: str
    _offsets: dict[str, int] = field(default_factory=dict)
    _descriptor: int | None = None
    _size: int = 0

    @classmethod
    def open(cls, path: str) -> Journal:
        journal = cls(path)
        journal._descriptor = store.system.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        journal._size = sum(journal._scanned())
        store.system.truncate(journal._descriptor, journal._size)
        return journal

    @classmethod
    def read(cls, path: str) -> Journal:
        """Look at a journal without changing it."""
        journal = cls(path)
        journal._size = sum(journal._scanned())
        return journal

    def _scanned(self) -> Iterator[int]:
        """The lengths of all whole lines, noting where each image's last one begins."""
        offset = 0
        with open(self.path, "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return
                key = _key_of(line)
                if key is not None:
                    self._offsets[key] = offset
                offset += len(line)
                yield len(line)

    def __contains__(self, key: str) -> bool:
        return key in self._offsets

    def __iter__(self) -> Iterator[str]:
        return iter(self._offsets)

    def rows(self, keys: Iterable[str]) -> Iterator[Row]:
        """The last rows of these images, in the order of the keys; images without one are left out."""
        with open(self.path, "rb") as file:
            for key in keys:
                offset = self._offsets.get(key)
                if offset is not None:
                    file.seek(offset)
                    row: Row = json.loads(file.readline())
                    yield row

    def append(self, rows: Iterable[Row]) -> None:
        """Write rows and wait until they are on the disk."""
        assert self._descriptor is not None
        offsets, data = {}, b""
        for row in rows:
            offsets[row["image"]] = self._size + len(data)
            data += json.dumps(row, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"
        if data:
            store.write_all(self._descriptor, data)
            store.system.sync(self._descriptor)
            # Only now: a write that failed left a torn tail, which the next opening cuts off.
            self._offsets |= offsets
            self._size += len(data)

    def close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            store.system.close(descriptor)


def _key_of(line: bytes) -> str | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    key = row.get("image") if isinstance(row, dict) else None
    return key if isinstance(key, str) else None
