"""Reads the containers of `torch.save`.

They are a zip of a pickle and storages, the older stream of pickles, or a bare pickle.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import zipfile
from typing import Any, BinaryIO, cast

import torch

from ..regular_files import open_regular
from .pickled_values import Storage
from .reading_limits import ReadingLimits
from .unpickling import DataUnpickler

_MAGIC = 0x1950A86A20F9469CFC6C
#: Deepest nesting of separately pickled storages.
_DEEPEST = 3


def read_zip(path: str) -> object:
    """Reads a zip file of torch.

    Raises `BadZipFile` for damaged entries, and `UnpicklingError` for unreadable content.
    """
    limits = ReadingLimits.of(os.path.getsize(path))
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        pickled = next(name for name in entries if name.endswith("data.pkl"))
        stem = pickled.removesuffix("data.pkl")
        order = archive.read(entries[f"{stem}byteorder"]) if f"{stem}byteorder" in entries else b"little"
        if order.decode("latin1").strip() != sys.byteorder:
            raise pickle.UnpicklingError("numbers in another byte order")
        known: dict[str, Storage] = {}

        def storage(key: str, dtype: torch.dtype, count: int) -> Storage:
            if key not in known:
                entry = entries[f"{stem}data/{key}"]
                if count * dtype.itemsize > entry.file_size:
                    raise pickle.UnpicklingError(f"a storage of {count} numbers in {entry.file_size} bytes")
                buffer = bytearray(entry.file_size)
                with archive.open(entry) as file:
                    cast(io.BufferedIOBase, file).readinto(buffer)
                    file.read(1)  # reading to the end verifies the checksum
                known[key] = Storage(_numbers(buffer, dtype, count))
            return known[key]

        def stored_bytes(data: bytes) -> object:
            return _stored_bytes(data, limits)

        return DataUnpickler(io.BytesIO(archive.read(pickled)), storage, stored_bytes, limits).load()


def read_stream(path: str) -> object:
    """Reads a stream of pickles, as of torch before 1.6, or a single pickle."""
    size = os.path.getsize(path)
    with open_regular(path) as file:
        return _stream(file, size, ReadingLimits.of(size))


def _stored_bytes(data: bytes, limits: ReadingLimits, depth: int = _DEEPEST) -> object:
    """Storage in the bytes of its own pickle."""
    if not depth:
        raise pickle.UnpicklingError("storages within storages")
    return _stream(io.BytesIO(data), len(data), limits, depth - 1)


def _stream(file: BinaryIO | io.BytesIO, size: int, limits: ReadingLimits, depth: int = _DEEPEST) -> object:
    known: dict[str, Storage] = {}
    left = [size]

    def storage(key: str, dtype: torch.dtype, count: int) -> Storage:
        if key not in known:
            left[0] -= count * dtype.itemsize
            if left[0] < 0:
                raise pickle.UnpicklingError("storages larger than the file")
            known[key] = Storage(torch.empty(count, dtype=dtype))
        return known[key]

    def load() -> Any:
        return DataUnpickler(file, storage, lambda data: _stored_bytes(data, limits, depth), limits).load()

    content = load()
    if not isinstance(content, int) or content != _MAGIC:
        return content
    load(), load()  # version of the format, sizes of the machine
    content = load()
    keys = load()
    if not isinstance(keys, list) or not all(isinstance(key, (str, int)) for key in keys):
        raise pickle.UnpicklingError("storages of unknown names")
    for key in keys:
        numbers = known[str(key)].numbers
        (count,) = struct.unpack("<q", _exactly(file, 8))
        if count != numbers.numel():
            raise pickle.UnpicklingError("a storage of another length")
        data = _exactly(file, count * numbers.dtype.itemsize)
        if count:
            numbers.copy_(_numbers(bytearray(data), numbers.dtype, count))
    return content


def _exactly(file: BinaryIO | io.BytesIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise EOFError("the file ends within its numbers")
    return data


def _numbers(buffer: bytearray, dtype: torch.dtype, count: int) -> torch.Tensor:
    return torch.frombuffer(buffer, dtype=dtype, count=count) if count else torch.empty(0, dtype=dtype)
