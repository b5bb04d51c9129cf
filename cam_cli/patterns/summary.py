"""Patterns as `summary.json`, as Markdown for a CI job, and as lines for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..gates import cell, gates_table, table
from ..gates.verdict import worst
from ..sentences import counted
from .options import PatternsOptions
from .records import DROP, FILLS, LOGIT_DROP, Checked, Drop, Number, Pattern, Patterns
from .tables import EXAMPLES

#: Most printed lines of a table.
_MOST_LINES = 60
_HEADER = ("pattern", "images", "share", "place", "spread", "accuracy with", "without", "flags")


def summary(found: Patterns, options: PatternsOptions) -> dict[str, Any]:
    """Content of `summary.json`: gates, patterns in numbers, left-out images by reason, options."""
    return {
        "verdict": worst(found.gates),
        "gates": [gate.as_dict() for gate in found.gates],
        "images": len(found.spots.table),
        "spots": len(found.spots),
        "method": found.spots.method,
        "patterns": [_pattern(found, one) for one in found.patterns],
        "left_out": dict(found.left_out),
        "notes": list(found.notes),
        "options": {
            **{name: value for name, value in vars(options).items() if name != "partial"},
            "state": found.run.get("state", "running"),
        },
        "model": found.run.get("plan", {}).get("model"),
    }


def _pattern(found: Patterns, one: Pattern) -> dict[str, Any]:
    images = found.spots.table.images
    return {
        "pattern": one.number,
        "class": found.spots.table.classes[one.target],
        "images": len(one.images),
        "spots": len(one.spots),
        "share": _number(one.share),
        **{name: _rounded(getattr(one, name)) for name in ("x", "y", "spread", "border", "exclusive")},
        "accuracy_with": _number(one.with_),
        "accuracy_without": _number(one.without),
        "outside": _number(one.outside),
        "flags": list(one.flags),
        "small": one.small,
        "check": _check(one),
        "examples": [images[place] for place in one.images[:EXAMPLES].tolist()],
    }


def _check(one: Pattern) -> dict[str, Any] | None:
    if one.checked is None:
        return None
    drops = {
        measure: {
            fill: {name: _rounded(getattr(drop, name)) for name in ("spot", "elsewhere", "gain", "low", "high")}
            for fill, drop in drops.items()
        }
        for measure, drops in one.checked.drops.items()
    }
    checked = one.checked
    return {"images": checked.images, "probability": _rounded(checked.probability), "used": checked.used, **drops}


def _number(value: Number | None) -> dict[str, Any] | None:
    if value is None:
        return None
    numbers = {name: _rounded(getattr(value, name)) for name in ("value", "low", "high")}
    return {**numbers, "n": value.total}


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def markdown(found: Patterns) -> str:
    """The patterns as a section of a CI job's summary."""
    rows = [tuple(map(cell, _cells(found, one))) for one in found.patterns]
    more = f"\n{len(rows) - _MOST_LINES} more patterns in patterns/patterns.csv\n" if len(rows) > _MOST_LINES else ""
    notes = "".join(f"\n{cell(note)}\n" for note in found.notes)
    gates = gates_table(found.gates)
    return f"## camx patterns: {worst(found.gates)}\n\n{gates}\n{table(_HEADER, rows[:_MOST_LINES])}{more}{notes}"


def lines(found: Patterns) -> Iterator[str]:
    """The patterns for a terminal: a table, what was left out, and the verdicts."""
    rows = [_HEADER, *(_cells(found, one) for one in found.patterns)]
    listed = rows[: _MOST_LINES + 1]
    widths = [max(len(row[column]) for row in listed) for column in range(len(_HEADER))]
    for row in listed:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip()
    if len(rows) > len(listed):
        yield f"{len(rows) - len(listed)} more patterns in patterns/patterns.csv"
    for one in found.patterns:
        if one.checked is not None:
            first, *others = check_words(one.checked)
            yield f"covered {found.name(one)}: {first}"
            yield from (f"  {text}" for text in others)
    flagged = sum(bool(one.flags) for one in found.patterns)
    yield f"{counted(len(found.patterns), 'pattern')} of {counted(len(found.spots), 'spot')}, {flagged} with a flag"
    if found.left_out:
        yield "left out: " + ", ".join(f"{count:,} {why}" for why, count in found.left_out.items())
    yield from found.notes
    for gate in found.gates:
        yield f"{gate.verdict.upper()} {gate.text}: {gate.sentence}"


def _cells(found: Patterns, one: Pattern) -> tuple[str, ...]:
    return (
        found.name(one),
        f"{len(one.images):,}{' (small)' if one.small else ''}",
        f"{100 * one.share.value:.1f} % [{100 * one.share.low:.1f}, {100 * one.share.high:.1f}]",
        f"{one.x:.2f}, {one.y:.2f}",
        f"{one.spread:.3f}",
        _percent(one.with_),
        _percent(one.without),
        ", ".join(flag.replace("_", " ") for flag in one.flags),
    )


_FILL_WORDS = {"mean": "mean colour", "blur": "blur"}


def check_words(checked: Checked) -> Iterator[str]:
    """Sentences about a check: its conclusion, and for each fill the drops next to those of covers elsewhere."""
    evidence = "the network depends on these spots" if checked.used else "no proof that the network depends on them"
    about = f"{counted(checked.images, 'image')} of the class with {100 * checked.probability:.1f} %"
    yield f"{evidence} ({about})"
    for fill in FILLS:
        odds, points = (checked.drops[measure][fill] for measure in (LOGIT_DROP, DROP))
        drops = f"log-odds {_fall(odds, 1, 2)}; of the probability {_fall(points, 100, 1)}"
        yield f"{_FILL_WORDS[fill]}: drop of the {drops}"


def _fall(drop: Drop, unit: float, digits: int) -> str:
    spot, elsewhere, gain, low, high = (
        f"{unit * value:.{digits}f}" for value in (drop.spot, drop.elsewhere, drop.gain, drop.low, drop.high)
    )
    percent = " %" if unit == 100 else ""
    return f"{spot}{percent} against {elsewhere}{percent} elsewhere, which is {gain}{percent} [{low}, {high}] more"


def _percent(value: Number | None) -> str:
    return "–" if value is None else f"{100 * value.value:.1f} %"
