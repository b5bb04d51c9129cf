"""Reads boxes from CSV: one line per box, `image,label,x0,y0,x1,y1` in pixels.

`width,height` of the image are optional columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...errors import CamxError
from ...regular_files import open_text
from ..tables import read_table
from .shapes import Box
from .truth import Annotations, Problems, Size, Truth, TruthImage, TruthObject, as_read, clean_name

#: Names of the columns of the left, top, right and bottom edge.
_EDGES = (("x0", "y0", "x1", "y1"), ("xmin", "ymin", "xmax", "ymax"), ("left", "top", "right", "bottom"))


def read_box_table(path: str) -> Truth:
    """Reads the truth of a table. An image with empty edges has no object.

    Raises `CamxError` if columns are missing.
    """
    problems = Problems()
    try:
        with open_text(path, errors="replace") as file:
            rows = list(read_table(file, path, required="image"))
    except OSError as error:
        raise CamxError(f"The truth {path!r} cannot be read: {error.strerror}. Check the path.") from error
    edges = next((names for names in _EDGES if rows and all(name in rows[0] for name in names)), None)
    if edges is None:
        raise CamxError(f"{path!r} has no boxes: its first line must name the columns image,label,x0,y0,x1,y1.")
    objects: dict[str, list[TruthObject]] = {}
    sizes: dict[str, Size | None] = {}
    for number, row in enumerate(rows, start=2):
        name = clean_name(row["image"])
        objects.setdefault(name, [])
        size = _size(row)
        if sizes.setdefault(name, size) != size:
            problems.add(name, f"line {number}", "two sizes of one image")
            continue
        if not any(row[edge] for edge in edges):
            continue
        box = [_number(row[edge]) for edge in edges]
        if any(map(math.isnan, box)):
            problems.add(name, f"line {number}", "degenerate box", ",".join(row[edge] for edge in edges)[:60])
        else:
            objects[name].append(TruthObject(row.get("label", ""), Box(*box)))
    images = [TruthImage(name, as_read(Annotations(sizes[name], tuple(found)))) for name, found in objects.items()]
    return Truth("csv", tuple(images), stems=False, problems=problems)


def _number(text: str) -> float:
    """A finite number, or NaN."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _size(row: Mapping[str, str]) -> Size | None:
    width, height = _number(row.get("width", "")), _number(row.get("height", ""))
    return (int(width), int(height)) if width > 0 and height > 0 else None
