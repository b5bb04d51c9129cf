"""Append-only journal: one JSON object per image, the source of table, report and resume."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Generic, TypeVar

from ..regular_files import NotRegular, open_regular, require_regular
from . import store
from .rows import ImageRow, parse_row

#: Content of a line: an object with the name of its `image`.
L = TypeVar("L", bound=Any)
J = TypeVar("J", bound="Lines[Any]")

#: Longest line in bytes.
_LONGEST = 1 << 26
#: Bits of a line's checksum.
_CHECKSUM = 32


@dataclass
class Lines(Generic[L]):
    """A file of lines with an index of the last line of each image. Later lines replace earlier ones.

    Memory holds one number per image. Opening cuts off an incomplete last line after a kill. A damaged line in the
    middle is ignored and counted in `damaged`.
    """

    path: str
    damaged: int = 0
    #: Offset of the last line of each image; the lower 32 bits are its checksum.
    _places: dict[str, int] = field(default_factory=dict)
    _descriptor: int | None = None
    _size: int = 0

    @classmethod
    def open(cls: type[J], path: str) -> J:
        """Opens a file for appending, and creates it if missing. Raises `OSError`."""
        journal = cls(path)
        if os.path.islink(path):
            raise NotRegular(path, None, "it is a link, which is never followed")
        if os.path.lexists(path):
            require_regular(path)
        # Never follow a link.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        journal._descriptor = store.system.open(path, flags)
        journal._scan()
        store.system.truncate(journal._descriptor, journal._size)
        return journal

    @classmethod
    def read(cls: type[J], path: str, each: Callable[[Any], None] = lambda row: None) -> J:
        """Reads a file without changing it. each: called with every row, including replaced ones.

        Raises `OSError`.
        """
        journal = cls(path)
        journal._scan(each)
        return journal

    @staticmethod
    def parse(line: bytes) -> L | None:
        """Content of a line; None if damaged."""
        raise NotImplementedError

    def _scan(self, each: Callable[[Any], None] = lambda row: None) -> None:
        """Indexes the last complete line of each image, and finds the end of the last complete line."""
        with open_regular(self.path) as file:
            for line, length in _whole_lines(file):
                row = self.parse(line)
                if row is None:
                    self.damaged += 1
                else:
                    self._places[row["image"]] = _place(self._size, line)
                    each(row)
                self._size += length

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def rows(self, keys: Iterable[str]) -> Iterator[L]:
        """Last rows of these images, in the order of the keys, without missing ones."""
        with open_regular(self.path) as file:
            for key in keys:
                place = self._places.get(key)
                if place is None:
                    continue
                file.seek(place >> _CHECKSUM)
                line = file.readline(_LONGEST)
                # Another process may have replaced the file since it was indexed.
                if _place(place >> _CHECKSUM, line) == place:
                    row: L = json.loads(line)
                    yield row

    def append(self, rows: Iterable[L]) -> None:
        """Appends rows and waits until they are on disk."""
        assert self._descriptor is not None
        places, data = {}, b""
        for row in rows:
            line = json.dumps(row, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"
            places[row["image"]] = _place(self._size + len(data), line)
            data += line
        if data:
            store.write_all(self._descriptor, data)
            store.system.sync(self._descriptor)
            # Only now: a failed write leaves an incomplete line, which the next opening cuts off.
            self._places |= places
            self._size += len(data)

    def checksum(self, key: str) -> str:
        """CRC-32 of the last line of an image in hexadecimal; "" without one."""
        place = self._places.get(key)
        return "" if place is None else f"{place & ((1 << _CHECKSUM) - 1):08x}"

    def close(self) -> None:
        """Closes the file. All rows are already on disk."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            store.system.close(descriptor)


class Journal(Lines[ImageRow]):
    """The journal of a run."""

    parse = staticmethod(parse_row)


def _place(offset: int, line: bytes) -> int:
    return offset << _CHECKSUM | zlib.crc32(line)


def _whole_lines(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yields complete lines with their lengths; of an overlong line only its end, which then counts as damaged."""
    length = 0
    while piece := file.readline(_LONGEST):
        length += len(piece)
        if piece.endswith(b"\n"):
            yield piece, length
            length = 0
