"""Checks the files of an image in OUT by the sizes and checksums in its row."""

from __future__ import annotations

import io
import zlib

import numpy as np

from ..errors import UnreadableImage
from ..run_layout import is_result
from .result_pictures import opened_result
from .rows import ImageRow, WrittenFile


def files_of(row: ImageRow) -> list[str]:
    """Files of a row, relative to OUT. Ignores names outside the result folders, as in a damaged journal."""
    named = [row.get("thumb")]
    for map_row in row.get("maps", ()):
        named += [map_row.get("overlay"), map_row.get("heatmap"), map_row.get("array")]
        named += [map_row.get("mask"), map_row.get("panel"), map_row.get("sheet")]
    return [name for name in named if name and is_result(name)]


def written_file(data: bytes) -> WrittenFile:
    """Size and checksum of these bytes."""
    return {"bytes": len(data), "crc32": f"{zlib.crc32(data):08x}"}


def has_size(row: ImageRow, name: str, size: int | None) -> bool:
    """Whether a file has the size in its row. size: None if the file is missing.

    Rows of camx 0.1.0 have no sizes; there the file must not be empty.
    """
    written = row.get("files", {}).get(name)
    return bool(size) if written is None else size == written["bytes"]


def is_intact(row: ImageRow, name: str, data: bytes | None) -> bool:
    """Whether a file has the checksum in its row. data: None if the file is missing.

    Rows of camx 0.1.0 have no checksums, so their images and arrays are decoded completely.
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
