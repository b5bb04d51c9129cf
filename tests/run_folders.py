"""Finished run folders written by hand, for tests of readers without a network."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

NAMES = ("cat", "dog", "fish")


def sketch(cells: np.ndarray) -> dict[str, Any]:
    """Cells h×w of 0…255 in the format of a journal."""
    values = base64.b64encode(np.asarray(cells, np.uint8).tobytes()).decode()
    return {"width": cells.shape[1], "height": cells.shape[0], "values": values}


def spot(x: int, y: int, side: int = 10) -> np.ndarray:
    """A map with its peak at a cell that falls with the distance."""
    rows, columns = np.mgrid[:side, :side]
    return np.rint(255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 4)).astype(np.uint8)


def image_row(image: str, label: int | None = 0, predicted: int = 0, **more: Any) -> dict[str, Any]:
    """A row of an explained image; label and top class are indices into `NAMES`."""
    border = more.pop("border", 0.1)
    prob = more.pop("prob", 0.9)
    shown = {
        "method": "gradcam", "layer": "layer4", "target_index": predicted, "target_name": NAMES[predicted],
        "target_prob": prob, "peak": 1.0, "area": 0.2, "center_x": 0.5, "center_y": 0.5, "border": border,
        "entropy": 0.7, "box": [0, 0, 1, 1], "sketch": sketch(more.pop("cells", spot(5, 5))),
    }  # fmt: skip
    row = {
        "image": image, "index": 0, "status": "ok", "error": "", "label": "" if label is None else NAMES[label],
        "bytes": 100, "mtime_ns": 1, "width": 40, "height": 30, "seen": [0, 0, 1, 1], "maps": [shown],
        "top": [{"index": predicted, "name": NAMES[predicted], "prob": prob}],
    }  # fmt: skip
    if label is not None:
        row |= {"correct": label == predicted, "label_index": label}
    return row | more


def failed_row(image: str, label: int | None = 0, **more: Any) -> dict[str, Any]:
    row = {"image": image, "index": 0, "status": "failed", "error": "no image", "bytes": 1, "mtime_ns": 1}
    return row | {"label": "" if label is None else NAMES[label]} | more


def blank_row(image: str, label: int | None = 0, predicted: int = 0, **more: Any) -> dict[str, Any]:
    row = image_row(image, label, predicted, status="blank", error="the map is zero or not finite", **more)
    row["maps"] = [{**row["maps"][0], "peak": 0.0, "area": None}]
    for name in ("center_x", "center_y", "border", "entropy", "box", "sketch"):
        del row["maps"][0][name]
    return row


def run_folder(path: Path, rows: Iterable[dict[str, Any]], **record: Any) -> Path:
    """A finished run of `camx explain` with these rows, in this order."""
    path.mkdir(parents=True, exist_ok=True)
    with (path / "manifest.jsonl").open("w", encoding="utf-8") as journal:
        for index, row in enumerate(rows):
            journal.write(json.dumps({**row, "index": index}) + "\n")
    fingerprint = {"command": "explain", "inputs": "", "layer": "layer4", "methods": ["gradcam"]}
    fingerprint |= record.pop("fingerprint", {})
    content = {"state": "finished", "fingerprint": fingerprint, "plan": {"model": "demo", "layer": "layer4"}, **record}
    (path / "run.json").write_text(json.dumps(content))
    return path


def rights(total: int, right: int, start: str, **more: Any) -> list[dict[str, Any]]:
    """`total` rows of cats; `right` of them are predicted as cats, the others as dogs."""
    return [image_row(f"{start}/{i}.jpg", 0, 0 if i < right else 1, **more) for i in range(total)]


def csv_file(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    return path
