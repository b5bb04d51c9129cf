"""Helpers of `test_report` and `test_report_content`."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

from cam_cli.outputs.folder import locked_folder

OUT = Path("camx-out")


PAGE = OUT / "report" / "index.html"


def content(page: Path = PAGE) -> dict[str, Any]:
    """The data of a page."""
    text = page.read_text()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def written(folder: Path, rows: list[dict[str, Any]], command: str = "explain") -> Path:
    """Writes a finished run with these rows."""
    with locked_folder(str(folder)) as out:
        out.begin({"command": command})
        out.append(rows)
    return folder


def row(image: str, **more: Any) -> dict[str, Any]:
    values = base64.b64encode(bytes([0, 255, 0, 0])).decode()
    shown = {"method": "gradcam", "layer": "l", "target_index": 3, "target_name": "cat", "target_prob": 0.5, "peak": 1.0, "area": 0.25,
             "center_x": 0.5, "center_y": 0.5, "border": 0.1, "entropy": 0.5, "box": [0, 0, 1, 1], "sketch": {"width": 2, "height": 2, "values": values}}  # fmt: skip
    top = [{"index": 3, "name": "cat", "prob": 0.5}]
    return {
        "image": image,
        "index": 0,
        "status": "ok",
        "error": "",
        "label": "",
        "width": 4,
        "height": 4,
        "top": top,
        "maps": [shown],
        **more,
    }


def sketch(*values: int, signed: bool = False) -> dict[str, Any]:
    """A sketch of one line of cells."""
    packed = base64.b64encode(bytes(values)).decode()
    return {"width": len(values), "height": 1, "values": packed} | ({"signed": True} if signed else {})
