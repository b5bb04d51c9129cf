"""Computes curves and histograms as coordinates for a template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..outputs.ticks import value_ticks
from .rounding import number

WIDTH, HEIGHT = 560, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, WIDTH - 12, 14, HEIGHT - 26

Ticks = list[tuple[float, str]]


@dataclass(frozen=True)
class Plot:
    """A plot. x, y: ticks (position, text). lines: SVG points by name. bars: left, top, width, height, text. outline:
    points of a line around the bars of a baseline."""

    title: str
    note: str
    x: Ticks
    y: Ticks
    lines: Mapping[str, str] = field(default_factory=dict)
    bars: Sequence[tuple[float, float, float, float, str]] = ()
    outline: str = ""


def curves(title: str, note: str, lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Plot:
    """Plot of lines over [0, 1]: x and y by name. The first one is emphasised."""
    values = [value for _, ys in lines.values() for value in ys] or [0.0]
    ticks = value_ticks(min(values), max(values), floor=0.0)
    return Plot(
        title,
        note,
        [(_x(share), f"{share:g}") for share in (0, 0.25, 0.5, 0.75, 1)],
        [(_y(value, ticks), number(value)) for value in ticks],
        {name: " ".join(f"{_x(x)},{_y(y, ticks)}" for x, y in zip(xs, ys)) for name, (xs, ys) in lines.items()},
    )


def histogram(title: str, note: str, counts: Sequence[int], baseline: Sequence[int] = ()) -> Plot:
    """Plot of a histogram over equal bins of [0, 1], and of a baseline as an outline."""
    ticks = value_ticks(0, max([1, *counts, *baseline]), floor=0.0)
    width = (_RIGHT - _LEFT) / max(1, len(counts))
    bars = []
    for place, count in enumerate(counts):
        top, left = _y(count, ticks), round(_LEFT + place * width + 1, 1)
        words = f"{number(place / len(counts))} to {number((place + 1) / len(counts))}: {count}"
        words += f", centre {baseline[place]}" if baseline else ""
        bars.append((left, top, round(width - 2, 1), round(_BOTTOM - top, 1), words))
    return Plot(
        title,
        note,
        [(_x(share), f"{share:g}") for share in (0, 0.25, 0.5, 0.75, 1)],
        [(_y(value, ticks), f"{value:g}") for value in ticks],
        bars=bars,
        outline=" ".join(
            f"{_x((place + side) / len(baseline))},{_y(count, ticks)}"
            for place, count in enumerate(baseline)
            for side in (0, 1)
        ),
    )


def _x(share: float) -> float:
    return round(_LEFT + (_RIGHT - _LEFT) * share, 1)


def _y(value: float, ticks: Sequence[float]) -> float:
    return round(_BOTTOM - (_BOTTOM - _TOP) * (value - ticks[0]) / (ticks[-1] - ticks[0]), 1)
