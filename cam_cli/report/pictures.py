"""Pictures of a report: thumbnails that the run has made, or what stands in for them, linked or embedded."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from PIL import Image

from ..outputs.journal import Row
from .run import Run

#: Up to so many pictures are embedded: the report is one file.
EMBEDDED = 200
#: Bytes of pictures that one file may hold, before base64.
_BUDGET = 9_000_000
_LARGE, _SMALL = 512, 256


def thumbnail_side(images: int) -> int:
    """The long side in pixels of the thumbnails of a run; embedded ones are also shown large."""
    return _LARGE if images <= EMBEDDED else _SMALL


def picture_of(row: Row) -> tuple[str, str]:
    """The file in OUT that shows a row, and what it is: the bare `picture`, an `overlay`, a `sheet`, or nothing."""
    if row.get("thumb"):
        return row["thumb"], "picture"
    for shown in row.get("maps") or ():
        for kind in ("overlay", "sheet"):
            if shown.get(kind):
                return shown[kind], kind
    return "", ""


def link(name: str) -> str:
    """A file of OUT as a quoted address, seen from `report/index.html`; whatever the name, it leads into OUT."""
    return "../" + quote(name.encode("utf-8", "surrogateescape"), safe="/")


def embedded(run: Run, names: Sequence[str], side: int) -> Mapping[str, str]:
    """Files as `data:` addresses: JPEGs of at most `side` pixels, smaller ones where together they were too large.

    Files that are missing or broken are left out.
    """
    encoded: dict[str, bytes] = {}
    for _ in range(4):
        encoded = {name: data for name in names if (data := _jpeg(run.file(name), side))}
        total = sum(map(len, encoded.values()))
        if total <= _BUDGET:
            break
        side = max(64, int(side * math.sqrt(_BUDGET / total) * 0.95))
    start = "data:image/jpeg;base64,"
    return {name: start + base64.b64encode(data).decode("ascii") for name, data in encoded.items()}


def _jpeg(path: str, side: int) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read()
        with Image.open(io.BytesIO(data)) as image:
            if image.format == "JPEG" and max(image.size) <= side:
                return data
            small = image.convert("RGB")
        small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=82)
        return buffer.getvalue()
    except (OSError, ValueError, SyntaxError):
        return b""
