"""Finds images inside tar files (the layout of WebDataset) by offset, without unpacking.

Headers may be hostile, so they are parsed here block by block: Python's library reads as many bytes as a header
demands.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, NamedTuple

from ..errors import CamxError
from ..regular_files import open_regular
from .remote import filesystem, is_remote

#: Bytes per read of a remote tar file: its headers lie between the images.
_BLOCK = 8 << 20
_LABEL, _LABEL_BYTES = ".cls", 1000
_SIZE = 512
#: Longest extended header in bytes; it holds a file name of at most 4096 bytes.
EXTENDED_BYTES = 1 << 20
#: Most files in a tar file.
MOST_MEMBERS = 10_000_000
#: Seconds for all headers of one tar file.
HEADER_SECONDS = 600.0
_RECORD = re.compile(rb"(\d{1,7}) ([^=]{1,200})=")


class Member(NamedTuple):
    """A file of a tar: name, position of its bytes, and label of its sample (`NAME.cls` beside `NAME.jpg`).

    The name has no empty part and no `.`, but may have `..`. stored: whether its bytes are contiguous; those of links
    and sparse files are not.
    """

    name: str
    offset: int
    size: int
    label: str = ""
    stored: bool = True


def is_tar(path: str) -> bool:
    return path.lower().endswith(".tar")


def members(path: str) -> list[Member]:
    """Regular files of a tar file in its order, without labels. Raises `CamxError` if it is broken."""
    found, problem = read_members(path)
    if problem:
        raise CamxError(f"{path!r}: {problem}.", "Create it again, without compression.")
    return [member for member in found if member.stored]


def read_members(path: str) -> tuple[list[Member], str]:
    """Files of a tar file in its order, without labels; of a broken one those before the damage, with the problem."""
    reader = _Reader()
    try:
        with _opened(path) as file:
            reader.read(file)
        problem = ""
    except _Broken as error:
        problem = f"it is no whole tar file ({error})"
    except OSError as error:
        problem = f"it cannot be read ({error.strerror or error})"
    except CamxError as error:
        problem = f"it cannot be read ({error})"
    # File systems of object stores have their own errors.
    except Exception as error:
        problem = f"it cannot be read ({type(error).__name__}: {str(error)[:200]})"
    labels = reader.labels
    return [member._replace(label=labels.get(_sample(member.name), "")) for member in reader.found], problem


class _Broken(Exception):
    """The file is no tar file, or ends too early."""


@dataclass
class _Reader:
    """Reads headers. found: files so far. labels: by sample."""

    found: list[Member] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)

    def read(self, file: IO[bytes]) -> None:
        """Reads all headers. Raises `_Broken`."""
        end, ends = file.seek(0, os.SEEK_END), time.monotonic() + HEADER_SECONDS
        offset = headers = 0
        extended: dict[bytes, bytes] = {}
        while True:
            if offset > end:
                raise _Broken("a file in it is cut short")
            header = _at(file, offset, _SIZE)
            if not header and headers:
                return
            if header.strip(b"\0") == b"" and len(header) == _SIZE:
                return
            size, kind = _checked(header), header[156:157]
            headers += 1
            if headers > MOST_MEMBERS:
                raise _Broken(f"more than {MOST_MEMBERS:,} files")
            if time.monotonic() > ends:
                raise _Broken(f"reading its headers took more than {HEADER_SECONDS:.0f} s")
            offset += _SIZE
            if kind in b"xgLK" and kind:
                extended |= _extended(_at_whole(file, offset, size, end), kind)
            else:
                if kind == b"S":
                    offset = _behind_map(file, header, offset)
                size = _number(extended.get(b"size", b""), size)
                if offset + size > end:
                    raise _Broken("a file in it is cut short")
                sparse = kind == b"S" or any(name.startswith(b"GNU.sparse") for name in extended)
                stored = extended.get(b"path") or _name(header)
                name = "/".join(part for part in _text(stored).split("/") if part not in ("", "."))
                # Old archives mark folders only by a slash.
                regular = kind in (b"0", b"7", b"S") or (kind == b"\0" and not stored.endswith(b"/"))
                if name and (regular or kind in (b"1", b"2")):
                    self._add(file, Member(name, offset, size, stored=regular and not sparse))
                extended = {}
                if kind in b"123456" and kind:
                    size = 0
            offset += -(-size // _SIZE) * _SIZE

    def _add(self, file: IO[bytes], member: Member) -> None:
        if member.name.endswith(_LABEL) and member.size < _LABEL_BYTES and member.stored:
            text = _at(file, member.offset, member.size).decode("utf-8", "replace").strip()
            self.labels[_sample(member.name)] = text
        else:
            self.found.append(member)


def _at(file: IO[bytes], offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def _at_whole(file: IO[bytes], offset: int, size: int, end: int) -> bytes:
    if size > EXTENDED_BYTES:
        raise _Broken(f"a header of {size:,} bytes, more than {EXTENDED_BYTES:,}")
    if offset + size > end:
        raise _Broken("a header in it is cut short")
    return _at(file, offset, size)


def _checked(header: bytes) -> int:
    """The size in a header. Raises `_Broken` for any other block."""
    if len(header) < _SIZE:
        raise _Broken("it ends within a header" if header else "it is empty")
    if header[:2] in (b"\x1f\x8b", b"BZ") or header[:6] in (b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"):
        raise _Broken("it is compressed")
    checksum = _octal(header[148:156])
    if checksum != sum(header[:148]) + 8 * 32 + sum(header[156:]):
        raise _Broken("a block in it is no header")
    size = header[124:136]
    # Sizes above 8 GB are in binary.
    number = int.from_bytes(size[1:], "big") if size[0] == 0x80 else _octal(size)
    if size[0] == 0xFF or number is None or number >= 1 << 62:
        raise _Broken("a file in it has no size")
    return number


def _octal(field: bytes) -> int | None:
    digits = field.partition(b"\0")[0].strip()
    if digits.translate(None, b"01234567"):
        return None
    return int(digits or b"0", 8)


def _number(digits: bytes, otherwise: int) -> int:
    return int(digits) if digits.isdigit() and len(digits) < 19 else otherwise


def _name(header: bytes) -> bytes:
    name, prefix = header[:100].partition(b"\0")[0], header[345:500].partition(b"\0")[0]
    return prefix + b"/" + name if prefix and header[257:263] == b"ustar\0" else name


def _extended(data: bytes, kind: bytes) -> dict[bytes, bytes]:
    """Fields of the next file in an extended header. Ignores headers for all files."""
    if kind == b"L":
        return {b"path": data.partition(b"\0")[0]}
    if kind != b"x":
        return {}
    found, place = dict[bytes, bytes](), 0
    while record := _RECORD.match(data, place):
        after = place + int(record[1])
        if after <= record.end() or after > len(data):
            break
        found[record[2]] = data[record.end() : after - 1]
        place = after
    return found


def _behind_map(file: IO[bytes], header: bytes, offset: int) -> int:
    """Offset of the bytes of a sparse file, after the blocks with its map."""
    more, blocks = header[482], 0
    while more and blocks < 10_000:
        block = _at(file, offset, _SIZE)
        if len(block) < _SIZE:
            raise _Broken("it ends within a header")
        more, offset, blocks = block[504], offset + _SIZE, blocks + 1
    return offset


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    if is_remote(path):
        with filesystem(path).open(path, "rb", block_size=_BLOCK, cache_type="readahead") as file:
            yield file
    else:
        with open_regular(path) as file:
            yield file


def _sample(name: str) -> str:
    """Sample of a file: its folder, and its name up to the first dot."""
    folder, base = os.path.split(name)
    return f"{folder}/{base.partition('.')[0]}"
