"""Draws panels: image, overlay and map side by side above a caption, for slides and small images."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..images.geometry import enlarged
from ..maps.colormaps import TWO_SIDED, palette
from ..maps.heatmap import pixels_inside
from .caption_words import Caption, Named
from .drawing import Drawing, draw_overlay, eight_bit
from .options import Rendering

#: Long side in pixels to which smaller images are enlarged, and the smallest width of a panel.
_LEAST_SIDE, _LEAST_WIDTH = 256, 320
_GAP = 8
#: Smallest and largest height of letters in pixels, and the pixels of width for each pixel of height.
_SMALL, _LARGE, _PER_LETTER = 14, 26, 44
_PAPER, _INK, _FAINT, _NOT_SEEN = (255, 255, 255), (34, 34, 34), (96, 96, 96), (64, 64, 64)
#: Colours of "correct" and "wrong", distinguishable with any kind of colour vision (Okabe & Ito 2008).
_RIGHT, _WRONG = (0, 114, 178), (213, 94, 0)
#: A code point without a letter in any font.
_NO_LETTER = "\uffff"
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_panel(drawing: Drawing, rendering: Rendering) -> Image.Image:
    """Draws the parts of `rendering.panel` side by side, with the caption of the drawing below.

    Enlarges a small image (bicubic), and draws its map at that size.
    """
    one = _readable(drawing)
    tiles = [PARTS[name](one, rendering) for name in rendering.panel]
    width, height = tiles[0].size
    inner = max(_LEAST_WIDTH, len(tiles) * width + (len(tiles) - 1) * _GAP)
    lines = _lines(drawing.caption, inner) if drawing.caption is not None else []
    below = sum(line.height for line in lines) + _GAP * bool(lines)
    panel = Image.new("RGB", (inner + 2 * _GAP, height + 2 * _GAP + below), _PAPER)
    left = (panel.width - len(tiles) * width - (len(tiles) - 1) * _GAP) // 2
    for place, tile in enumerate(tiles):
        panel.paste(tile, (left + place * (width + _GAP), _GAP))
    top = height + 2 * _GAP
    for line in lines:
        panel.paste(line, (_GAP, top))
        top += line.height
    return panel


def _readable(drawing: Drawing) -> Drawing:
    """The drawing, with a small canvas enlarged."""
    height, width = drawing.canvas.shape[:2]
    if max(width, height) >= _LEAST_SIDE:
        return drawing
    size = enlarged(width, height, _LEAST_SIDE)
    image = (drawing.image or Image.fromarray(drawing.canvas)).resize(size, Image.Resampling.BICUBIC)
    frame = drawing.frame.scaled(size[0] / width, size[1] / height)
    return replace(drawing, canvas=np.asarray(image), image=image, frame=frame, overlay=None)


def _image(drawing: Drawing, rendering: Rendering) -> Image.Image:
    return drawing.image or Image.fromarray(drawing.canvas)


def _map(drawing: Drawing, rendering: Rendering) -> Image.Image:
    """Draws the heatmap in its colours, and dark grey outside the frame."""
    height, width = drawing.canvas.shape[:2]
    rows, columns = pixels_inside(drawing.frame, width, height)
    heat = Image.fromarray(eight_bit(drawing, width, height, inside_only=True), "P")
    heat.putpalette(palette(TWO_SIDED if drawing.two_sided else rendering.colormap).tobytes())
    whole = Image.new("RGB", (width, height), _NOT_SEEN)
    whole.paste(heat.convert("RGB"), (columns.start, rows.start))
    return whole


PARTS: Mapping[str, Callable[[Drawing, Rendering], Image.Image]] = {
    "image": _image,
    "overlay": draw_overlay,
    "map": _map,
}


def _lines(caption: Caption, width: int) -> list[Image.Image]:
    """Draws the lines of a caption as images of this width."""
    size = min(_LARGE, max(_SMALL, width // _PER_LETTER))
    verdict = {True: ("correct", _RIGHT), False: ("wrong", _WRONG), None: ("", _INK)}[caption.correct]
    found = [_line(caption.first, width, size, _INK, verdict)]
    if caption.more:
        found.append(_line(caption.more, width, round(size * 0.8), _INK))
    found.append(_line([caption.image], width, round(size * 0.8), _FAINT, middle=True))
    return found


def _line(
    words: Sequence[Named],
    width: int,
    size: int,
    colour: tuple[int, int, int],
    verdict: tuple[str, tuple[int, int, int]] = ("", _INK),
    *,
    middle: bool = False,
) -> Image.Image:
    """Draws a line of words with a coloured word at the right end. Shortens it to the width at its end, or with
    `middle` in its middle."""
    font = _font(size)
    line = Image.new("RGB", (width, round(size * 1.45)), _PAPER)
    draw, room = ImageDraw.Draw(line), float(width)
    if verdict[0]:
        room -= font.getlength(verdict[0]) + size
        draw.text((width, 0), verdict[0], fill=verdict[1], font=font, anchor="ra")
    text = " ".join(_lettered(one, font) for one in words)
    draw.text((0, 0), _cut(text, font, room, middle=middle), fill=colour, font=font)
    return line


def _cut(text: str, font: _Font, room: float, *, middle: bool) -> str:
    """Text shortened to `room` pixels; `…` stands for the rest."""
    kept = len(text)
    if font.getlength(text) <= room:
        return text
    low = 0
    while low < kept - 1:
        half = (low + kept) // 2
        low, kept = (half, kept) if font.getlength(_shortened(text, half, middle=middle)) <= room else (low, half)
    return _shortened(text, low, middle=middle)


def _shortened(text: str, length: int, *, middle: bool) -> str:
    if not middle:
        return text[:length] + "…"
    # The end of a path identifies an image better than its folders.
    tail = (2 * length + 2) // 3
    return text[: length - tail] + "…" + text[len(text) - tail :]


@lru_cache(16)
def _font(size: int) -> _Font:
    """The font that comes with Pillow."""
    return ImageFont.load_default(size)


def _lettered(one: Named, font: _Font) -> str:
    """Text in letters of the font; the plain text if the font has none of its letters."""
    found = [_letter(letter, font) for letter in one.text]
    if one.plain and not any(letters.strip("? ") for letters in found):
        return one.plain
    return "".join(found)


@lru_cache(4096)
def _letter(letter: str, font: _Font) -> str:
    """The letter; if the font lacks it, the letter without accents, or `?`. Pillow's font has English letters only."""
    if _has(letter, font):
        return letter
    plain = "".join(one for one in unicodedata.normalize("NFKD", letter) if _has(one, font))
    return plain.strip() or "?"


def _has(letter: str, font: _Font) -> bool:
    """Whether a font has a letter, and does not draw the box for unknown ones."""
    if not letter.isprintable():
        return False
    return letter == " " or bytes(font.getmask(letter)) != bytes(font.getmask(_NO_LETTER))
