"""Writes `summary.json` and `methods.csv` of faithfulness into OUT/evaluate, and formats the printed summary."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import CamxError
from ..gates import GateResult, cell, gates_table, table
from ..gates.verdict import worst
from ..outputs import tables
from ..outputs.derived import Content, json_bytes, write_derived
from ..outputs.run_folder import EVALUATE, RunFolder
from ..run_layout import EVALUATE as FOLDER
from .faithful_columns import faithful_columns
from .faithful_figures import FaithfulFigure, FaithfulFigures, FaithfulGate, Interval
from .faithful_scores import CENTRE, METRICS, RANDOM, SCORES

_FIGURE = (
    "n",
    "value",
    "low",
    "high",
    "random",
    "centre",
    "gain",
    "gain_low",
    "gain_high",
    "behind",
    "behind_low",
    "behind_high",
)


@dataclass(frozen=True)
class Faithfulness:
    """Result of a run: figures and gates."""

    run: RunFolder
    figures: FaithfulFigures
    confidence: float
    gates: tuple[GateResult, ...] = ()

    @property
    def left_out(self) -> dict[str, int]:
        """Numbers of images and maps without scores, by reason."""
        columns = self.figures.columns
        found = {"failed images": columns.failed, **{f"blank maps of {name}": n for name, n in columns.blank.items()}}
        return {name: count for name, count in found.items() if count}


def faithfulness(path: str, fail_if: Sequence[str] = (), confidence: float = 0.95) -> Faithfulness:
    """Figures of the run of `camx evaluate` in `path`, from its rows.

    Raises `CamxError` for another folder, a run without maps, and a gate on a score that was not measured.
    """
    run = RunFolder.read(path)
    if run.command != EVALUATE:
        raise CamxError(f"{path!r} holds results of `camx {run.command}`. Give the output of `camx evaluate`.")
    metrics = run.record.get("fingerprint", {}).get("metrics", list(METRICS))
    gates = [FaithfulGate.parse(text, [name for one in metrics for name in METRICS.get(one, ())]) for text in fail_if]
    figures = FaithfulFigures(faithful_columns(run.rows(), metrics), confidence)
    judged = [result for gate in gates for result in gate.judged(figures, confidence)]
    return Faithfulness(run, figures, confidence, tuple(judged))


def check_gates(fail_if: Sequence[str], metrics: Sequence[str]) -> None:
    """Raises `CamxError` for a gate on a score that these metrics do not give."""
    for text in fail_if:
        FaithfulGate.parse(text, [name for one in metrics for name in METRICS[one]])


def write_faithfulness(found: Faithfulness) -> None:
    """Writes each file atomically. Raises `CamxError` if that fails."""
    files: dict[str, Content] = {"summary.json": json_bytes(summary(found)), "methods.csv": _methods(found)}
    write_derived(found.run.file(FOLDER), files, below=found.run.path)


def summary(found: Faithfulness) -> dict[str, Any]:
    """All figures as JSON."""
    record, figures = found.run.record, found.figures
    return {
        "schema": 1,
        "kind": "faithfulness",
        "run": {name: record.get(name) for name in ("state", "finished", "fingerprint")},
        "confidence": found.confidence,
        "images": len(figures.columns.images),
        "left_out": found.left_out,
        "verdict": worst(found.gates),
        "methods": [
            {
                "method": one.name,
                "layer": one.layer,
                "place": _known(one.place),
                "flags": list(one.flags),
                "scores": {name: _as_dict(figure) for name, figure in one.figures.items()},
            }
            for one in figures.methods
        ],
        "curves": {
            method: {name: [round(float(point), 6) for point in points] for name, points in curves.items()}
            for method, curves in figures.columns.curves.items()
        },
        "gates": [gate.as_dict() for gate in found.gates],
    }


def _as_dict(figure: FaithfulFigure) -> dict[str, Any]:
    return {name: value if name == "n" else _known(value) for name, value in zip(_FIGURE, _numbers(figure))}


def _numbers(figure: FaithfulFigure) -> list[Any]:
    nothing = Interval(0, math.nan, math.nan, math.nan)
    own, gain, behind = figure.own, figure.gain, figure.behind or nothing
    return [
        *(own.n, own.value, own.low, own.high, figure.random, figure.centre),
        *(gain.value, gain.low, gain.high, behind.value, behind.low, behind.high),
    ]


def _known(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _methods(found: Faithfulness) -> Iterator[bytes]:
    yield tables.line(["method", "layer", "place", "score", *_FIGURE])
    for one in found.figures.methods:
        for name, figure in one.figures.items():
            n, *numbers = _numbers(figure)
            cells = [tables.number(_known(number)) for number in numbers]
            yield tables.line([one.name, tables.text(one.layer), tables.number(_known(one.place)), name, n, *cells])


def lines(found: Faithfulness) -> list[str]:
    """Printed summary: every score of every method and the baselines."""
    text = []
    for one in found.figures.methods:
        place = f", mean place {one.place:.1f}" if len(found.figures.methods) > 1 and math.isfinite(one.place) else ""
        text.append(f"{one.name}, {one.layer}{place}")
        for name, figure in one.figures.items():
            arrow = {True: "↑", False: "↓", None: " "}[SCORES[name].higher]
            own = figure.own
            text.append(
                f"  {name:<15}{arrow} {own.value:.3f} [{own.low:.3f}, {own.high:.3f}]   random {figure.random:.3f}   "
                f"centre {figure.centre:.3f}   n = {own.n}"
            )
        text += [f"  {flag}" for flag in one.flags]
    if found.left_out:
        text.append("left out: " + ", ".join(f"{name} {count}" for name, count in found.left_out.items()))
    return text


def markdown(found: Faithfulness) -> str:
    """Gates and methods as Markdown, for the summary of a CI job."""
    return gates_table(found.gates) + ("\n" if found.gates else "") + methods_table(found)


def methods_table(found: Faithfulness) -> str:
    """Table of methods in their order, then of the baselines, with one score per column."""
    figures = found.figures
    ranked = [name for name in figures.scores if SCORES[name].higher is not None or "sanity" in name]
    header = ["method", *(f"{name} {_ARROWS[SCORES[name].higher]}".strip() for name in ranked)]
    rows = [[cell(one.name), *(_shown(one.figures[name].own) for name in ranked)] for one in figures.methods]
    first = figures.methods[0].figures if figures.methods else {}
    for label, baseline in (("random map", RANDOM), ("always the centre", CENTRE)):
        values = [getattr(first[name], baseline) for name in ranked] if first else []
        rows.append([cell(label), *(_number(value) for value in values)])
    return table(header, rows)


_ARROWS = {True: "↑", False: "↓", None: ""}


def _shown(one: Interval) -> str:
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]" if one.n else "–"


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "–"
