"""Draws the sheet of one image: the image itself, then its feature maps side by side, each with number and peak.

The colour of a position is its value divided by the largest magnitude in its own map: black at 0, through red and
yellow to white at +peak, through blue to white at −peak. Maps can be compared in shape but not in brightness: the grey
number at the lower right of each is its peak (± for both signs, - for negative).
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..maps.colormaps import ramp
from ..sentences import counted
from .maps import LEVELS, FeatureMaps

#: Target long side in pixels of small maps, which are enlarged by whole factors without smoothing.
_TILE = 112
_GAP, _MARGIN, _CAPTION, _HEADER = 4, 10, 15, 26
#: Pillow's own font lacks × and −.
_FONT_SIZE, _HEADER_FONT_SIZE = 11, 13
_PAPER, _INK, _FAINT = (38, 41, 46), (236, 238, 240), (160, 165, 172)
_BAR = (120, 8)
#: Preferred ratio of width to height of a sheet, and its limits.
_RATIO, _NARROWEST, _WIDEST = 1.5, 0.9, 2.4


def draw_sheet(maps: FeatureMaps, picture: np.ndarray | None = None) -> Image.Image:
    """Returns the sheet as an RGB image. picture: network input, uint8 h×w×C; None for no such tile."""
    _, height, width = maps.levels.shape
    factor = max(1, round(_TILE / max(height, width)))
    tile_width, tile_height = width * factor, height * factor
    tiles = [
        (_drawn(levels, factor), str(channel), _peak(levels, peak))
        for levels, channel, peak in zip(maps.levels, maps.shown, maps.peaks, strict=True)
    ]
    if picture is not None:
        tiles.insert(0, (_thumbnail(picture, tile_width, tile_height), "input", ""))
    cell_width, cell_height = tile_width + _GAP, tile_height + _CAPTION + _GAP
    columns = _columns(len(tiles), cell_width / cell_height)
    rows = math.ceil(len(tiles) / columns)
    size = (2 * _MARGIN + columns * cell_width - _GAP, _MARGIN + _HEADER + rows * cell_height - _GAP + _MARGIN // 2)
    sheet = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(sheet)
    _draw_header(sheet, pen, maps)
    for index, (tile, name, peak) in enumerate(tiles):
        left = _MARGIN + index % columns * cell_width
        top = _MARGIN + _HEADER + index // columns * cell_height
        sheet.paste(tile, (left, top))
        below = top + tile_height + _CAPTION // 2 + 1
        pen.text((left + 1, below), name, _INK, _font(_FONT_SIZE), "lm")
        pen.text((left + tile_width - 1, below), peak, _FAINT, _font(_FONT_SIZE), "rm")
    return sheet


def _drawn(levels: np.ndarray, factor: int) -> Image.Image:
    """Colours a map h×w of levels; every position has `factor`×`factor` pixels."""
    image = Image.fromarray(_colours()[levels + LEVELS])
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _thumbnail(picture: np.ndarray, width: int, height: int) -> Image.Image:
    pixels = picture[..., 0] if picture.shape[2] < 3 else picture[..., :3]
    image = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _peak(levels: np.ndarray, peak: float) -> str:
    """Peak in three digits, with the sign of its map."""
    sign = "" if levels.min() >= 0 else "-" if levels.max() <= 0 else "±"
    plain = 100 <= peak < 1e6  # otherwise three digits need an exponent
    return f"{sign}{peak:.0f}" if plain else f"{sign}{peak:.3g}"


def _columns(count: int, cell_ratio: float) -> int:
    """Number of tiles per row: few empty places, and a sheet that is somewhat wider than high."""

    def cost(columns: int) -> tuple[bool, int, float]:
        rows = math.ceil(count / columns)
        ratio = columns * cell_ratio / rows
        return not _NARROWEST <= ratio <= _WIDEST, columns * rows - count, abs(math.log(ratio / _RATIO))

    return min(range(1, count + 1), key=cost)


def _draw_header(sheet: Image.Image, pen: ImageDraw.ImageDraw, maps: FeatureMaps) -> None:
    """Draws layer, channels and grid at the left, and the scale at the right, as far as they fit."""
    font, middle = _font(_HEADER_FONT_SIZE), _MARGIN + _HEADER // 2 - 4
    count, shown = len(maps.channels.mean), len(maps.shown)
    grid = f"{counted(count, 'channel')} of {maps.height} x {maps.width}"
    words = [maps.layer, grid, *([f"{shown} shown"] if shown < count else [])]
    room = sheet.width - 2 * _MARGIN
    while len(words) > 1 and font.getlength("   ".join(words)) > room:
        words.pop()
    text = "   ".join(words)
    pen.text((_MARGIN, middle), text, _INK, font, "lm")
    signed = bool((maps.levels < 0).any())
    low, high = ("-peak", "+peak") if signed else ("0", "peak")
    small = _font(_FONT_SIZE)
    legend = small.getlength(low) + _BAR[0] + small.getlength(high) + 12
    if font.getlength(text) + 24 + legend > room:
        return
    right = sheet.width - _MARGIN
    pen.text((right, middle), high, _FAINT, small, "rm")
    bar_left = round(right - small.getlength(high) - 6 - _BAR[0])
    colours = _colours() if signed else _colours()[LEVELS:]
    at = np.linspace(0, len(colours) - 1, _BAR[0]).round().astype(int)
    sheet.paste(Image.fromarray(np.repeat(colours[at][None], _BAR[1], axis=0)), (bar_left, middle - _BAR[1] // 2))
    pen.text((bar_left - 6, middle), low, _FAINT, small, "rm")


@cache
def _colours() -> np.ndarray:
    """Colours of the levels −255 … 255: 511×3 uint8."""
    return np.concatenate([ramp("ice")[:0:-1], ramp("fire")])


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
