"""Outlines of the parts of a heatmap above a threshold: closed polygons with subpixel corners. Uses numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .components import labelled

#: Sides of a cell between four pixel centres.
_TOP, _RIGHT, _BOTTOM, _LEFT = range(4)
#: For each pattern of corners above the threshold (top left 1, top right 2, bottom right 4, bottom left 8) the segments
#: from side to side, with what is above on their left as seen on a screen. Opposite corners are connected.
_SEGMENTS: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((_LEFT, _TOP),),
    2: ((_TOP, _RIGHT),),
    3: ((_LEFT, _RIGHT),),
    4: ((_RIGHT, _BOTTOM),),
    5: ((_RIGHT, _TOP), (_LEFT, _BOTTOM)),
    6: ((_TOP, _BOTTOM),),
    7: ((_LEFT, _BOTTOM),),
    8: ((_BOTTOM, _LEFT),),
    9: ((_BOTTOM, _TOP),),
    10: ((_TOP, _LEFT), (_BOTTOM, _RIGHT)),
    11: ((_BOTTOM, _RIGHT),),
    12: ((_RIGHT, _LEFT),),
    13: ((_RIGHT, _TOP),),
    14: ((_TOP, _LEFT),),
}


@dataclass(frozen=True)
class Part:
    """One connected part of a map above a threshold.

    outline: n×2, corners x, y of its outer edge in pixels (the centre of the first pixel is 0.5, 0.5), each corner
    once. holes: inner edges. area: pixels² between them. peak: largest value. at: its x, y (mean of several).
    """

    outline: np.ndarray
    holes: tuple[np.ndarray, ...]
    area: float
    peak: float
    at: tuple[float, float]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the outline."""
        (left, top), (right, bottom) = self.outline.min(0), self.outline.max(0)
        return float(left), float(top), float(right), float(bottom)


def parts(heat: np.ndarray, threshold: float, *, most: int | None = None) -> list[Part]:
    """Connected parts of `heat` h×w > `threshold` (0 or more), largest first, at most `most`.

    Values are interpolated linearly between pixel centres, and constant from the outer centres to the edge of the
    image. Pixels that touch at a corner are connected, as in `components`.
    """
    if not heat.size or not (heat > threshold).any():
        return []
    number, count = labelled(heat > threshold)
    sizes = np.bincount(number.ravel(), minlength=count + 1)[1:]
    kept = np.argsort(-sizes, kind="stable")[:most] + 1
    if len(kept) < count:
        number = np.where(np.isin(number, kept), number, 0)
    # Two rings around the image: one with the values of its outer pixels, and one of −∞, which closes the outline.
    field = np.pad(np.pad(heat.astype(np.float64), 1, mode="edge"), 1, constant_values=-np.inf)
    nodes = np.pad(np.pad(number, 1, mode="edge"), 1)
    areas, outlines = np.zeros(count + 1), dict[int, np.ndarray]()
    holes: dict[int, list[np.ndarray]] = {part: [] for part in kept.tolist()}
    for points, part in _loops(field, nodes, threshold):
        area = _signed_area(points)
        areas[part] += area
        if area > 0:
            outlines[part] = points
        else:
            holes[part].append(points)
    return [
        Part(outlines[part], tuple(holes[part]), float(areas[part]), *_peak(heat, number == part))
        for part in kept.tolist()
    ]


def _peak(heat: np.ndarray, mask: np.ndarray) -> tuple[float, tuple[float, float]]:
    largest = heat[mask].max()
    rows, columns = np.nonzero(mask & (heat == largest))
    return float(largest), (float(columns.mean() + 0.5), float(rows.mean() + 0.5))


def _signed_area(points: np.ndarray) -> float:
    """Area of a closed polygon; negative for a hole."""
    x, y = points[:, 0], points[:, 1]
    return 0.5 * float(np.dot(y, np.roll(x, -1)) - np.dot(x, np.roll(y, -1)))


def _positions(pixels: int) -> np.ndarray:
    """Positions of the columns (or rows) of the padded field in the image."""
    inner = np.arange(pixels) + 0.5
    return np.concatenate([[0.0, 0.0], inner, [pixels, pixels]])


