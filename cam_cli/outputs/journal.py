"""The append-only journal: one JSON object per image, from which table, report and resume are derived."""

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

#: What a line holds: an object with the name of its `image`.
L = TypeVar("L", bound=Any)
J = TypeVar("J", bound="Lines[Any]")

#: Bytes of the longest line that is read.
_LONGEST = 1 << 26
#: Bits of the checksum of a line.
_CHECKSUM = 32


@dataclass
class Lines(Generic[L]):
    """A file of lines, and where in it the last line of each image begins: later lines replace earlier ones.

    Only one number per image is kept in memory. Opening cuts off a line that a kill has torn. A damaged line in the
    middle counts as never written, and is counted in `damaged`.
    """

    path: str
    damaged: int = 0
    #: Where the last line of each image begins, and in the lower 32 bits its checksum.
    _places: dict[str, int] = field(default_factory=dict)
    _descriptor: int | None = None
    _size: int = 0

    @classmethod
    def open(cls: type[J], path: str) -> J:
        """Open a file to append to it; create it if it is missing. Raises `OSError`."""
        journal = cls(path)
        if os.path.islink(path):
            raise NotRegular(path, None, "it is a link, which is never followed")
        if os.path.lexists(path):
            require_regular(path)
        # A link of that name would lead the lines elsewhere.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        journal._descriptor = store.system.open(path, flags)
        journal._scan()
        store.system.truncate(journal._descriptor, journal._size)
        return journal

    @classmethod
    def read(cls: type[J], path: str, each: Callable[[Any], None] = lambda row: None) -> J:
        """Read a file without changing it; `each` gets every row once, also those that later ones replace.

        Raises `OSError`.
        """
        journal = cls(path)
        journal._scan(each)
        return journal

    @staticmethod
    def parse(line: bytes) -> L | None:
        """The content of a line; None for a damaged one."""
        raise NotImplementedError

    def _scan(self, each: Callable[[Any], None] = lambda row: None) -> None:
        """Note where each image's last whole line begins, and where the last whole line ends."""
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
        """The last rows of these images, in the order of the keys; images without one are left out."""
        with open_regular(self.path) as file:
            for key in keys:
                place = self._places.get(key)
                if place is None:
                    continue
                file.seek(place >> _CHECKSUM)
                line = file.readline(_LONGEST)
                # Another process may have replaced the file since its lines were checked.
                if _place(place >> _CHECKSUM, line) == place:
                    row: L = json.loads(line)
                    yield row

    def append(self, rows: Iterable[L]) -> None:
        """Write rows and wait until they are on the disk."""
        assert self._descriptor is not None
        places, data = {}, b""
        for row in rows:
            line = json.dumps(row, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"
            places[row["image"]] = _place(self._size + len(data), line)
            data += line
        if data:
            store.write_all(self._descriptor, data)
            store.system.sync(self._descriptor)
            # Only now: a write that failed left a torn tail, which the next opening cuts off.
            self._places |= places
            self._size += len(data)

    def checksum(self, key: str) -> str:
        """The CRC-32 of the last line of an image, in hexadecimal; empty without one."""
        place = self._places.get(key)
        return "" if place is None else f"{place & ((1 << _CHECKSUM) - 1):08x}"

    def close(self) -> None:
        """Close the file; every row is on the disk already."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            store.system.close(descriptor)


class Journal(Lines[ImageRow]):
    """The journal of a run."""

    parse = staticmethod(parse_row)


def _place(offset: int, line: bytes) -> int:
    return offset << _CHECKSUM | zlib.crc32(line)


def _whole_lines(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Lines that end with a newline, and their lengths; of one that is too long its end alone."""
    length = 0
    while piece := file.readline(_LONGEST):
        length += len(piece)
        if piece.endswith(b"\n"):
            yield piece, length
            length = 0
