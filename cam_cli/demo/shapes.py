"""Outlines: smooth closed curves, tapered strokes and boxes as N×2 arrays of x, y (y points down)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Colour = tuple[float, float, float]
Pairs = Sequence[tuple[float, float]] | Points


@dataclass(frozen=True)
class Part:
    """One filled outline of a drawing, painted over the parts before it.

    ``outline`` is N×2 in drawing units, ``fill`` is RGB in 0..255. ``pattern`` (0..1) is the strength of the coat
    pattern on this part, ``shade`` (0 = flat, 1 = rounded) that of the light.
    """

    outline: Points
    fill: Colour
    pattern: float = 0.0
    shade: float = 1.0


def spline(points: Pairs, closed: bool = True, steps: int = 7) -> Points:
    """Catmull-Rom curve through ``points``; returns (steps × segments)×2 samples."""
    p = np.asarray(points, dtype=np.float64)
    if closed:
        a, b, c, d = np.roll(p, 1, 0), p, np.roll(p, -1, 0), np.roll(p, -2, 0)
    else:
        full = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
        a, b, c, d = full[:-3], full[1:-2], full[2:-1], full[3:]
    t = np.linspace(0.0, 1.0, steps, endpoint=False)[None, :, None]
    a, b, c, d = (q[:, None, :] for q in (a, b, c, d))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    flat: Points = curve.reshape(-1, 2)
    return flat if closed else np.vstack([flat, p[-1:]])


def symmetric(right: Pairs, steps: int = 7) -> Points:
    """Closed curve from its right half (top to bottom); the left half is the mirror image."""
    half = np.asarray(right, dtype=np.float64)
    left = half[::-1] * (-1.0, 1.0)
    keep = np.abs(left[:, 0]) > 1e-9
    return spline(np.vstack([half, left[keep]]), steps=steps)


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0.0, corners: int = 30) -> Points:
    """Ellipse with radii ``rx``, ``ry`` turned by ``turn`` radians."""
    t = np.linspace(0.0, 2 * np.pi, corners, endpoint=False)
    c, s = np.cos(turn), np.sin(turn)
    u, v = rx * np.cos(t), ry * np.sin(t)
    return np.stack([x + c * u - s * v, y + s * u + c * v], axis=1)


def stroke(points: Pairs, widths: Sequence[float], steps: int = 6) -> Points:
    """Tapered tube along a smooth open curve, with round ends; ``widths`` are full widths along it."""
    line = spline(points, closed=False, steps=steps)
    way = np.linspace(0.0, 1.0, len(line))
    half = np.interp(way, np.linspace(0.0, 1.0, len(widths)), widths)[:, None] / 2
    tangent = np.gradient(line, axis=0)
    tangent /= np.maximum(np.hypot(tangent[:, 0], tangent[:, 1]), 1e-9)[:, None]
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    bow = np.linspace(np.pi / 2, -np.pi / 2, 7)[1:-1, None]
    tip = line[-1] + half[-1] * (np.sin(bow) * normal[-1] + np.cos(bow) * tangent[-1])
    start = line[0] - half[0] * (np.sin(bow) * normal[0] + np.cos(bow) * tangent[0])
    return np.vstack([line + half * normal, tip, (line - half * normal)[::-1], start])


def corners(points: Pairs) -> Points:
    """Straight-sided outline through ``points``."""
    return np.asarray(points, dtype=np.float64)


def box(x0: float, y0: float, x1: float, y1: float, rounding: float = 0.0) -> Points:
    """Axis-aligned box, its corners rounded with radius ``rounding``."""
    if rounding <= 0:
        return corners([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    r = min(rounding, abs(x1 - x0) / 2, abs(y1 - y0) / 2)
    t = np.linspace(0.0, np.pi / 2, 5)
    arc = np.stack([np.cos(t), np.sin(t)], axis=1) * r
    turned = [(arc, x1 - r, y1 - r), (arc[::-1] * (-1, 1), x0 + r, y1 - r)]
    turned += [(-arc, x0 + r, y0 + r), (arc[::-1] * (1, -1), x1 - r, y0 + r)]
    return np.vstack([a + (x, y) for a, x, y in turned])


def moved(
    outline: Points, x: float = 0.0, y: float = 0.0, scale: float = 1.0, turn: float = 0.0, flip: bool = False
) -> Points:
    """``outline`` mirrored (if ``flip``), scaled, turned by ``turn`` radians, then shifted by (x, y)."""
    c, s = np.cos(turn) * scale, np.sin(turn) * scale
    source = outline * (-1.0, 1.0) if flip else outline
    placed: Points = source @ np.array([[c, s], [-s, c]]) + (x, y)
    return placed


def placed(
    parts: Iterable[Part],
    x: float = 0.0,
    y: float = 0.0,
    scale: float = 1.0,
    turn: float = 0.0,
    flip: bool = False,
) -> list[Part]:
    """Every part moved as by :func:`moved`."""
    return [replace(part, outline=moved(part.outline, x, y, scale, turn, flip)) for part in parts]
