"""The few figures in the head of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..outputs.journal import BLANK, FAILED, OK
from .page import Fact


def image_facts(counts: Mapping[str, int]) -> list[Fact]:
    """Of images counted by status, and by `right` and `wrong`; each with the address of its images."""
    total = sum(counts.get(status, 0) for status in (OK, FAILED, BLANK))
    right, wrong, blank, failed = (counts.get(name, 0) for name in ("right", "wrong", BLANK, FAILED))
    facts = [Fact(f"{total:,}", "image" if total == 1 else "images", "#")]
    if right + wrong:
        facts.append(Fact(percent(right / (right + wrong)), "right", "#right=right"))
    found = ((wrong, "wrong", "#right=wrong"), (blank, "blank", "#status=blank"), (failed, "failed", "#view=failures"))
    return facts + [Fact(f"{n:,}", words, where, "wrong") for n, words, where in found if n]


def training_facts(metrics: Sequence[Mapping[str, float]], record: Mapping[str, Any]) -> list[Fact]:
    """Of a training: the best epoch, or the last one so far, and the network's own head."""
    if not metrics:
        return []
    row = next((row for row in metrics if row["epoch"] == record.get("best_epoch")), metrics[-1])
    facts = [Fact(percent(row["val_accuracy"]), f"validation accuracy, epoch {row['epoch']:.0f}")]
    own = record.get("original_accuracy")
    return facts if own is None else [*facts, Fact(percent(own), "with the network’s own head")]


def percent(share: float) -> str:
    return f"{100 * share:.1f}\u202f%"
