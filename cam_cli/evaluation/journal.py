"""Converts journal rows to records for the evaluation. No other file of this room reads the keys of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..maps import sketch
from ..outputs.rows import ImageRow, MapRow


@dataclass(frozen=True)
class MapRecord:
    """One map of an image. cells: sketch h×w; None if the map is blank."""

    method: str
    layer: str
    index: int
    name: str
    probability: float
    cells: np.ndarray | None


@dataclass(frozen=True)
class ImageRecord:
    """An explained image: upright size, maps, labels and predicted class."""

    image: str
    width: int
    height: int
    maps: tuple[MapRecord, ...]
    predicted: int | None
    label: str
    label_index: int | None
    attributes: Mapping[str, str]

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height


def image_record(row: ImageRow) -> ImageRecord | None:
    """Converts a journal row; None for a failed image."""
    if not row.get("maps") or "width" not in row or "height" not in row:
        return None
    top = row.get("top", [])
    return ImageRecord(
        image=row["image"],
        width=row["width"],
        height=row["height"],
        maps=tuple(_map_record(one) for one in row["maps"] if "target_index" in one and "concept" not in one),
        predicted=top[0]["index"] if top else None,
        label=row.get("label", ""),
        label_index=row.get("label_index"),
        attributes=row.get("attributes", {}),
    )


def _map_record(one: MapRow) -> MapRecord:
    cells = sketch.decode(one["sketch"]) if "sketch" in one else None
    return MapRecord(
        method=one.get("method", ""),
        layer=one.get("layer", ""),
        index=one["target_index"],
        name=one.get("target_name", str(one["target_index"])),
        probability=one.get("target_prob", 0.0),
        cells=cells if cells is not None and (cells > 0).any() else None,
    )
