"""Reads and writes `spots.jsonl`: contribution vectors at the peaks of every map.

The line of an image is on disk before its row, which holds the line's checksum. An image whose line is missing or
damaged is explained again.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, Any, TypedDict, cast

import numpy as np

from ..images.geometry import Frame
from ..maps.spots import MOST, NUMBERS, Spot
from .journal import Lines
from .rows import ImageRow
from .shapes import check_of, parse_json
from .units import Share

_CHUNK = 1000
#: Number of bytes of a vector.
BYTES = NUMBERS // 2


class MapSpots(TypedDict):
    """The spots of one map, strongest first, at most three; empty lists for a map without spots."""

    #: Places, as shares of the image's width.
    x: list[Share]
    #: Places, as shares of the image's height.
    y: list[Share]
    #: Raw values of the map there.
    strength: list[float]
    #: One vector of 384 numbers per spot, in base64: the projected contributions of the channels of the target layer.
    #: Each byte holds two numbers plus 8, the first in its upper half. Directions are comparable between runs of one
    #: network and layer.
    vectors: str


def _has_all_numbers(spots: dict[str, Any]) -> bool:
    try:
        size = len(base64.b64decode(spots["vectors"], validate=True))
    except ValueError:
        return False
    counts = {len(spots[name]) for name in ("x", "y", "strength")}
    return counts == {size // BYTES} and size % BYTES == 0 and size <= MOST * BYTES


class SpotsRow(TypedDict):
    """One image of a run with `--save spots`: a line of `spots.jsonl`. The last line of an image counts."""

    #: Name of the image.
    image: str
    #: The spots of each map, in the order of its row.
    maps: list[Annotated[MapSpots, _has_all_numbers]]


_is_spots = check_of(SpotsRow)


def parse_spots(line: bytes) -> SpotsRow | None:
    """Spots of a line; None if damaged."""
    try:
        row: SpotsRow = parse_json(line)
    except ValueError:
        return None
    return row if _is_spots(row) else None


class SpotsFile(Lines[SpotsRow]):
    """File of the spots of a run."""

    parse = staticmethod(parse_spots)


class RowWithSpots(ImageRow, total=False):
    """A row with spots that the folder has not written yet."""

    spots_row: SpotsRow


def encoded(spots: Sequence[Spot], frame: Frame, width: int, height: int) -> MapSpots:
    """Encodes spots relative to an upright image of `width`×`height`. frame: of the map, in pixels of the image."""
    across, down = frame.right - frame.left, frame.bottom - frame.top
    return {
        "x": [_share((frame.left + spot.peak.x * across) / width) for spot in spots],
        "y": [_share((frame.top + spot.peak.y * down) / height) for spot in spots],
        "strength": [float(f"{spot.peak.strength:.6g}") for spot in spots],
        "vectors": base64.b64encode(b"".join(packed(spot.vector) for spot in spots)).decode("ascii"),
    }


def _share(value: float) -> float:
    return round(min(1.0, max(0.0, value)), 4)


def packed(vector: np.ndarray) -> bytes:
    """Packs a vector, two numbers per byte."""
    halves = (vector.astype(np.int16) + 8).astype(np.uint8)
    return bytes((halves[0::2] << 4 | halves[1::2]).tobytes())


def packed_vectors(spots: MapSpots) -> np.ndarray:
    """Packed vectors of a map: uint8 N×192."""
    return np.frombuffer(base64.b64decode(spots["vectors"]), np.uint8).reshape(-1, BYTES)


def unpacked(vectors: np.ndarray) -> np.ndarray:
    """Unpacks vectors uint8 N×192 to float32 N×`NUMBERS`, −7 to 7."""
    halves = np.stack([vectors >> 4, vectors & 15], axis=-1).reshape(len(vectors), -1)
    numbers: np.ndarray = halves.astype(np.float32) - 8
    return numbers


@dataclass
class SpotsStore:
    """Spots of an output folder. below: read-only file of OUT under that of a part.

    Creates the file with the first line. Raises `OSError`.
    """

    path: str
    below: str = ""
    _own: SpotsFile | None = None
    _files: list[SpotsFile] = field(default_factory=list)

    def __post_init__(self) -> None:
        if os.path.lexists(self.path):
            self._opened()
        if self.below and os.path.lexists(self.below):
            self._files.append(SpotsFile.read(self.below))

    def _opened(self) -> SpotsFile:
        if self._own is None:
            self._own = SpotsFile.open(self.path)
            self._files.insert(0, self._own)
        return self._own

    def take(self, rows: Sequence[ImageRow]) -> list[ImageRow]:
        """Writes the spots of rows to disk, and returns the rows with checksums instead."""
        carried = [cast(RowWithSpots, {**row}) for row in rows]
        found = [row.pop("spots_row") for row in carried if "spots_row" in row]
        if not found:
            return [*rows]
        file = self._opened()
        file.append(found)
        for row, spots in zip((row for row, before in zip(carried, rows) if "spots_row" in before), found):
            row["spots"] = file.checksum(spots["image"])
        return [cast(ImageRow, row) for row in carried]

    def has(self, row: ImageRow) -> bool:
        """Whether the spots of a row exist unchanged."""
        wanted = row.get("spots")
        return wanted is None or any(file.checksum(row["image"]) == wanted for file in self._files)

    def close(self) -> None:
        """Closes the file. All lines are already on disk."""
        if self._own is not None:
            self._own.close()


def move_spots(part: str, whole: str) -> None:
    """Moves the spots of a part into the file of OUT, before its rows are moved.

    Idempotent after a kill.
    """
    if not os.path.lexists(part):
        return
    own, into = SpotsFile.read(part), SpotsFile.open(whole)
    try:
        rows = own.rows(own)
        while some := list(islice(rows, _CHUNK)):
            into.append([row for row in some if into.checksum(row["image"]) != own.checksum(row["image"])])
    finally:
        into.close()


def spots_of(files: Iterable[SpotsFile], row: ImageRow) -> SpotsRow | None:
    """Spots of a row from the files of its run; None if missing or damaged."""
    for file in files:
        if row.get("spots") and file.checksum(row["image"]) == row["spots"]:
            return next(file.rows([row["image"]]), None)
    return None
