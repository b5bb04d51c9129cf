"""Images of a report: thumbnails of the run, or overlays in their place, linked or embedded."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from PIL import Image

from ..errors import UnreadableImage
from ..outputs.result_pictures import opened_result
from ..outputs.rows import ImageRow
from ..outputs.run_folder import RunFolder

#: Up to so many images are embedded: the report is one file.
EMBEDDED = 200
#: Bytes of images that one file may hold, before base64.
SMALL_BUDGET = 9_000_000
#: The same of a single file of any number of images.
LARGE_BUDGET = 60_000_000
#: Files that tell how large all of them are.
_SAMPLE = 200
_LARGE, _SMALL = 512, 256


def thumbnail_side(images: int) -> int:
    """The long side in pixels of the thumbnails of a run; embedded ones are also shown large."""
    return _LARGE if images <= EMBEDDED else _SMALL


def picture_of(row: ImageRow) -> tuple[str, str]:
    """The file in OUT that shows a row, and its kind: the plain `picture`, an `overlay`, a `sheet`, or none."""
    if thumbnail := row.get("thumb"):
        return thumbnail, "picture"
    for shown in row.get("maps", ()):
        if overlay := shown.get("overlay"):
            return overlay, "overlay"
        if sheet := shown.get("sheet"):
            return sheet, "sheet"
    return "", ""


def link(name: str) -> str:
    """A file of OUT as a quoted address, seen from `report/index.html`."""
    return "../" + quote(name.encode("utf-8", "surrogateescape"), safe="/")


def embedded(run: RunFolder, names: Sequence[str], side: int, budget: int = SMALL_BUDGET) -> Mapping[str, str]:
    """Files as `data:` addresses: JPEGs of at most `side` pixels, smaller where together they exceed `budget` bytes.

    Of many files a sample says how small. No side is below 64 pixels, even where that exceeds the budget. Left out are
    files that are missing, broken, not of a format that camx writes, or outside of the run folder.
    """
    encoded: dict[str, bytes] = {}
    sample = names[:: max(1, len(names) // _SAMPLE)]
    for _ in range(4):
        encoded = {name: data for name in sample if (data := _jpeg(run, name, side))}
        total = sum(map(len, encoded.values())) * len(names) / max(1, len(sample))
        if total <= budget or side <= 64:
            break
        side = max(64, int(side * math.sqrt(budget / total) * 0.95))
    if len(sample) < len(names):
        encoded = {name: data for name in names if (data := _jpeg(run, name, side))}
    start = "data:image/jpeg;base64,"
    return {name: start + base64.b64encode(data).decode("ascii") for name, data in encoded.items()}


def _jpeg(run: RunFolder, name: str, side: int) -> bytes:
    try:
        data = run.read_file(name)
        with opened_result(data) as image:
            if image.format == "JPEG" and max(image.size) <= side:
                return data
            small = image.convert("RGB")
    except UnreadableImage:
        return b""
    small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()
