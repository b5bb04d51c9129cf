"""Helpers of `test_evaluate` and `test_evaluate_command`."""

from __future__ import annotations

from pathlib import Path

import pytest

from cam_cli.evaluation.records import Localisation

from .journals import hill, map_of, row_of, run_of

SIZE = (200, 100)


#: A box around the hill at 0.25, 0.5 of an image of 200×100.
LEFT = (30, 30, 70, 70)


def boxes_file(path: Path, *lines: str) -> str:
    path.write_text("\n".join(("image,label,x0,y0,x1,y1", *lines)) + "\n")
    return str(path)


def box(image: str, label: str = "cat", edges: tuple[float, ...] = LEFT) -> str:
    return ",".join(map(str, (image, label, *edges)))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Forty images of a cat on the left. The maps of the first thirty point at it, the others to the right."""
    rows = [
        row_of(f"{i:02d}.jpg", [map_of(hill(0.25 if i < 30 else 0.75, 0.5), 0, SIZE)], attributes={"light": "day" if i % 2 else "night"})
        for i in range(40)
    ]  # fmt: skip
    return run_of(tmp_path / "out", rows)


@pytest.fixture
def truth(tmp_path: Path) -> str:
    return boxes_file(tmp_path / "truth.csv", *(box(f"{i:02d}.jpg") for i in range(40)))


def value(found: Localisation, metric: str, place: int = 0) -> float:
    return found.sets[place].whole.figures[metric][0].value
