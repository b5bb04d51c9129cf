"""Helpers of `test_export`, `test_export_formats` and `test_export_command`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cam_cli.export.findings import findings
from cam_cli.export.options import ExportOptions
from cam_cli.export.write import write_formats

from .journals import failed_row, hill, map_of, row_of, run_of

SIZE = (200, 100)


#: exp(−r²/2) = 0.5 at this many standard deviations.
HALF = float(np.sqrt(2 * np.log(2)))


def two_hills() -> np.ndarray:
    """A large hill on the left and a small one on the right."""
    return hill(0.3, 0.5, 0.1) + 0.8 * hill(0.8, 0.5, 0.05)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    rows = [
        row_of("a.jpg", [map_of(two_hills(), 0, SIZE)]),
        row_of("b c/ü.png", [map_of(hill(0.5, 0.4), 1, SIZE), map_of(hill(0.2, 0.2), 2, SIZE)]),
        failed_row("broken.jpg"),
        row_of("blank.jpg", [map_of(None, 0, SIZE)], status="blank"),
    ]
    return run_of(tmp_path / "out", rows)


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A run without an explained image."""
    return run_of(tmp_path / "empty", [failed_row("broken.jpg")])


def exported(out: Path, name: str, folder: Path, **options: Any) -> Path:
    options = {"threshold": "0.5", **options}
    write_formats(findings(str(out), ExportOptions(format=(name,), **options), "9.9"), str(folder))
    return folder
