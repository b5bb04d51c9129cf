"""Backdrops of an image, drawn independently of the objects in front of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from .palette import from_hex, mix
from .raster import Field, levels
from .shapes import Colour
from .texture import noise


@dataclass(frozen=True)
class Backdrop:
    """``picture`` H×W×3 (0..255), and the row of the ``horizon``, where the ground begins."""

    picture: Field
    horizon: float


def _pick(rng: np.random.Generator, codes: str) -> Colour:
    names = codes.split()
    r, g, b = (float(c + rng.normal(0, 7)) for c in from_hex(names[int(rng.integers(len(names)))]))
    return r, g, b


def _fade(size: tuple[int, int], top: Colour, bottom: Colour) -> Field:
    """H×W×3 vertical gradient."""
    width, height = size
    way = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    column = np.asarray(top, np.float32) * (1 - way) + np.asarray(bottom, np.float32) * way
    return np.repeat(column, width, axis=1)


def _tinted(picture: Field, pattern: Field, colour: Colour, share: float) -> Field:
    """``picture`` blended towards ``colour`` where ``pattern`` (H×W, 0..1) is high."""
    weight = (np.clip(pattern, 0, 1) * share)[..., None]
    blended: Field = picture + (np.asarray(colour, np.float32) - picture) * weight
    return blended


def _sky(rng: np.random.Generator, size: tuple[int, int]) -> Field:
    top = _pick(rng, "79b6e0 5a97cc 9ccbdc dcb4c4 f0bf90 9aa2cc b8d6d2 5577a8")
    low = mix(top, _pick(rng, "f6e7cf f3d5b5 e6eef0 f0cfc4"), 0.75)
    clouds = noise(rng, (size[1], size[0]), 2.2, stretch=2.2, octaves=4)
    return _tinted(_fade(size, top, low), 0.1 + 0.5 * clouds, (252, 248, 240), rng.uniform(0.2, 0.85))


def _ridge(rng: np.random.Generator, size: tuple[int, int], row: float, swing: float) -> Field:
    """H×W mask of everything below a wavy skyline around ``row``."""
    width, height = size
    line = row + noise(rng, (2, width), 1.0, stretch=width / 8, octaves=3)[0] * swing
    below: Field = np.clip(np.arange(height, dtype=np.float32)[:, None] - line[None, :], 0, 1)
    return below.astype(np.float32)


def _ground(rng: np.random.Generator, size: tuple[int, int], colour: Colour, stretch: float) -> Field:
    shape = (size[1], size[0])
    picture = _fade(size, mix(colour, (250, 246, 232), 0.3), mix(colour, (40, 36, 44), 0.14))
    rough = noise(rng, shape, 6, stretch=stretch, octaves=4) * 0.04 + noise(rng, shape, 60, octaves=1) * 0.025
    ground: Field = picture * (1 + rough[..., None])
    return ground


def _laid(upper: Field, lower: Field, mask: Field) -> Field:
    blended: Field = upper + (lower - upper) * mask[..., None]
    return blended


def meadow(rng: np.random.Generator, size: tuple[int, int]) -> Backdrop:
    """Sky, one or two hazy ranges of hills, rough grass, sand or snow with flecks."""
    width, height = size
    row = rng.uniform(0.3, 0.58) * height
    earth = _pick(rng, "8fb05c a5bf6c 6c9a5c 7fae7a d3bb80 e6d5a8 c99a66 e8eef0 a8a878")
    picture = _sky(rng, size)
    for lift, haze in ((0.12, 0.6), (0.05, 0.35)):
        hills = _fade(size, mix(_pick(rng, "64808c 5f7d66 8a7f93 7a8f9a"), (220, 220, 220), haze), earth)
        picture = _laid(picture, hills, _ridge(rng, size, row - lift * height, 0.05 * height))
    ground = _ground(rng, size, earth, rng.uniform(0.4, 3.0))
    flecks = noise(rng, (height, width), 45, octaves=1)
    ground = _tinted(ground, (flecks - 1.6) * 3, _pick(rng, "f2e6b0 e8b0b8 ffffff 5d6b3c"), 0.8)
    return Backdrop(_laid(picture, ground, _ridge(rng, size, row, 0.012 * height)), row)


def water(rng: np.random.Generator, size: tuple[int, int]) -> Backdrop:
    """Sky over a sea or lake with bright ripples."""
    width, height = size
    row = rng.uniform(0.28, 0.55) * height
    deep = _pick(rng, "4793b0 55a3a0 3a76a3 7fb2c2 8ea0c4 4f9a90")
    surface = _ground(rng, size, deep, 6.0)
    ripples = noise(rng, (height, width), 22, stretch=7, octaves=2)
    surface = _tinted(surface, (ripples - 0.5) * 0.8, (236, 240, 236), 0.6)
    picture = _laid(_sky(rng, size), surface, _ridge(rng, size, row, 0.004 * height))
    return Backdrop(picture, row)


def _lines(size: tuple[int, int], rows: list[float], columns: list[tuple[float, float, float, float]]) -> Field:
    """H×W mask of thin soft lines: full rows, and free segments (x0, y0, x1, y1)."""
    width, height = size
    sheet = Image.new("L", (width * 2, height * 2), 0)
    draw = ImageDraw.Draw(sheet)
    thick = max(2, height // 90)
    for y in rows:
        draw.line((0, y * 2, width * 2, y * 2), fill=255, width=thick)
    for x0, y0, x1, y1 in columns:
        draw.line((x0 * 2, y0 * 2, x1 * 2, y1 * 2), fill=255, width=thick)
    return levels(sheet.reduce(2))


def room(rng: np.random.Generator, size: tuple[int, int]) -> Backdrop:
    """Papered or plain wall with a skirting board over a boarded floor."""
    width, height = size
    row = rng.uniform(0.45, 0.68) * height
    paint = _pick(rng, "d9c9b0 b8c4b4 c4b0a8 9fb0bd e4d9c4 a08f9c 7f9494 d0a890")
    wall = _fade(size, paint, mix(paint, (60, 50, 60), 0.12))
    x = np.arange(width, dtype=np.float32)[None, :] / height
    stripe = np.clip(3 * np.sin(x * rng.uniform(20, 70)) + 0.5, 0, 1).astype(np.float32)
    paper: Field = np.repeat(stripe, height, axis=0)
    wall = _tinted(wall, paper, mix(paint, (255, 255, 250), 0.6), rng.choice([0.0, 0.35, 0.6]))
    wall = wall * (1 + 0.025 * noise(rng, (height, width), 4, octaves=4)[..., None])
    floor = _ground(rng, size, _pick(rng, "a9764a 8a5f44 c49a6c 7d6a60 b5a48e 6f5f66"), 5.0)
    vanish, gap = rng.uniform(0.2, 0.8) * width, rng.uniform(0.25, 0.5) * height
    boards = [(vanish + k * gap * 0.3, row, vanish + k * gap * 1.6, float(height)) for k in range(-9, 10)]
    floor = _tinted(floor, _lines(size, [], boards), (50, 36, 32), 0.5)
    picture = _laid(wall, floor, _ridge(rng, size, row, 0.0))
    board = _ridge(rng, size, row - 0.045 * height, 0.0) * (1 - _ridge(rng, size, row - 0.004 * height, 0.0))
    return Backdrop(_tinted(picture, board, (238, 232, 220), 0.85), row)


def street(rng: np.random.Generator, size: tuple[int, int]) -> Backdrop:
    """Brick or slab wall behind a pavement."""
    width, height = size
    row = rng.uniform(0.42, 0.64) * height
    brick = _pick(rng, "b86a50 cc9a7c a09a96 d8c4a8 828f9a b07a64")
    wall = _ground(rng, size, brick, 2.0)
    course = rng.uniform(0.04, 0.08) * height
    rows = [row - course * k for k in range(1, int(row / course) + 1)]
    joints = []
    for k, y in enumerate(rows):
        offset = course * 1.2 * (k % 2)
        joints += [(float(x), y, float(x), y + course) for x in np.arange(offset, width, course * 2.4)]
    wall = _tinted(wall, _lines(size, rows, joints), mix(brick, (235, 228, 215), 0.6), rng.uniform(0.4, 0.9))
    paving = _ground(rng, size, _pick(rng, "9a9791 85878c b0a594 6c6a72"), 3.0)
    vanish = rng.uniform(0.2, 0.8) * width
    slabs = [(vanish + k * 0.12 * height, row, vanish + k * 0.5 * height, float(height)) for k in range(-8, 9)]
    ledges = [row + (height - row) * q for q in (0.12, 0.34, 0.7)]
    paving = _tinted(paving, _lines(size, ledges, slabs), (55, 52, 58), 0.5)
    return Backdrop(_laid(wall, paving, _ridge(rng, size, row, 0.0)), row)


def bokeh(rng: np.random.Generator, size: tuple[int, int]) -> Backdrop:
    """Out-of-focus foliage or lights above soft ground."""
    width, height = size
    row = rng.uniform(0.4, 0.7) * height
    base = _pick(rng, "5f8558 86a05e 4a6a78 96705c 655f88 a8935c 3f5450")
    sheet = Image.fromarray(np.clip(_fade(size, mix(base, (240, 230, 190), 0.25), base), 0, 255).astype(np.uint8))
    for _ in range(int(rng.integers(14, 34))):
        r = rng.uniform(0.02, 0.11) * height
        x, y = rng.uniform(0, width), rng.uniform(-0.1, 1.0) * row
        glow = mix(base, _pick(rng, "f4dc9a d8e6a8 f2b48c a8d0d8 efc6d4"), rng.uniform(0.15, 0.7))
        stain = tuple(int(np.clip(c, 0, 255)) for c in glow)
        disc = Image.new("L", (int(2 * r) + 2, int(2 * r) + 2), 0)
        ImageDraw.Draw(disc).ellipse((0, 0, 2 * r, 2 * r), fill=int(rng.uniform(70, 190)))
        sheet.paste(stain, (int(x - r), int(y - r)), disc)
    blurred = np.asarray(sheet.filter(ImageFilter.GaussianBlur(height / 120)), dtype=np.float32)
    ground = _ground(rng, size, mix(base, (196, 176, 130), rng.uniform(0.1, 0.7)), 1.5)
    soft = np.clip((np.arange(height, dtype=np.float32) - row) / (0.08 * height) + 0.5, 0, 1)
    mask: NDArray[np.float32] = np.repeat(soft[:, None], width, axis=1)
    return Backdrop(_laid(blurred, ground, mask), row)


SETTINGS: tuple[Callable[[np.random.Generator, tuple[int, int]], Backdrop], ...] = (
    meadow,
    meadow,
    water,
    room,
    street,
    bokeh,
)


def draw_backdrop(rng: np.random.Generator, size: tuple[int, int]) -> Backdrop:
    """Draws a random setting of ``size`` (width, height), slightly out of focus."""
    backdrop = SETTINGS[int(rng.integers(len(SETTINGS)))](rng, size)
    radius = rng.uniform(0.0, 0.006) * size[1]
    image = Image.fromarray(np.clip(backdrop.picture, 0, 255).astype(np.uint8))
    image = image.filter(ImageFilter.GaussianBlur(radius)) if radius > 0.3 else image
    return Backdrop(np.asarray(image, dtype=np.float32), backdrop.horizon)
