"""The files of an image in OUT: their names in a row, their sizes and checksums, and whether they are still whole."""

from __future__ import annotations

import io
import zlib

import numpy as np

from ..errors import UnreadableImage
from ..run_layout import is_result
from .result_pictures import opened_result
from .rows import ImageRow, WrittenFile


def files_of(row: ImageRow) -> list[str]:
    """The files that a row names, relative to OUT; only such as lie in one of our folders, whatever a journal says."""
    named = [row.get("thumb")]
    for map_row in row.get("maps", ()):
        named += [map_row.get("overlay"), map_row.get("heatmap"), map_row.get("array")]
        named += [map_row.get("mask"), map_row.get("panel"), map_row.get("sheet")]
    return [name for name in named if name and is_result(name)]


def written_file(data: bytes) -> WrittenFile:
    """Size and checksum of a file with these bytes."""
    return {"bytes": len(data), "crc32": f"{zlib.crc32(data):08x}"}


def has_size(row: ImageRow, name: str, size: int | None) -> bool:
    """Whether a file of a row has the size that it was written with. None: it is missing.

    Rows of camx 0.1.0 name no sizes; none of their files is empty.
    """
    written = row.get("files", {}).get(name)
    return bool(size) if written is None else size == written["bytes"]


def is_intact(row: ImageRow, name: str, data: bytes | None) -> bool:
    """Whether a file of a row has the bytes that were written. None: it is missing.

    Rows of camx 0.1.0 name no checksums: their images and arrays are decoded completely.
    """
    if data is None:
        return False
    written = row.get("files", {}).get(name)
    return _decodes(name, data) if written is None else written == written_file(data)


def _decodes(name: str, data: bytes) -> bool:
    try:
        if name.endswith(".npy"):
            np.load(io.BytesIO(data), allow_pickle=False)
            return True
        with opened_result(data) as image:
            image.load()
    except (UnreadableImage, ValueError, EOFError, OSError):
        return False
    return True
