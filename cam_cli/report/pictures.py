"""Images of a report: thumbnails of the run, or overlays instead, linked or embedded."""

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

#: Most images of a self-contained report.
EMBEDDED = 200
#: Most bytes of images in one file, before base64.
SMALL_BUDGET = 9_000_000
#: As above, for a single file of any number of images.
LARGE_BUDGET = 60_000_000
#: Sample size for an estimate of the size of all files.
_SAMPLE = 200
_LARGE, _SMALL = 512, 256


def thumbnail_side(images: int) -> int:
    """Long side of the thumbnails of a run in pixels; embedded ones are larger, because the page enlarges them."""
    return _LARGE if images <= EMBEDDED else _SMALL


def picture_of(row: ImageRow) -> tuple[str, str]:
    """File in OUT that shows a row, and its kind: plain `picture`, `overlay`, `sheet`, or none."""
    if thumbnail := row.get("thumb"):
        return thumbnail, "picture"
    for shown in row.get("maps", ()):
        if overlay := shown.get("overlay"):
            return overlay, "overlay"
        if sheet := shown.get("sheet"):
            return sheet, "sheet"
    return "", ""


def link(name: str) -> str:
    """Quoted address of a file of OUT relative to `report/index.html`."""
    return "../" + quote(name.encode("utf-8", "surrogateescape"), safe="/")


def embedded(run: RunFolder, names: Sequence[str], side: int, budget: int = SMALL_BUDGET) -> Mapping[str, str]:
    """Encodes files as `data:` addresses: JPEGs of at most `side` pixels, smaller if together they exceed `budget`
    bytes.

    For many files a sample determines the size. No side is below 64 pixels, even beyond the budget. Leaves out files
    that are missing, broken, of a format that camx does not write, or outside the run folder.
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
