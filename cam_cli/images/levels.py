"""Scales 16-bit, 32-bit and float levels to bytes. Type and content decide which levels become black and white."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .options import Levels

#: Largest levels of 8, 10, 12 and 16 bits.
_TOPS = (255.0, 1023.0, 4095.0, 65535.0)
#: Levels that programs write for missing values without a tag.
_SENTINELS = (-9999.0, -99999.0, -32768.0, -32767.0, -3.4028234663852886e38, 3.4028234663852886e38)
#: Percentiles of the spread. The extremes are outliers if they lie this many times further apart.
_USUAL = (1.0, 99.0)
_FAR = 4.0
#: Percentiles are computed from at most about this many levels.
_SAMPLE = 1 << 20


class Scaled(NamedTuple):
    """Scaled levels.

    pixels: uint8 in the shape of the levels. low, high: levels that became 0 and 255. nodata: level of missing values,
    which became 0.
    """

    pixels: np.ndarray
    low: float
    high: float
    nodata: float | None = None


def eight_bit(values: np.ndarray, levels: Levels, nodata: float | None = None) -> Scaled:
    """Converts levels of any type to bytes, with one scale for all bands. nodata: level of missing values in the file.

    Non-finite levels become 0. Bytes stay unchanged.
    """
    if values.dtype == np.uint8:
        return Scaled(values, 0.0, 255.0)
    if values.dtype == np.bool_:
        return Scaled(values.astype(np.uint8) * np.uint8(255), 0.0, 1.0)
    if levels.kind == "clip":
        return Scaled(np.nan_to_num(values).clip(0, 255).astype(np.uint8), 0.0, 255.0)
    valid = values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()
    if nodata is None and levels.kind == "auto":
        nodata = _sentinel(valid)
    if nodata is not None:
        none = _equal(valid, nodata)
        nodata, valid = nodata if none.any() else None, valid[~none]
    low, high = _range(valid, levels) if valid.size else (0.0, 255.0)
    return Scaled(_scaled(values, low, high, nodata), low, high, nodata)


def _scaled(values: np.ndarray, low: float, high: float, nodata: float | None) -> np.ndarray:
    if values.dtype.itemsize == 2 and values.dtype.kind == "u" and (low, high) == (0.0, 65535.0):
        pixels = (values.astype(np.uint32) // 257).astype(np.uint8)
    else:
        finite = np.nan_to_num(values.astype(np.float64), nan=low, posinf=low, neginf=low)
        pixels = np.rint((finite - low) * (255.0 / ((high - low) or 1.0))).clip(0, 255).astype(np.uint8)
    if nodata is not None:
        pixels[_equal(values, nodata)] = 0
    if values.dtype.kind == "f":
        pixels[~np.isfinite(values)] = 0
    return pixels


def _range(valid: np.ndarray, levels: Levels) -> tuple[float, float]:
    if levels.kind == "range":
        return _percentiles(valid, (levels.low, levels.high)) if levels.percent else (levels.low, levels.high)
    low, high = float(valid.min()), float(valid.max())
    if levels.kind == "full":
        if valid.dtype.kind == "f":
            return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
        return (0.0, 65535.0) if low >= 0 and high <= 65535 else (low, high)
    if valid.dtype.kind == "f" and low >= 0 and high <= 1:
        return 0.0, 1.0
    if low >= 0 and high <= _TOPS[-1] and (valid.dtype.kind != "f" or np.array_equal(valid, np.rint(valid))):
        return 0.0, next(top for top in _TOPS if high <= top)
    usual = _percentiles(valid, _USUAL)
    return usual if high - low > _FAR * (usual[1] - usual[0]) > 0 else (low, high)


def _percentiles(valid: np.ndarray, shares: tuple[float, float]) -> tuple[float, float]:
    some = valid[:: max(1, valid.size // _SAMPLE)].astype(np.float64)
    return float(np.percentile(some, shares[0], method="higher")), float(np.percentile(some, shares[1], method="lower"))


def _equal(values: np.ndarray, nodata: float) -> np.ndarray:
    """Mask of levels that equal `nodata`, which a tag may have rounded."""
    return np.isclose(values.astype(np.float64), nodata, rtol=1e-6, atol=0.0)


def _sentinel(valid: np.ndarray) -> float | None:
    """A level of `_SENTINELS` that lies further from the others than they from each other, or None."""
    for value in (float(valid.min()), float(valid.max())) if valid.size else ():
        if any(np.isclose(value, known, rtol=1e-6) for known in _SENTINELS):
            rest = valid[~_equal(valid, value)].astype(np.float64)
            if rest.size and min(abs(rest.min() - value), abs(rest.max() - value)) > rest.max() - rest.min():
                return value
    return None
