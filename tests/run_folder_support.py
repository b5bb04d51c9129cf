"""Helpers of `test_run_folder`, `test_run_folder_files` and `test_results_page`."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cam_cli.outputs.run_folder import RunFolder

from .damaged import EXPLAINED, row, written

ROOT = Path(__file__).parents[1]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run with one overlay, beside an image that does not belong to it."""
    out = written(tmp_path / "out", [row()], EXPLAINED)
    (out / "overlays").mkdir()
    for path in (tmp_path / "private.png", out / "overlays" / "a.jpg.png"):
        Image.new("RGB", (8, 8), "red").save(path)
    return RunFolder.read(str(out))
