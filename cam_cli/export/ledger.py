"""Keeps the list of exported files in a folder, to find stale files and files of others."""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..outputs.store import remove_if_there, require_below, system, write_all, write_file
from ..regular_files import open_regular, read_regular
from ..run_layout import is_inside

LEDGER = ".camx-export.jsonl"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """A written file: its format, size and CRC-32."""

    format: str
    bytes: int
    crc32: int


@dataclass
class Ledger:
    """The list of a folder, by relative paths with `/`.

    The line of a file is written just before the file is renamed into place. After a stop between the two, the older
    file matches its earlier line, which is in `earlier`.
    """

    folder: str
    entries: dict[str, Entry] = field(default_factory=dict)
    earlier: dict[str, list[Entry]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: str) -> Ledger:
        """Reads the list of earlier exports. Ignores damaged lines."""
        found = cls(folder)
        with contextlib.suppress(OSError):
            for line in read_regular(os.path.join(folder, LEDGER)).splitlines():
                name, entry = _parsed(line)
                if entry is not None:
                    found.earlier.setdefault(name, []).append(entry)
                    found.entries[name] = entry
        return found

    def path(self, name: str) -> str:
        return os.path.join(self.folder, *name.split("/"))

    def owns(self, name: str) -> bool:
        """Whether a file is unchanged since an export wrote it."""
        try:
            require_below(self.path(name), self.folder)
            size = os.path.getsize(self.path(name))
            sums = {entry.crc32 for entry in self.earlier.get(name, ()) if entry.bytes == size}
            if not sums or os.path.islink(self.path(name)):
                return False
            with open_regular(self.path(name)) as file:
                return _sum(iter(lambda: file.read(_BLOCK), b"")).crc in sums
        except OSError:
            return False

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """While active, updates the list with every file. Removes superseded lines at the end."""
        system.make_folder(self.folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        self._descriptor = system.open(self.path(LEDGER), flags)
        try:
            yield
        finally:
            system.close(self._descriptor)
        write_file(self.path(LEDGER), (_line(*one) for one in self.entries.items()), below=self.folder)

    def write(self, format_name: str, name: str, content: Iterable[bytes]) -> None:
        """Writes a file atomically, and its line before it; only inside `writing`."""
        write_file(self.path(name), self._noted(format_name, name, content), below=self.folder)

    def _noted(self, format_name: str, name: str, content: Iterable[bytes]) -> Iterator[bytes]:
        """Yields the content, then writes its line."""
        checked = _Sum(content)
        yield from checked
        self.entries[name] = Entry(format_name, checked.bytes, checked.crc)
        write_all(self._descriptor, _line(name, self.entries[name]))

    def remove(self, name: str) -> None:
        """Removes a file, and folders that become empty."""
        require_below(self.path(name), self.folder)
        remove_if_there(self.path(name))
        parent = os.path.dirname(name)
        while parent:
            try:
                system.remove_folder(self.path(parent))
            except OSError:
                break
            parent = os.path.dirname(parent)


class _Sum:
    """Iterates over pieces and computes their size and CRC-32."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces, self.bytes, self.crc = pieces, 0, 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.bytes, self.crc = self.bytes + len(piece), zlib.crc32(piece, self.crc)
            yield piece


def _sum(pieces: Iterable[bytes]) -> _Sum:
    found = _Sum(pieces)
    for _ in found:
        pass
    return found


def _line(name: str, entry: Entry) -> bytes:
    return json.dumps({"file": name, **entry.__dict__}).encode() + b"\n"


def _parsed(line: bytes) -> tuple[str, Entry | None]:
    """Name and entry of a line; None for a damaged one, and for a name that leads out of the folder."""
    try:
        content = json.loads(line)
        name, kind, size, crc = (content[key] for key in ("file", "format", "bytes", "crc32"))
    except (ValueError, KeyError, TypeError, RecursionError):
        return "", None
    fits = isinstance(name, str) and is_inside(name) and isinstance(kind, str)
    return (name, Entry(kind, size, crc)) if fits and type(size) is type(crc) is int else ("", None)
