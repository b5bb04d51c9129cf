"""Figures of the maps of a run, as docs/methods.md has them of trained networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.map_shapes import correlation, ranks, ring, shape_of, shapes_of

EXPLAINED = Path(__file__).parent / "fixtures" / "0.1.0" / "explain"


def test_the_figures_of_a_map_that_a_reader_can_check() -> None:
    values = np.array([[0, 0, 0, 0], [0, 4, -2, 0], [0, 0, 0, 0], [2, 0, 0, 0]], np.float32)
    found = shape_of([values, values**3], values)
    assert found.flatness == pytest.approx(6 / 16 / 4)  # positive values 4 and 2, 16 cells, peak 4
    assert found.border == pytest.approx((2 / 12) / (4 / 4))  # 12 cells of the ring, 4 inside
    assert not found.peak_in_ring
    assert found.correlation == pytest.approx(1)
    assert found.between_classes == pytest.approx(1)  # the order of the values is the same
    assert shape_of([5 - values], values).correlation == pytest.approx(-1)
    assert np.isnan(shape_of([values], None)[-2:]).all()
    assert shape_of([np.eye(4, dtype=np.float32)[::-1]], None).peak_in_ring
    assert ring(4, 4).sum() == 12


def test_equal_values_share_their_rank() -> None:
    assert ranks(np.array([[3.0, 1.0], [1.0, 7.0]])).tolist() == [[2, 0.5], [0.5, 3]]
    assert np.isnan(correlation(np.ones((2, 2)), np.eye(2)))


def test_the_figures_of_a_finished_run() -> None:
    found, blank, share = shapes_of(EXPLAINED)
    assert list(found) == ["gradcam"]
    assert len(found["gradcam"]) + blank["gradcam"] == 4  # and a file that is no image
    assert all(0 < one.flatness <= 1 and one.correlation > 0.999 for one in found["gradcam"])
    assert share == pytest.approx(ring(*np.load(next(EXPLAINED.rglob("*.npy"))).shape).mean())
