"""Reads images of any number of bands: `.npy` files, and TIFF files that Pillow cannot read."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ..errors import UnreadableImage
from .levels import eight_bit
from .options import PixelOptions
from .pixels import PixelFacts, Pixels, choose_bands, nodata_of

_NPY = b"\x93NUMPY"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: Longest axis that counts as bands, if the other two are longer.
_MOST_BANDS = 32


class StoredArray(NamedTuple):
    """An array from a file.

    values: numbers on two or three axes. kind: type and shape as text. layout: `hwc` or `chw` if the file states it,
    else "". nodata: level of missing values. frames, frame: as in `PixelFacts`.
    """

    values: np.ndarray
    kind: str
    layout: str = ""
    nodata: float | None = None
    frames: int = 1
    frame: int = 1


def is_npy(data: bytes) -> bool:
    """Whether the bytes are a `.npy` file."""
    return data.startswith(_NPY)


def is_tiff(data: bytes) -> bool:
    """Whether the bytes are a TIFF file."""
    return data.startswith(_TIFF)


def array_pixels(
    data: bytes,
    read: Callable[[bytes, int], StoredArray],
    options: PixelOptions,
    channels: int,
    max_pixels: int,
) -> Pixels:
    """Returns the bands of a file as 8-bit grey images with a common scale. Raises `UnreadableImage`."""
    try:
        stored = read(data, max_pixels)
        bands = _bands_first(stored, options, channels)
        if options.bands and max(options.bands) <= len(bands):
            # The scale depends only on the selected bands.
            selected = bands[[number - 1 for number in options.bands]]
            scaled = eight_bit(selected, options.levels, stored.nodata)
            every = np.zeros(bands.shape, np.uint8)
            every[[number - 1 for number in options.bands]] = scaled.pixels
        else:
            scaled = eight_bit(bands, options.levels, stored.nodata)
            every = scaled.pixels
    except UnreadableImage:
        raise
    except MemoryError as error:
        raise UnreadableImage("not enough memory to decode it") from error
    # numpy and tifffile may raise anything on broken input.
    except Exception as error:
        raise UnreadableImage(f"broken image: {str(error) or type(error).__name__}") from error
    plain = bands.dtype == np.uint8
    facts = PixelFacts(
        mode=stored.kind,
        levels=None if plain else (scaled.low, scaled.high),
        nodata=scaled.nodata,
        frames=stored.frames,
        frame=stored.frame,
    )
    return choose_bands([Image.fromarray(np.ascontiguousarray(band)) for band in every], options, channels, facts)


def npy_array(data: bytes, max_pixels: int) -> StoredArray:
    """Reads a `.npy` file without executing anything in it.

    Raises `UnreadableImage`, or `ValueError` for a broken one.
    """
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read_header(file)
    _check(shape, kind, max_pixels)
    return StoredArray(np.load(io.BytesIO(data), allow_pickle=False), f"{kind} {'×'.join(map(str, shape))}")


def tiff_array(data: bytes, max_pixels: int, *, frame: int) -> StoredArray:
    """Reads a page of a TIFF file, from 1, with all bands.

    Raises `UnreadableImage`, also if tifffile is not installed.
    """
    try:
        import tifffile
    except ImportError:
        raise UnreadableImage(
            "the bands of a TIFF file are read by tifffile, which is not installed (`pip install 'camx[tiff]'`)"
        ) from None
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        pages = [page for page in file.pages if not int(getattr(page, "subfiletype", 0)) & (1 | 4)]
        if frame > len(pages):
            raise UnreadableImage(f"it has {len(pages)} frames, and none with the number {frame} (frames)")
        page: Any = pages[frame - 1].aspage()
        _check(page.shape, page.dtype, max_pixels)
        tag = page.tags.get("GDAL_NODATA")
        layout = {"YXS": "hwc", "SYX": "chw"}.get(page.axes, "")
        return StoredArray(
            page.asarray(),
            f"{page.dtype} {'×'.join(map(str, page.shape))}",
            layout,
            nodata_of(tag.value) if tag else None,
            len(pages),
            frame,
        )


def _check(shape: tuple[int, ...], kind: np.dtype[Any] | None, max_pixels: int) -> None:
    if kind is None or kind.kind not in "buif":
        raise UnreadableImage(f"an array of {kind}, not of numbers")
    if len(shape) not in (2, 3) or 0 in shape:
        raise UnreadableImage(f"an array of {'×'.join(map(str, shape)) or 'one value'}; an image has 2 or 3 axes")
    if int(np.prod(shape)) > 4 * max_pixels:
        raise UnreadableImage(f"{'×'.join(map(str, shape))} levels are over the limit of {max_pixels:,} (max_pixels)")


def _bands_first(stored: StoredArray, options: PixelOptions, channels: int) -> np.ndarray:
    """Array as bands × rows × columns."""
    values = stored.values
    if values.ndim == 2:
        return values[None]
    layout = stored.layout or (options.array_layout if options.array_layout != "auto" else _layout(values, channels))
    return values.transpose(2, 0, 1) if layout == "hwc" else values


def _layout(values: np.ndarray, channels: int) -> str:
    """Axis of the bands: the one with as many as the network has channels, else the short one."""
    first, last = values.shape[0], values.shape[2]
    if (first == channels) != (last == channels):
        return "chw" if first == channels else "hwc"
    if (first <= _MOST_BANDS) != (last <= _MOST_BANDS):
        return "chw" if first <= _MOST_BANDS else "hwc"
    shape = "×".join(map(str, values.shape))
    raise UnreadableImage(f"an array of {shape} may be rows × columns × bands or bands × rows × columns (array_layout)")
