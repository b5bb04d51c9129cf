"""Writes boxes as CSV, with the columns that `camx evaluate --truth` reads."""

from __future__ import annotations

from collections.abc import Iterator

from ..outputs import tables
from .findings import Exported

_COLUMNS = (
    *("image", "label", "x0", "y0", "x1", "y1", "width", "height"),
    *("score", "area", "peak_x", "peak_y", "method", "layer", "threshold", "source"),
)


def box_table(exported: Exported) -> Iterator[tuple[str, Iterator[bytes]]]:
    """One file, `boxes.csv`, with one line per part. An image without parts has a line without a box."""
    yield "boxes.csv", _lines(exported)


def _lines(exported: Exported) -> Iterator[bytes]:
    yield tables.line(list(_COLUMNS))
    for image in exported.images():
        about = [image.width, image.height]
        if not image.found:
            yield tables.line([tables.text(image.image), *[""] * 5, *about, *[""] * (len(_COLUMNS) - 9), "camx"])
        for found in image.found:
            box = [f"{edge:.2f}" for edge in found.box]
            numbers = [f"{value:.2f}" for value in (found.area, *found.point)]
            names = [tables.text(image.image), tables.text(found.name)]
            origin = [found.method, tables.text(found.layer), f"{found.threshold:.4g}", "camx"]
            yield tables.line([*names, *box, *about, tables.number(found.probability), *numbers, *origin])
