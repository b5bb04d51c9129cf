"""Computes curves over the epochs as coordinates for the template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from ..outputs.epoch_rows import EpochRow
from ..outputs.ticks import epoch_ticks, value_ticks
from .rounding import number, percent

WIDTH, HEIGHT = 560, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, WIDTH - 12, 14, HEIGHT - 26


@dataclass(frozen=True)
class Chart:
    """A chart. x, y: ticks (position, text). lines: points (x, y, epoch, text) by name. best: x of the best epoch."""

    title: str
    x: list[tuple[float, str]]
    y: list[tuple[float, str]]
    lines: dict[str, list[tuple[float, float, int, str]]]
    best: float | None


def charts(metrics: Sequence[EpochRow], epochs: int, best: int | None) -> list[Chart]:
    """Charts of loss and accuracy so far, on an axis of all `epochs`."""
    last = max([epochs, *(row["epoch"] for row in metrics)])
    numbers = [cast(Mapping[str, float], row) for row in metrics]
    return [_chart(what, numbers, last, best) for what in ("loss", "accuracy")] if metrics else []


def _chart(what: str, metrics: Sequence[Mapping[str, float]], epochs: int, best: int | None) -> Chart:
    share = what == "accuracy"
    names = {"training": f"train_{what}", "validation": f"val_{what}"}
    values = [row[name] for row in metrics for name in names.values() if name in row] or [0.0]
    ticks = value_ticks(min(values), max(values), floor=None if share else 0.0)

    def x(epoch: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * (epoch - 1) / max(1, epochs - 1), 1)

    def y(value: float) -> float:
        return round(_BOTTOM - (_BOTTOM - _TOP) * (value - ticks[0]) / (ticks[-1] - ticks[0]), 1)

    def shown(value: float) -> str:
        return percent(value) if share else number(value)

    def tick(value: float) -> str:
        return f"{100 * value:.4g}\u202f%" if share else number(value)

    def points(name: str) -> list[tuple[float, float, int, str]]:
        return [(x(r["epoch"]), y(r[name]), int(r["epoch"]), shown(r[name])) for r in metrics if name in r]

    return Chart(
        title=what.capitalize(),
        x=[(x(epoch), str(epoch)) for epoch in epoch_ticks(epochs)],
        y=[(y(value), tick(value)) for value in ticks if value <= 1 or not share],
        lines={title: points(name) for title, name in names.items()},
        best=None if best is None else x(best),
    )
