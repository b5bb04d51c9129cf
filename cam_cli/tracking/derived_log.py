"""Values for a tracker from the results of `camx audit`, `compare` and `evaluate` in a run folder."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import UnreadableImage
from ..evaluation.drawn import Figure, faithfulness_figures, localisation_figures
from ..outputs.run_folder import RunFolder
from ..run_layout import AUDIT, COMPARE, DERIVED, EVALUATE
from .tracker import Chart, Scalar, Table, Value

#: Largest number of rows in a table: W&B stores it in one file.
_MOST_ROWS = 10_000
#: Columns of names, even if all of them look like numbers.
_NAMES = {
    *("by", "group", "group_a", "group_b", "image", "label", "a_top1", "b_top1", "flip", "metric", "small"),
    *("class", "target", "method", "layer", "score", "map", "held_apart", "thing", "reason", "detail"),
}
_GATES = ("gate", "verdict", "seen", "low", "high", "needed", "sentence")
_ESCAPED = ("'=", "'+", "'-", "'@", "'\t", "'\r")


def derived_log(run: RunFolder) -> tuple[dict[str, Value], dict[str, Scalar], list[str]]:
    """Returns tables of groups, pairs, flips and gates, charts, the summary, and sentences about unreadable files."""
    values: dict[str, Value] = {}
    summary: dict[str, Scalar] = {}
    words: list[str] = []
    for name, figures in _FIGURES.items():
        if not run.has(f"{name}/summary.json"):
            continue
        try:
            content = json.loads(run.read_file(f"{name}/summary.json"))
            found = {f"{name}/{key}": value for key, value in figures(content).items()}
            tables = {f"{name}/gates": _gates(content["gates"]), **_tables(run, name)}
            charts = _charts(content) if name == EVALUATE else {}
        except (UnreadableImage, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
            words.append(f"{name}/ of {run.path!r} is left out, because it cannot be read: {error}")
            continue
        summary |= found
        values |= {key: table for key, table in tables.items() if table.rows}
        values |= {f"{name}/{key}": chart for key, chart in charts.items()}
    return values, summary, words


def _audit_figures(content: Mapping[str, Any]) -> dict[str, Scalar]:
    overall = {metric: value["value"] for metric, value in content["overall"].items()}
    return {"verdict": content["verdict"], **overall}


def _compare_figures(content: Mapping[str, Any]) -> dict[str, Scalar]:
    accuracy = content["accuracy"] or {}
    return {
        "verdict": content["verdict"],
        **content["flips"],
        **{f"accuracy_{side}": accuracy[side]["value"] for side in ("a", "b") if accuracy},
        **{f"accuracy_{limit}": accuracy["difference"][limit] for limit in ("low", "high") if accuracy},
        "p_mcnemar": accuracy.get("p_mcnemar"),
        **{f"map_iou_{name}": maps["iou"]["value"] for name, maps in content["maps"].items()},
    }


def _evaluate_figures(content: Mapping[str, Any]) -> dict[str, Scalar]:
    """Means by method and score, from an evaluation of localisation or of faithfulness."""
    sets = content.get("maps") or content["methods"]
    scores = {one["method"]: one.get("scores") or one["own"]["metrics"] for one in sets}
    return {f"{method}/{name}": score["value"] for method, some in scores.items() for name, score in some.items()}


def _charts(content: Mapping[str, Any]) -> dict[str, Chart]:
    """The charts of the report, by method and title."""
    if "maps" in content:
        figures = {one["method"]: localisation_figures(one) for one in content["maps"]}
    else:
        figures = {one["method"]: faithfulness_figures(one["method"], content["curves"]) for one in content["methods"]}
    return {f"{method}/{one.title}": _chart(method, one) for method, some in figures.items() for one in some}


def _chart(method: str, figure: Figure) -> Chart:
    width = 1 / max(1, len(figure.counts))
    bars = {f"{place * width:.2f} – {(place + 1) * width:.2f}": count for place, count in enumerate(figure.counts)}
    return Chart(f"{method}: {figure.title}", figure.note, figure.lines, bars)


_FIGURES: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Scalar]]] = {
    AUDIT: _audit_figures,
    COMPARE: _compare_figures,
    EVALUATE: _evaluate_figures,
}


def _gates(gates: Sequence[Mapping[str, Any]]) -> Table:
    return Table(_GATES, [[gate["text"], *(gate[name] for name in _GATES[1:])] for gate in gates])


def _tables(run: RunFolder, name: str) -> dict[str, Table]:
    files = [file for file in DERIVED if file.startswith(f"{name}/") and file.endswith(".csv") and run.has(file)]
    return {file.removesuffix(".csv"): _table(run, file) for file in files}


def _table(run: RunFolder, file: str) -> Table:
    """Reads a CSV. Of a table with flips, only the images whose prediction differs."""
    text = run.read_file(file).decode("utf-8", "replace")
    header, *rows = list(csv.reader(io.StringIO(text, newline="")))
    if "flip" in header:
        place = header.index("flip")
        rows = [row for row in rows if row[place] != "same"]
    columns = [_column(name, [row[place] for row in rows[:_MOST_ROWS]]) for place, name in enumerate(header)]
    return Table(header, list(map(list, zip(*columns))))


def _column(name: str, cells: Sequence[str]) -> list[Scalar]:
    """Numbers if all cells are numbers (None for an empty one), else texts."""
    if name not in _NAMES:
        try:
            return [float(cell) if cell else None for cell in cells]
        except ValueError:
            pass
    return [cell[1:] if cell.startswith(_ESCAPED) else cell for cell in cells]
