"""Rows of a journal as the evaluation reads them: the one place that knows their keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..maps import sketch

Row = Mapping[str, Any]


@dataclass(frozen=True)
class MapRecord:
    """One map of an image: its method, layer and class, its probability, and its sketch h×w uint8.

    `cells` is None where the map shows nothing.
    """

    method: str
    layer: str
    index: int
    name: str
    probability: float
    cells: np.ndarray | None


@dataclass(frozen=True)
class ImageRecord:
    """An explained image: its upright size, maps, labels and predicted class."""

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


def image_record(row: Row) -> ImageRecord | None:
    """What a row says; None for one without maps (a failed image)."""
    if not row.get("maps") or not row.get("width") or not row.get("height"):
        return None
    top = row.get("top") or [{}]
    maps = tuple(_map_record(one) for one in row["maps"] if one.get("concept") is None)
    return ImageRecord(
        image=row["image"],
        width=int(row["width"]),
        height=int(row["height"]),
        maps=maps,
        predicted=top[0].get("index"),
        label=str(row.get("label") or ""),
        label_index=row.get("label_index"),
        attributes=row.get("attributes") or {},
    )


def _map_record(one: Mapping[str, Any]) -> MapRecord:
    cells = sketch.decode(one["sketch"]) if one.get("sketch") else None
    return MapRecord(
        method=one["method"],
        layer=one.get("layer", ""),
        index=int(one["target_index"]),
        name=str(one["target_name"]),
        probability=float(one.get("target_prob") or 0.0),
        cells=cells if cells is not None and cells.any() else None,
    )
