"""Sketches: heatmaps of a few hundred cells for the journal. No other file creates, encodes or decodes them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from ..images.geometry import Frame, fitted
from .heatmap import placed

#: Long side of a sketch, in cells.
SKETCH = 24


def sketched(heat: np.ndarray, *, two_sided: bool = False) -> np.ndarray:
    """Returns a heatmap on its raster (`measures.on_raster`) as h×w cells: uint8, 255 for 1, long side at most 24.

    Each cell is a mean. two_sided: for a map in [−1, 1], 128 for 0, 255 for 1 and 1 for −1, as in its heatmap file.
    Cells are small enough for the journal, so maps can be compared and averaged without image files.
    """
    rows, columns = heat.shape
    small = fitted(columns, rows, SKETCH)
    levels = np.asarray(Image.fromarray(heat).resize(small, Image.Resampling.BOX))
    sketch: np.ndarray = np.rint(np.clip(levels, -1, 1) * 127 + 128 if two_sided else np.clip(levels, 0, 1) * 255)
    return sketch.astype(np.uint8)


def encode(heat: np.ndarray, *, two_sided: bool = False) -> dict[str, Any]:
    """Returns the sketch of a heatmap as JSON: size, rows in base64, and whether it is `signed`."""
    cells = sketched(heat, two_sided=two_sided)
    height, width = cells.shape
    signed = {"signed": True} if two_sided else {}
    return {"width": width, "height": height, "values": base64.b64encode(cells.tobytes()).decode("ascii"), **signed}


def decode(record: Mapping[str, Any]) -> np.ndarray:
    """Returns the cells h×w of an encoded sketch: float32 in [0, 1], or in [−1, 1] if `signed`.

    Raises `ValueError` for a record of another shape.
    """
    values = np.frombuffer(base64.b64decode(record["values"]), np.uint8).astype(np.float32)
    cells = values.reshape(record["height"], record["width"])
    heat: np.ndarray = np.maximum((cells - 128) / 127, -1) if record.get("signed") else cells / 255
    return heat


def enlarged(cells: np.ndarray, width: int, height: int, long_side: int) -> np.ndarray | None:
    """Enlarges the positive evidence of a decoded sketch onto its image of `width`×`height`: float32, its peak 1.

    The result lies on a raster within `long_side`. None for a sketch without a value above 0.
    """
    columns, rows = fitted(width, height, long_side)
    heat = placed(np.maximum(cells, 0), Frame(0, 0, columns, rows), columns, rows)
    largest = float(heat.max())
    return heat / np.float32(largest) if largest > 0 else None
