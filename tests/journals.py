"""Folders of finished runs, written row by row, with maps that a test knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cam_cli.images.geometry import Frame
from cam_cli.maps.measures import measured, on_raster
from cam_cli.maps.sketch import encode
from cam_cli.maps.thresholds import HALF
from cam_cli.outputs.folder import locked_folder

CLASSES = ("cat", "dog", "pot, flowerpot")


def hill(x: float, y: float, spread: float = 0.1, cells: int = 24) -> np.ndarray:
    """A raw map with one hill at x, y (shares of the image)."""
    at = (np.arange(cells) + 0.5) / cells
    return np.exp(-((at[None, :] - x) ** 2 + (at[:, None] - y) ** 2) / (2 * spread**2)).astype(np.float32)


def map_of(values: np.ndarray | None, index: int, size: tuple[int, int], method: str = "gradcam") -> dict[str, Any]:
    """The record of a map over a whole image; None for a blank one."""
    record: dict[str, Any] = {"method": method, "layer": "layer4", "target_index": index, "target_name": CLASSES[index],
                              "target_prob": 0.75, "peak": 1.0, "area": None}  # fmt: skip
    if values is None:
        return record
    mass = on_raster(values / values.max(), Frame(0, 0, *size), *size)
    numbers = measured(mass)
    component = {"threshold": HALF, "box": [*numbers.component]}
    return record | numbers.__dict__ | {"component": component, "sketch": encode(mass)}


def row_of(
    image: str, maps: Sequence[dict[str, Any]], size: tuple[int, int] = (200, 100), **more: Any
) -> dict[str, Any]:
    top = [{"index": one["target_index"], "name": one["target_name"], "prob": one["target_prob"]} for one in maps[:1]]
    row = {"image": image, "index": 0, "status": "ok", "error": "", "label": "", "width": size[0], "height": size[1],
           "seen": [0, 0, 1, 1], "top": top, "maps": list(maps)}  # fmt: skip
    return {**row, **more}


def run_of(
    folder: Path, rows: Sequence[dict[str, Any]], base: str = "/pictures", state: str = "finished", **record: Any
) -> Path:
    """Writes a run with these rows, in their order."""
    fingerprint = {"command": "explain", "inputs": base, "model": "demo"}
    with locked_folder(str(folder)) as out:
        out.begin(fingerprint)
        out.append([{**row, "index": index} for index, row in enumerate(rows)])
        out.record({"fingerprint": fingerprint, "state": state, "finished": "2026-01-01T00:00:00+0000", **record})
    return folder


def failed_row(image: str) -> dict[str, Any]:
    return {"image": image, "index": 0, "status": "failed", "error": "cannot be decoded", "label": ""}
