"""Writes `groups.csv` and `pairs.csv`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..outputs.tables import line, number, text
from .records import AuditResult, GroupRow, Value

_OF_GROUPS = ("by", "group", "n", "failed", "unlabelled", "right", "accuracy", "low", "high", "prob_mean",
              "cam_border_mean", "cam_border_low", "cam_border_high", "cam_area_mean", "small")  # fmt: skip
_OF_PAIRS = ("by", "group_a", "group_b", "difference", "low", "high", "p_holm", "metric")
#: Metrics with columns in every table.
_ALWAYS = ("accuracy", "prob", "cam_border", "cam_area")


def groups_csv(result: AuditResult) -> Iterator[bytes]:
    """One line per group. Further metrics add columns at the end."""
    others = [metric for metric in result.metrics if metric not in _ALWAYS]
    yield line([*_OF_GROUPS, *(name for metric in others for name in (metric, f"{metric}_low", f"{metric}_high"))])
    for row in result.groups:
        yield line([*_common_cells(row), *(cell for metric in others for cell in _interval(row.values.get(metric)))])


def _common_cells(row: GroupRow) -> list[Any]:
    accuracy, border = row.values.get("accuracy"), row.values.get("cam_border")
    return [
        *(
            text(row.by),
            text(row.group),
            row.images if accuracy is None else accuracy.total,
            row.failed,
            row.unlabelled,
        ),
        *("" if row.right is None else row.right, *_interval(accuracy)),
        *(_mean(row, "prob"), *_interval(border), _mean(row, "cam_area")),
        "true" if row.small else "false",
    ]


def _mean(row: GroupRow, metric: str) -> str:
    found = row.values.get(metric)
    return finite(found.value) if found else ""


def _interval(value: Value | None) -> list[str]:
    return ["", "", ""] if value is None else [finite(value.value), finite(value.low), finite(value.high)]


def pairs_csv(result: AuditResult) -> Iterator[bytes]:
    """One line per pair of groups and metric."""
    yield line(list(_OF_PAIRS))
    for row in result.pairs:
        numbers = (row.difference, row.low, row.high, row.p_holm)
        yield line([text(row.by), text(row.group_a), text(row.group_b), *map(finite, numbers), row.metric])


def finite(value: float) -> str:
    """A number as text; "" if unknown."""
    return number(value if abs(value) < float("inf") else None)
