"""Components and outlines of maps: against flood fill, SciPy and contourpy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cam_cli.images.geometry import Frame
from cam_cli.maps.components import components, labelled
from cam_cli.maps.contours import parts, simplified
from cam_cli.maps.heatmap import placed


def flooded(mask: np.ndarray) -> list[set[tuple[int, int]]]:
    """The 8-connected components of a mask, by flood fill."""
    left = {(int(y), int(x)) for y, x in zip(*np.nonzero(mask))}
    found = []
    while left:
        queue, part = [min(left)], set[tuple[int, int]]()
        while queue:
            y, x = queue.pop()
            if (y, x) in left:
                left.discard((y, x))
                part.add((y, x))
                queue += [(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        found.append(part)
    return found


def box_of(part: set[tuple[int, int]]) -> tuple[int, int, int, int]:
    ys, xs = zip(*part)
    return min(xs), min(ys), max(xs) + 1, max(ys) + 1


def smooth(seed: int, width: int, height: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    cells = rng.random((rng.integers(1, 8), rng.integers(1, 8))).astype(np.float32)
    return placed(cells, Frame(0, 0, width, height), width, height).astype(np.float64)


@pytest.mark.parametrize("seed", range(60))
def test_components_above_all_thresholds_are_those_of_a_flood_fill(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 13, 2)
    heat = rng.random((height, width)) if seed % 2 else smooth(seed, width, height)
    thresholds = np.array([-0.1, 0.25, 0.5, 0.8, 1.0])
    found = components(heat, thresholds)
    ours = sorted((int(t), *map(int, b), int(a)) for t, b, a in zip(found.threshold, found.boxes, found.areas))
    slow = sorted((t, *box_of(part), len(part)) for t, tau in enumerate(thresholds) for part in flooded(heat > tau))
    assert ours == slow
    assert (np.diff(found.threshold) >= 0).all()


def test_labels_number_the_components_in_reading_order() -> None:
    mask = np.array([[0, 0, 1, 0, 1], [1, 0, 0, 1, 0], [1, 1, 0, 0, 0]], bool)
    numbers, count = labelled(mask)
    assert count == 2
    assert numbers.tolist() == [[0, 0, 1, 0, 1], [2, 0, 0, 1, 0], [2, 2, 0, 0, 0]]


def test_a_ramp_is_cut_between_the_pixels() -> None:
    heat = np.tile(np.array([0.0, 0.25, 0.75, 1.0]), (3, 1))
    (part,) = parts(heat, 0.5)
    # Halfway between the centres 1.5 and 2.5 on the left; the edges of the image elsewhere.
    assert part.box == (2.0, 0.0, 4.0, 3.0)
    assert part.area == pytest.approx(6.0)
    assert part.peak == 1.0
    assert part.at == (3.5, 1.5)


def test_a_hole_is_taken_off_the_area_and_not_of_the_outline() -> None:
    heat = np.ones((7, 7))
    heat[3, 3] = 0
    (part,) = parts(heat, 0.5)
    assert part.box == (0.0, 0.0, 7.0, 7.0)
    # The hole is the diamond with half diagonals of half a pixel.
    (hole,) = part.holes
    assert sorted(map(tuple, hole.tolist())) == [(3.0, 3.5), (3.5, 3.0), (3.5, 4.0), (4.0, 3.5)]
    assert part.area == pytest.approx(49 - 0.5)


def test_nothing_above_the_threshold_has_no_parts() -> None:
    assert parts(np.zeros((4, 4)), 0.0) == []
    assert parts(np.full((4, 4), 0.3), 0.3) == []
    assert parts(np.zeros((0, 0)), 0.1) == []


@pytest.mark.parametrize("seed", range(40))
def test_parts_are_the_components_and_their_boxes_lie_within_half_a_pixel(seed: int) -> None:
    rng = np.random.default_rng(1000 + seed)
    height, width = map(int, rng.integers(2, 30, 2))
    heat, tau = smooth(seed, width, height), float(rng.uniform(0.1, 0.9))
    found = components(heat, np.array([tau]))
    ours = parts(heat, tau)
    assert len(ours) == len(found.boxes)
    assert [part.outline.tolist() for part in parts(heat, tau, most=1)] == [part.outline.tolist() for part in ours[:1]]
    for box in found.boxes:
        assert min(np.abs(np.array(part.box) - box).max() for part in ours) <= 0.5


@pytest.mark.extras
@pytest.mark.parametrize("seed", range(60))
def test_outlines_have_the_areas_of_contourpy(seed: int) -> None:
    """Except where two parts meet at a corner: one part here, possibly two in contourpy."""
    contourpy = pytest.importorskip("contourpy")
    rng = np.random.default_rng(2000 + seed)
    height, width = map(int, rng.integers(2, 40, 2))
    heat, tau = smooth(seed, width, height), float(rng.uniform(0.1, 0.9))
    above = heat > tau
    crossed = (
        (above[:-1, :-1] == above[1:, 1:]) & (above[1:, :-1] == above[:-1, 1:]) & (above[:-1, :-1] != above[1:, :-1])
    )
    if crossed.any():
        pytest.skip("parts that meet at a corner")
    x = np.concatenate([[0], np.arange(width) + 0.5, [width]])
    y = np.concatenate([[0], np.arange(height) + 0.5, [height]])
    generator = contourpy.contour_generator(
        x, y, np.pad(heat, 1, mode="edge"), fill_type=contourpy.FillType.OuterOffset
    )
    theirs = []
    for points, offsets in zip(*generator.filled(tau, np.inf)):
        rings = [points[a:b] for a, b in itertools.pairwise(offsets)]
        theirs.append(sum(0.5 * (r[:, 0] @ np.roll(r[:, 1], -1) - r[:, 1] @ np.roll(r[:, 0], -1)) for r in rings))
    assert sorted(part.area for part in parts(heat, tau)) == pytest.approx(sorted(theirs), abs=1e-9)


@pytest.mark.parametrize("tolerance", [0.05, 0.25, 1.0])
def test_a_simplified_outline_is_nowhere_further_off_than_the_tolerance(tolerance: float) -> None:
    (part, *_) = parts(smooth(5, 60, 50), 0.5)
    few = simplified(part.outline, tolerance)
    assert 3 <= len(few) < len(part.outline)
    ends = np.roll(few, -1, axis=0)
    for point in part.outline:
        share = np.clip(((point - few) * (ends - few)).sum(1) / ((ends - few) ** 2).sum(1), 0, 1)
        nearest = few + share[:, None] * (ends - few)
        assert np.hypot(*(nearest - point).T).min() <= tolerance + 1e-9


def test_a_thousand_thresholds_are_one_call() -> None:
    """As many as in wsolevaluation."""
    heat, thresholds = smooth(3, 64, 64), np.arange(0, 1, 0.001)
    found = components(heat, thresholds)
    assert len(np.unique(found.threshold)) == (thresholds < heat.max()).sum()
