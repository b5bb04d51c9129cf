"""Turns a raw map on the network's grid into a heatmap on the image."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from ..images.geometry import Frame

#: Brightness of the part outside the frame in overlays.
UNSEEN = 0.4


#: Least and largest share of a scale and a peak that is a float32.
_TINY, _HUGE = 1e-37, 3e38
#: Maps on the pixels are shown up to this percentile: a few pixels would hide all others (Smilkov et al. 2017).
_FINE_PEAK = 99.0


def normalised(
    values: np.ndarray, *, two_sided: bool = False, fine: bool = False, scale: float | None = None
) -> np.ndarray | None:
    """Returns the positive part of a raw map h×w divided by its peak: float32 in [0, 1]; zero stays zero.

    two_sided: both signs, divided by the largest absolute value, in [−1, 1]. fine: a map on the pixels, whose 99th
    percentile is its peak. scale: a raw value above 0 to divide by in place of the peak: that of the strongest of
    several maps. None for a map that is not finite, or has no value above 0 (with two_sided, none other than 0).
    """
    if not np.isfinite(values).all():
        return None
    shown = values.astype(np.float32) if two_sided else np.maximum(values, 0.0).astype(np.float32)
    size = np.abs(shown)
    largest = float(size.max())
    if largest <= 0:
        return None
    peak = scale or (float(np.percentile(size, _FINE_PEAK)) if fine else largest) or largest
    # In two steps: the inverse of a tiny peak would not be finite.
    heat: np.ndarray = np.clip(
        (shown / np.float32(largest)) / np.float32(min(max(peak / largest, _TINY), _HUGE)), -1.0, 1.0
    )
    return heat


def placed(heat: np.ndarray, frame: Frame, width: int, height: int, *, inside_only: bool = False) -> np.ndarray:
    """Enlarges a heatmap h×w in [0, 1] (or [−1, 1]) onto its place in an image of `width`×`height`: float32.

    frame: the part of the image that the map covers, in its pixels; outside it the result is 0. inside_only: only the
    pixels of `pixels_inside`. Cubic interpolation (Keys 1981, a = −1/2) between the centres of the grid cells.
    """
    rows = interpolation(heat.shape[0], frame.top, frame.bottom, height)
    columns = interpolation(heat.shape[1], frame.left, frame.right, width)
    if inside_only:
        inside = pixels_inside(frame, width, height)
        rows, columns = rows[inside[0]], columns[inside[1]]
    # Not `@`: the threads of a BLAS library are slower here, and compete with the network for cores.
    across = np.ascontiguousarray(columns.T)
    enlarged: np.ndarray = np.einsum("ri,ic->rc", np.einsum("ri,ij->rj", rows, heat), across)
    # Cubic interpolation overshoots.
    return np.clip(enlarged, -1.0 if heat.min() < 0 else 0.0, 1.0, out=enlarged)


def pixels_inside(frame: Frame, width: int, height: int) -> tuple[slice, slice]:
    """Returns the rows and columns of the pixels with centres inside the frame, which the network sees."""
    rows = slice(max(0, math.ceil(frame.top - 0.5)), min(height, math.ceil(frame.bottom - 0.5)))
    columns = slice(max(0, math.ceil(frame.left - 0.5)), min(width, math.ceil(frame.right - 0.5)))
    return rows, columns


@lru_cache(64)
def interpolation(cells: int, start: float, stop: float, pixels: int) -> np.ndarray:
    """Returns the matrix pixels×cells that interpolates grid cells spanning start…stop at pixel centres; 0 outside.

    Read-only, because images of one size share it.
    """
    centres = np.arange(pixels, dtype=np.float32) + np.float32(0.5)
    positions = (centres - start) * np.float32(cells / (stop - start)) - np.float32(0.5)
    padded = _cubic(positions[:, None] - np.arange(-2, cells + 2, dtype=np.float32))
    matrix = padded[:, 2:-2].copy()
    matrix[:, 0] += padded[:, :2].sum(1)
    matrix[:, -1] += padded[:, -2:].sum(1)
    matrix[(centres < start) | (centres >= stop)] = 0.0
    matrix.flags.writeable = False
    return matrix


def _cubic(distance: np.ndarray) -> np.ndarray:
    x = np.abs(distance)
    return np.where(x <= 1, 1.5 * x**3 - 2.5 * x**2 + 1, np.where(x < 2, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2, 0.0))
