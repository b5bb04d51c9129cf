"""An audit as `summary.json`, as Markdown for a CI job, and as lines for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..gates import cell, gates_table, table
from ..gates.verdict import worst
from .metrics import METRICS
from .options import AuditOptions
from .records import AuditResult, GroupRow, Value

#: Most printed lines of a table of groups.
_MOST_LINES = 60


def summary(result: AuditResult, options: AuditOptions) -> dict[str, Any]:
    """Content of `summary.json`: gates, metrics of the whole run, left-out images by reason, options."""
    return {
        "verdict": worst(result.gates),
        "gates": [gate.as_dict() for gate in result.gates],
        "images": len(result.table),
        "overall": {metric: _value(value) for metric, value in result.overall.items()},
        "attributes": {one.name: {"groups": len(one.groups), "kind": one.kind} for one in result.attributes},
        "left_out": dict(result.left_out),
        "notes": list(result.notes),
        "options": {
            **{name: value for name, value in vars(options).items() if name != "partial"},
            "state": result.run.get("state", "running"),
        },
        "model": result.run.get("plan", {}).get("model"),
    }


def _value(value: Value) -> dict[str, Any]:
    return {
        "value": _rounded(value.value), "low": _rounded(value.low), "high": _rounded(value.high), "n": value.total,
    }  # fmt: skip


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def markdown(result: AuditResult) -> str:
    """The audit as a section of a CI job's summary."""
    header = ["attribute", "group", "n", *result.metrics]
    rows = [
        (
            cell(row.by),
            cell(row.group),
            cell(_count(row)),
            *(cell(format_value(row, metric)) for metric in result.metrics),
        )
        for row in result.groups
    ]
    more = f"\n{len(rows) - _MOST_LINES} more groups in audit/groups.csv\n" if len(rows) > _MOST_LINES else ""
    notes = "".join(f"\n{cell(note)}\n" for note in result.notes)
    gates = gates_table(result.gates)
    return f"## camx audit: {worst(result.gates)}\n\n{gates}\n{table(header, rows[:_MOST_LINES])}{more}{notes}"


def lines(result: AuditResult) -> Iterator[str]:
    """The audit for a terminal: a table of groups, what was left out, and the verdicts."""
    rows = [("", "group", "n", *result.metrics)]
    rows += [
        (row.by, row.group, _count(row), *(format_value(row, name) for name in result.metrics)) for row in result.groups
    ]
    listed = rows[: _MOST_LINES + 1]
    widths = [max(len(row[column]) for row in listed) for column in range(len(rows[0]))]
    for row in listed:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip()
    if len(rows) > len(listed):
        yield f"{len(rows) - len(listed)} more groups in audit/groups.csv"
    if result.left_out:
        yield "left out: " + ", ".join(f"{count:,} {why}" for why, count in result.left_out.items())
    yield from result.notes
    for gate in result.gates:
        yield f"{gate.verdict.upper()} {gate.text}: {gate.sentence}"


def _count(row: GroupRow) -> str:
    accuracy = row.values.get("accuracy")
    return f"{row.images if accuracy is None else accuracy.total:,}{' (small)' if row.small else ''}"


def format_value(row: GroupRow, metric: str) -> str:
    """Formats a number of a group with its interval."""
    value = row.values[metric]
    if not math.isfinite(value.value):
        return "–"
    if METRICS[metric].share:
        return f"{100 * value.value:.1f} % [{100 * value.low:.1f}, {100 * value.high:.1f}]"
    return f"{value.value:.3g} [{value.low:.3g}, {value.high:.3g}]"