def _loops(field: np.ndarray, nodes: np.ndarray, threshold: float) -> list[tuple[np.ndarray, int]]:
    """All closed edges: corners n×2 (x, y) in pixels, and the part of each."""
    width = field.shape[1]
    above = nodes > 0
    pattern = (above[:-1, :-1] + 2 * above[:-1, 1:] + 4 * above[1:, 1:] + 8 * above[1:, :-1]).ravel()
    mixed = np.flatnonzero((pattern > 0) & (pattern < 15))
    pattern, (row, column) = pattern[mixed], np.divmod(mixed, width - 1)
    follower: dict[int, int] = {}
    for case, segments in _SEGMENTS.items():
        here = pattern == case
        for start, end in segments:
            sides = (_side(side, row[here], column[here], width).tolist() for side in (start, end))
            follower.update(zip(*sides))
    loops = []
    while follower:
        first, current = follower.popitem()
        loop = [first]
        while current != first:
            loop.append(current)
            current = follower.pop(current)
        loops.append(_corners(np.array(loop), field, nodes, threshold))
    return loops


def _side(side: int, row: np.ndarray, column: np.ndarray, width: int) -> np.ndarray:
    """Number of a side of cells: twice that of its first node, plus one for a vertical side."""
    first = (row + (side == _BOTTOM)) * width + column + (side == _RIGHT)
    number: np.ndarray = 2 * first + (side in (_LEFT, _RIGHT))
    return number


def _corners(sides: np.ndarray, field: np.ndarray, nodes: np.ndarray, threshold: float) -> tuple[np.ndarray, int]:
    """Crossing of the threshold on each side, and the part inside."""
    height, width = field.shape
    vertical, node = sides % 2, sides // 2
    row, column = node // width, node % width
    other_row, other_column = row + vertical, column + 1 - vertical
    here, there = field[row, column], field[other_row, other_column]
    # Outside the image the field is −∞, so the crossing lies at the edge, where both nodes are.
    with np.errstate(invalid="ignore"):
        share = np.where(np.isfinite(here) & np.isfinite(there), (threshold - here) / (there - here), 0.0)
    xs, ys = _positions(width - 4), _positions(height - 4)
    x = xs[column] + share * (xs[other_column] - xs[column])
    y = ys[row] + share * (ys[other_row] - ys[row])
    points = np.stack([x, y], axis=1)
    part = max(int(nodes[row[0], column[0]]), int(nodes[other_row[0], other_column[0]]))
    # At the corners of the image several crossings share a place.
    distinct = (points != np.roll(points, 1, axis=0)).any(1)
    return points[distinct] if distinct.any() else points, part


def simplified(points: np.ndarray, tolerance: float) -> np.ndarray:
    """Simplifies a closed polygon n×2; dropped corners lie within `tolerance` of the new edges.

    Douglas–Peucker on all edges at once, from the first corner and the one furthest from it. Keeps at least 3 corners.
    """
    if len(points) <= 3 or tolerance <= 0:
        return points
    closed = np.concatenate([points, points[:1]])
    kept = np.array([0, int(((points - points[0]) ** 2).sum(1).argmax()), len(points)])
    while True:
        # The edge of each corner, and of each edge the corner that is furthest from it.
        edge = np.repeat(np.arange(len(kept) - 1), np.diff(kept))
        distance = _distance(points, closed[kept[edge]], closed[kept[edge + 1]])
        largest = np.maximum.reduceat(distance, kept[:-1])
        far = np.flatnonzero((distance == largest[edge]) & (distance > tolerance))
        if not len(far):
            break
        kept = np.union1d(kept, far[np.unique(edge[far], return_index=True)[1]])
    return points[kept[:-1]] if len(kept) > 3 else points


def _distance(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Distance of each point n×2 from its own line segment start–end."""
    along = end - start
    length = np.maximum((along**2).sum(1), 1e-300)
    share = np.clip(((points - start) * along).sum(1) / length, 0, 1)
    distance: np.ndarray = np.sqrt(((start + share[:, None] * along - points) ** 2).sum(1))
    return distance
