"""Draws learning curves with Pillow: loss and accuracy over the epochs."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from ..outputs.ticks import epoch_ticks, value_ticks
from .metrics import EpochMetrics

#: The drawing is this much larger than the file, and scaled down: lines and dots become smooth.
_SCALE = 3
_WIDTH, _HEIGHT, _PANEL = 1120, 460, 480
_INK, _GREY, _GRID = "#1f2933", "#6b7785", "#e4e8ec"
_TRAIN, _VAL = "#9aa7b5", "#2563eb"

Line = tuple[str, str, list[float]]


@dataclass(frozen=True)
class _Panel:
    """A coordinate system on the canvas: pixels of the frame, and the values at its edges."""

    left: int
    top: int
    right: int
    bottom: int
    epochs: int
    low: float
    high: float

    def x(self, epoch: float) -> float:
        return self.left + (self.right - self.left) * (epoch - 1) / max(1, self.epochs - 1)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.bottom - (self.bottom - self.top) * min(1.0, max(0.0, share))


def draw_curves(history: Sequence[EpochMetrics], epochs: int, title: str) -> bytes:
    """PNG of the epochs so far on an axis of all `epochs`, with the best epoch marked."""
    image = Image.new("RGB", (_WIDTH * _SCALE, _HEIGHT * _SCALE), "white")
    draw = ImageDraw.Draw(image)
    best = next((row for row in reversed(history) if row.best), None)
    _text(draw, 40, 28, title, 17, _INK, "lm")
    if best is not None:
        _text(draw, _WIDTH - 40, 28, f"best: {best.val_accuracy:.1%} in epoch {best.epoch}", 15, _VAL, "rm")
    loss: list[Line] = [
        ("training", _TRAIN, [row.train_loss for row in history]),
        ("validation", _VAL, [row.val_loss for row in history]),
    ]
    accuracy: list[Line] = [
        ("training", _TRAIN, [row.train_accuracy for row in history]),
        ("validation", _VAL, [row.val_accuracy for row in history]),
    ]
    _draw_panel(draw, 72, "loss (cross-entropy)", loss, epochs, best.epoch if best else 0, percent=False)
    _draw_panel(draw, 72 + 540, "accuracy", accuracy, epochs, best.epoch if best else 0, percent=True)
    buffer = io.BytesIO()
    image.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _draw_panel(
    draw: ImageDraw.ImageDraw, left: int, name: str, lines: Sequence[Line], epochs: int, best: int, *, percent: bool
) -> None:
    values = [v for _, _, points in lines for v in points if math.isfinite(v)] or [0.0]
    ticks = value_ticks(min(values), min(1.0, max(values)) if percent else max(values), floor=None if percent else 0.0)
    panel = _Panel(left, 96, left + _PANEL - 16, 400, epochs, ticks[0], ticks[-1])
    _text(draw, left, 70, name, 14, _INK, "lm")
    for value in ticks:
        _line(draw, [(panel.left, panel.y(value)), (panel.right, panel.y(value))], _GRID, 1)
        shown = f"{value * 100:.6g} %" if percent else f"{value:.6g}"
        _text(draw, panel.left - 8, panel.y(value), shown, 12, _GREY, "rm")
    for epoch in epoch_ticks(epochs):
        _line(draw, [(panel.x(epoch), panel.bottom), (panel.x(epoch), panel.bottom + 5)], _GREY, 1)
        _text(draw, panel.x(epoch), panel.bottom + 15, str(epoch), 12, _GREY, "mm")
    _line(draw, [(panel.left, panel.bottom), (panel.right, panel.bottom)], _GREY, 1)
    _text(draw, (panel.left + panel.right) / 2, panel.bottom + 36, "epoch", 12, _GREY, "mm")
    for offset, (label, colour, points) in enumerate(lines):
        _curve(draw, panel, points, colour)
        x = panel.right - 170 + 84 * offset
        _line(draw, [(x, 70), (x + 18, 70)], colour, 3)
        _text(draw, x + 23, 70, label, 12, _GREY, "lm")
    if best:
        _dot(draw, panel.x(best), panel.y(lines[1][2][best - 1]), 6, "white")
        _dot(draw, panel.x(best), panel.y(lines[1][2][best - 1]), 4.5, _VAL)


def _curve(draw: ImageDraw.ImageDraw, panel: _Panel, points: Sequence[float], colour: str) -> None:
    placed = [(panel.x(i + 1), panel.y(v)) for i, v in enumerate(points) if math.isfinite(v)]
    if len(placed) > 1:
        _line(draw, placed, colour, 2.5)
    if len(placed) <= 30:
        for x, y in placed:
            _dot(draw, x, y, 3, colour)


def _line(draw: ImageDraw.ImageDraw, points: Sequence[tuple[float, float]], colour: str, width: float) -> None:
    draw.line([(x * _SCALE, y * _SCALE) for x, y in points], colour, round(width * _SCALE), "curve")


def _dot(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: str) -> None:
    box = ((x - radius) * _SCALE, (y - radius) * _SCALE, (x + radius) * _SCALE, (y + radius) * _SCALE)
    draw.ellipse(box, fill=colour)


def _text(draw: ImageDraw.ImageDraw, x: float, y: float, text: str, size: int, colour: str, anchor: str) -> None:
    draw.text((x * _SCALE, y * _SCALE), text, colour, ImageFont.load_default(size * _SCALE), anchor)
