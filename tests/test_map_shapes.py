"""Figures of the shapes of maps, as docs/methods.md has them of a trained transformer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.map_shapes import ring, shape_of, shapes_of

FIXTURES = Path(__file__).parent / "fixtures"


def test_the_shape_of_a_map_that_a_reader_can_check() -> None:
    values = np.array([[0, 0, 0, 0], [0, 4, -2, 0], [0, 0, 0, 0], [2, 0, 0, 0]], np.float32)
    found = shape_of(values, values)
    assert found.flatness == pytest.approx(6 / 16 / 4)  # positive values 4 and 2, 16 cells, peak 4
    assert found.border == pytest.approx((2 / 12) / (4 / 4))  # 12 cells of the ring, 4 inside
    assert not found.peak_in_ring
    assert found.correlation == pytest.approx(1)
    assert shape_of(-values + 5, values).correlation == pytest.approx(-1)
    assert shape_of(np.eye(4, dtype=np.float32)[::-1], None).peak_in_ring
    assert ring(4, 4).sum() == 12


def test_the_shapes_of_a_finished_run() -> None:
    found, blank, share = shapes_of(FIXTURES / "0.1.0" / "explain")
    assert list(found) == ["gradcam"]
    assert len(found["gradcam"]) + blank["gradcam"] == 4  # and a file that is no image
    assert all(0 < one.flatness <= 1 and one.correlation > 0.999 for one in found["gradcam"])
    assert share == pytest.approx(ring(*np.load(next((FIXTURES / "0.1.0" / "explain").rglob("*.npy"))).shape).mean())
