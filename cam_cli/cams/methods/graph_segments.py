"""Segments of an image by the graph of its pixels (Felzenszwalb and Huttenlocher 2004), and connected parts."""

from __future__ import annotations

import numpy as np

#: Standard deviation and radius of the blur of an image before it is segmented, in pixels.
DEVIATION, RADIUS = 0.8, 3
#: The number of pixels for which the parameters of a segmentation are meant.
MEANT_FOR = 224 * 224


def segments(pixels: np.ndarray, scales: tuple[float, ...], least: int) -> list[np.ndarray]:
    """Returns the segment of each pixel of an image H×W×C, once for each scale: H×W int64, 0 to n − 1.

    Two segments are joined if an edge between them is no larger than the largest edge inside either, plus scale / 255
    divided by its number of pixels. Edges are colour differences of the image, scaled to [−1, 1] and slightly blurred.
    Segments smaller than `least` join a neighbour. scales and `least` are those for 224×224 pixels, and grow with the
    image.
    """
    height, width = pixels.shape[:2]
    share = height * width / MEANT_FOR
    low, high = pixels.min(), pixels.max()
    smooth = _smoothed((pixels - low) / max(high - low, 1e-30) * 2 - 1)
    ones, others = _neighbours(height, width)
    flat = smooth.reshape(height * width, -1)
    edges = np.sqrt(((flat[ones] - flat[others]) ** 2).sum(axis=1))
    order = edges.argsort(kind="stable")
    ones, others, edges = ones[order], others[order], edges[order]
    found = []
    for scale in scales:
        forest = _Forest(height * width)
        forest.join(ones, others, edges, scale / 255 * share)
        forest.join_small(ones, others, max(1, round(least * share)))
        found.append(forest.labels().reshape(height, width))
    return found


def components(labels: np.ndarray) -> np.ndarray:
    """Returns the connected parts of equal labels H×W: H×W int64, 0 to n − 1; neighbours share a side."""
    ones, others = _neighbours(*labels.shape, corners=False)
    same = labels.ravel()[ones] == labels.ravel()[others]
    forest = _Forest(labels.size)
    forest.join_small(ones[same], others[same], labels.size + 1)
    return forest.labels().reshape(labels.shape)


def _neighbours(height: int, width: int, *, corners: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Returns both ends of the edges between pixels that share a side, or with `corners` a corner."""
    index = np.arange(height * width).reshape(height, width)
    pairs = [(index[:, :-1], index[:, 1:]), (index[:-1], index[1:])]
    if corners:
        pairs += [(index[:-1, :-1], index[1:, 1:]), (index[1:, :-1], index[:-1, 1:])]
    first, second = (np.concatenate([pair[end].ravel() for pair in pairs]) for end in (0, 1))
    return first, second


def _smoothed(pixels: np.ndarray) -> np.ndarray:
    """Blurs an image H×W×C by a Gaussian, mirrored at its edges."""
    kernel = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / DEVIATION) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        around = [(RADIUS, RADIUS) if one == axis else (0, 0) for one in range(3)]
        padded = np.pad(pixels, around, mode="symmetric")
        size = pixels.shape[axis]
        pixels = sum(weight * padded.take(range(start, start + size), axis=axis) for start, weight in enumerate(kernel))
    return pixels


class _Forest:
    """Sets of pixels, each a tree of parents, with their sizes.

    Lists of Python, because single elements of an array are slow to read.
    """

    def __init__(self, count: int) -> None:
        self.parents, self.sizes = list(range(count)), [1] * count

    def join(self, ones: np.ndarray, others: np.ndarray, edges: np.ndarray, scale: float) -> None:
        """Joins sets along sorted edges, if the edge is within the limits of both."""
        parents, sizes = self.parents, self.sizes
        limits = [scale] * len(parents)
        for a, b, edge in zip(ones.tolist(), others.tolist(), edges.tolist()):
            while parents[a] != a:
                parents[a] = a = parents[parents[a]]
            while parents[b] != b:
                parents[b] = b = parents[parents[b]]
            if a != b and edge <= limits[a] and edge <= limits[b]:
                parents[b] = a
                sizes[a] += sizes[b]
                limits[a] = edge + scale / sizes[a]

    def join_small(self, ones: np.ndarray, others: np.ndarray, least: int) -> None:
        """Joins sets along edges, in their order, if one of them is smaller than `least`."""
        labels = self.labels()
        apart = labels[ones] != labels[others]
        parents, sizes = self.parents, self.sizes
        for a, b in zip(ones[apart].tolist(), others[apart].tolist()):
            while parents[a] != a:
                parents[a] = a = parents[parents[a]]
            while parents[b] != b:
                parents[b] = b = parents[parents[b]]
            if a != b and (sizes[a] < least or sizes[b] < least):
                parents[b] = a
                sizes[a] += sizes[b]

    def labels(self) -> np.ndarray:
        """Returns the set of each element, numbered from 0 in the order of their first elements."""
        roots = np.array(self.parents)
        while (roots[roots] != roots).any():
            roots = roots[roots]
        _, first, numbers = np.unique(roots, return_index=True, return_inverse=True)
        ranks = np.empty(len(first), np.int64)
        ranks[first.argsort()] = np.arange(len(first))
        found: np.ndarray = ranks[numbers.ravel()]
        return found
