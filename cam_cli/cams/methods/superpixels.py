"""Superpixels of an image: regions of nearly one colour and size, by SLIC (Achanta et al. 2012)."""

from __future__ import annotations

import heapq

import numpy as np

from .graph_segments import components

#: The weight of places against colours, and rounds until the superpixels converge.
COMPACTNESS, ROUNDS = 10.0, 10
#: The smallest size of a superpixel, as a share of the average.
LEAST = 0.25

_RGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def superpixels(pixels: np.ndarray, count: int) -> np.ndarray:
    """Returns the superpixel of each pixel of an image H×W×C in [0, 1]: H×W int64, 0 to n − 1, each one connected.

    k-means of colours and places, from the centres of a grid of `count` cells; a pixel joins a centre no further than a
    cell away. Three channels are converted to CIELAB, others are scaled to [0, 100]. Disconnected parts smaller than a
    quarter of a cell join their largest neighbour. Nothing is random.
    """
    height, width = pixels.shape[:2]
    cell = max(1.0, (height * width / count) ** 0.5)
    rows, columns = (max(1, round(side / cell)) for side in (height, width))
    colours = _lab(pixels) if pixels.shape[2] == 3 else pixels.clip(0, 1) * 100.0
    ys, xs = np.mgrid[:height, :width].astype(np.float64)
    # A pixel's colour, and its place in units in which a cell is as wide as the colours that it may span.
    points = np.concatenate([colours, np.stack([ys, xs], axis=2) * (COMPACTNESS / cell)], axis=2)
    starts = ((np.mgrid[:rows, :columns].reshape(2, -1).T + 0.5) * (height / rows, width / columns)).astype(int)
    centres = points[starts[:, 0], starts[:, 1]]
    labels = np.zeros((height, width), np.int64)
    for _ in range(ROUNDS):
        labels = _nearest(points, centres, cell)
        sizes = np.bincount(labels.ravel(), minlength=len(centres))
        for axis in range(points.shape[2]):
            sums = np.bincount(labels.ravel(), points[..., axis].ravel(), minlength=len(centres))
            centres[:, axis] = np.where(sizes > 0, sums / sizes.clip(1), centres[:, axis])
    return _connected(labels, LEAST * cell**2)


def _nearest(points: np.ndarray, centres: np.ndarray, cell: float) -> np.ndarray:
    """Returns the nearest centre of each pixel, among those no further than a cell in each direction."""
    height, width = points.shape[:2]
    best, labels = np.full((height, width), np.inf), np.zeros((height, width), np.int64)
    places = centres[:, -2:] * (cell / COMPACTNESS)
    for index, (centre, (y, x)) in enumerate(zip(centres, places)):
        window = tuple(
            slice(max(0, int(place - cell)), min(side, int(place + cell) + 2))
            for place, side in ((y, height), (x, width))
        )
        distance = ((points[window] - centre) ** 2).sum(axis=2)
        nearer = distance < best[window]
        best[window][nearer] = distance[nearer]
        labels[window][nearer] = index
    return labels


def _connected(labels: np.ndarray, least: float) -> np.ndarray:
    """Returns connected parts of labels, from 0 on; those smaller than `least` join their largest neighbour."""
    parts = components(labels)
    sizes = np.bincount(parts.ravel()).tolist()
    near: list[set[int]] = [set() for _ in sizes]
    for ones, others in ((parts[1:], parts[:-1]), (parts[:, 1:], parts[:, :-1])):
        for one, other in set(zip(ones[ones != others].tolist(), others[ones != others].tolist())):
            near[one].add(other)
            near[other].add(one)
    joined = list(range(len(sizes)))
    smallest = [(size, part) for part, size in enumerate(sizes)]
    heapq.heapify(smallest)
    while smallest:
        size, part = heapq.heappop(smallest)
        if size >= least or not near[part]:
            break
        if size != sizes[part]:
            continue  # it has grown, and has another entry
        target = max(near[part], key=lambda one: (sizes[one], -one))
        joined[part], sizes[part] = target, 0
        for one in near[part]:
            near[one].discard(part)
        others_of_part = near[part] - {target}
        near[target] |= others_of_part
        for one in others_of_part:
            near[one].add(target)
        sizes[target] += size
        heapq.heappush(smallest, (sizes[target], target))
    roots = np.array(joined)
    while (roots[roots] != roots).any():
        roots = roots[roots]
    found: np.ndarray = np.unique(roots[parts], return_inverse=True)[1].reshape(parts.shape)
    return found


def _lab(pixels: np.ndarray) -> np.ndarray:
    """Returns CIELAB (D65) colours of sRGB ones H×W×3 in [0, 1]."""
    rgb = pixels.clip(0, 1).astype(np.float64)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ (_RGB_TO_XYZ / _RGB_TO_XYZ.sum(axis=1, keepdims=True)).T
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    found: np.ndarray = np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=2
    )
    return found
