"""Superpixels and segments: each pixel in one, each one connected, along the edges of colours."""

from __future__ import annotations

import numpy as np
import pytest

from cam_cli.cams.methods.graph_segments import components, segments
from cam_cli.cams.methods.superpixels import superpixels

SCALES = (50.0, 100.0, 150.0, 250.0, 500.0, 1200.0)


def scene(height: int = 60, width: int = 90, noise: float = 0.02) -> tuple[np.ndarray, np.ndarray]:
    """Three areas of one colour each with a little noise, H×W×3 in [0, 1], and the area of each pixel."""
    area = np.zeros((height, width), int)
    area[height // 3 : 2 * height // 3, width // 4 : width // 2] = 1
    area[:, 3 * width // 4 :] = 2
    colours = np.array([[0.2, 0.2, 0.25], [0.9, 0.1, 0.1], [0.1, 0.6, 0.2]])
    drawn = colours[area] + np.random.default_rng(0).normal(0, noise, (height, width, 3))
    return drawn.clip(0, 1), area


def flooded(labels: np.ndarray) -> int:
    """The number of connected parts of equal labels, by flood fill."""
    left, count = np.ones(labels.shape, bool), 0
    while left.any():
        count += 1
        pending = [tuple(np.argwhere(left)[0])]
        left[pending[0]] = False
        while pending:
            y, x = pending.pop()
            for near in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                inside = 0 <= near[0] < labels.shape[0] and 0 <= near[1] < labels.shape[1]
                if inside and left[near] and labels[near] == labels[y, x]:
                    left[near] = False
                    pending.append(near)
    return count


def purity(labels: np.ndarray, area: np.ndarray) -> float:
    """The share of the pixels that lie in the main area of their segment."""
    return sum(np.bincount(area[labels == one]).max() for one in np.unique(labels)) / labels.size


def test_superpixels_are_connected_even_and_along_edges() -> None:
    pixels, area = scene()
    labels = superpixels(pixels, 24)
    sizes = np.bincount(labels.ravel())
    assert len(sizes) == labels.max() + 1 == flooded(labels)
    assert 16 <= len(sizes) <= 32
    assert sizes.min() >= 0.25 * labels.size / 24
    assert purity(labels, area) > 0.995
    assert np.array_equal(labels, superpixels(pixels, 24))


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 7, 3), (5, 4, 1), (30, 20, 1), (30, 20, 5)])
def test_superpixels_of_small_and_other_images(shape: tuple[int, int, int]) -> None:
    labels = superpixels(np.random.default_rng(0).random(shape), 50)
    assert labels.shape == shape[:2]
    assert sorted(set(labels.ravel().tolist())) == list(range(labels.max() + 1))


def test_superpixels_of_one_colour_are_a_grid() -> None:
    labels = superpixels(np.full((40, 40, 3), 0.5), 16)
    assert np.bincount(labels.ravel()).tolist() == pytest.approx([100] * 16, abs=25)


def test_segments_follow_areas_and_grow_with_the_scale() -> None:
    pixels, area = scene(224, 224)
    found = segments(pixels, SCALES, 150)
    assert all(one.shape == area.shape for one in found)
    assert all(purity(one, area) > 0.99 for one in found)
    counts = [one.max() + 1 for one in found]
    assert 20 > counts[0] > counts[-1] >= 3


def test_segments_do_not_depend_on_brightness_and_are_never_too_small() -> None:
    pixels = np.random.default_rng(1).random((224, 224, 3))
    found, dark = segments(pixels, SCALES[:2], 150), segments(pixels * 0.25 + 0.5, SCALES[:2], 150)
    for one, other in zip(found, dark):
        assert np.array_equal(one, other)
        assert np.bincount(one.ravel()).min() >= 150


def test_components_are_those_of_a_flood() -> None:
    labels = np.random.default_rng(0).integers(0, 2, (20, 30))
    assert components(labels).max() + 1 == flooded(labels)


@pytest.mark.extras
@pytest.mark.parametrize("scale", SCALES)
def test_segments_are_those_of_scikit_image(scale: float) -> None:
    """224×224 pixels with blotches and noise, scaled to [−1, 1] as in XRAI."""
    library = pytest.importorskip("skimage.segmentation")
    draw = np.random.default_rng(3)
    blotches = draw.random((14, 14, 3)).repeat(16, 0).repeat(16, 1)
    pixels = 0.8 * blotches + 0.2 * draw.random((224, 224, 3))
    (found,) = segments(pixels, (scale,), 150)
    low, high = pixels.min(), pixels.max()
    theirs = library.felzenszwalb((pixels - low) / (high - low) * 2 - 1, scale=scale, sigma=0.8, min_size=150)
    pairs = set(zip(found.ravel().tolist(), theirs.ravel().tolist()))
    assert len(pairs) == found.max() + 1 == theirs.max() + 1
