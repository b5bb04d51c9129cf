"""A comparison as `summary.json`, as Markdown for a CI job, and as lines for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..gates import cell, gates_table, table
from ..gates.verdict import worst
from ..sentences import counted
from .maps import CHANCE
from .options import CompareOptions
from .records import FLIPS, SAME, Comparison, MapNumbers, Number

#: Number of listed images with the same prediction and the least similar maps.
_LEAST_ALIKE = 10
_MOST_LINES = 60
_TITLES = {"all": "all images", "same": "same prediction", "differs": "another prediction"}


def summary(found: Comparison, options: CompareOptions) -> dict[str, Any]:
    """Content of `summary.json`."""
    return {
        "verdict": worst(found.gates),
        "gates": [gate.as_dict() for gate in found.gates],
        "images": len(found.a),
        "flips": {word: found.count(word) for word in FLIPS},
        "accuracy": _accuracy(found),
        "maps": {name: _maps(numbers) for name, numbers in found.maps.items()},
        "map_iou_chance": round(CHANCE, 6),
        "map_iou_shuffled": _rounded(found.likeness.shuffled),
        "least_alike": least_alike(found),
        "only_in_a": list(found.unmatched[0]),
        "only_in_b": list(found.unmatched[1]),
        "left_out": dict(found.left_out),
        "notes": list(found.notes),
        "models": [record.get("plan", {}).get("model") for record in found.records],
        "options": {name: value for name, value in vars(options).items() if name != "partial"},
    }


def least_alike(found: Comparison) -> list[str]:
    """Images with the same prediction and the least similar maps."""
    cosine = np.where(found.flips == FLIPS.index(SAME), found.likeness.cosine, np.nan)
    order = np.argsort(cosine, kind="stable")[: int(np.isfinite(cosine).sum())]
    return [found.a.images[place] for place in order[:_LEAST_ALIKE].tolist()]


def _accuracy(found: Comparison) -> dict[str, Any] | None:
    accuracy = found.accuracy
    if accuracy is None:
        return None
    counts = {name: getattr(accuracy, name) for name in ("both", "broke", "fixed", "neither")}
    numbers = {name: _number(getattr(accuracy, name)) for name in ("a", "b", "difference")}
    return {**counts, **numbers, "p_mcnemar": _rounded(accuracy.p)}


def _maps(numbers: MapNumbers) -> dict[str, Any]:
    return {name: _number(getattr(numbers, name)) for name in ("cosine", "iou", "shift")}


def _number(found: Number) -> dict[str, Any]:
    limits = {name: _rounded(getattr(found, name)) for name in ("value", "low", "high")}
    return {**limits, "n": found.total}


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def lines(found: Comparison) -> Iterator[str]:
    """The comparison for a terminal."""
    words = ", ".join(f"{found.count(word):,} {word}" for word in FLIPS[1:])
    flipped = found.flipped
    both = counted(len(found.a), "image")
    yield f"{both} in both; another prediction in {flipped:,} ({flipped / len(found.a):.1%}): {words}"
    if found.accuracy:
        yield accuracy_line(found)
    for name, numbers in found.maps.items():
        yield maps_line(_TITLES[name], numbers)
    if found.maps:
        yield f"{'':20}IoU of two random fifths {CHANCE:.3f}{_shuffled(found)}"
        if names := least_alike(found)[:3]:
            yield f"least alike with the same prediction: {', '.join(names)}"
    if found.left_out:
        yield "left out: " + ", ".join(f"{count:,} {why}" for why, count in found.left_out.items())
    yield from found.notes
    for gate in found.gates:
        yield f"{gate.verdict.upper()} {gate.text}: {gate.sentence}"


def accuracy_line(found: Comparison) -> str:
    """Sentence with both accuracies and their difference."""
    accuracy = found.accuracy
    assert accuracy is not None
    seen, level = accuracy.difference, f"{100 * found.confidence:g} %"
    return (
        f"accuracy A {accuracy.a.value:.2%}, B {accuracy.b.value:.2%}: {100 * seen.value:+.2f} points, between "
        f"{100 * seen.low:+.2f} and {100 * seen.high:+.2f} ({level}, n = {seen.total:,}); broke {accuracy.broke:,}, "
        f"fixed {accuracy.fixed:,}, McNemar p {accuracy.p:.2g}"
    )


def maps_line(title: str, numbers: MapNumbers) -> str:
    """Similarity of the maps of some images, as one line."""
    iou = numbers.iou
    return (
        f"{title:20}IoU of the hottest fifths {iou.value:.3f} [{iou.low:.3f}, {iou.high:.3f}], cosine "
        f"{numbers.cosine.value:.3f}, peaks {numbers.shift.value:.3f} of the side apart (n = {iou.total:,})"
    )


def _shuffled(found: Comparison) -> str:
    shuffled = found.likeness.shuffled
    return f", with the map of another image {shuffled:.3f}" if math.isfinite(shuffled) else ""


def markdown(found: Comparison) -> str:
    """The comparison as a section of a CI job's summary."""
    sentences = [line.strip() for line in lines(found)][: -len(found.gates) or None]
    points = "".join(f"* {cell(sentence)}\n" for sentence in sentences)
    header = ("attribute", "group", "n", "broke", "fixed", "changed", "accuracy B − A", "IoU of the maps")
    rows = [
        (
            *(cell(text) for text in (row.by, row.group)),
            *(f"{count:,}" for count in (row.images, row.broke, row.fixed, row.changed)),
            cell(_points(row.difference)),
            cell(f"{row.iou.value:.3f}" if row.iou else "–"),
        )
        for row in found.groups[:_MOST_LINES]
    ]
    listed = table(header, rows) if rows else ""
    return f"## camx compare: {worst(found.gates)}\n\n{gates_table(found.gates)}\n{points}\n{listed}"


def _points(found: Number | None) -> str:
    return f"{100 * found.value:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]" if found else "–"
