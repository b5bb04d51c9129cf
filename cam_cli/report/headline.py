"""Figures in the head of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..outputs.epoch_rows import EpochRow
from ..outputs.record import RunRecord
from ..outputs.rows import BLANK, FAILED, OK
from .page import Figure
from .rounding import percent


def image_figures(counts: Mapping[str, int]) -> list[Figure]:
    """Figures from counts by status and by `right` and `wrong`, each with the address of its images."""
    total = sum(counts.get(status, 0) for status in (OK, FAILED, BLANK))
    right, wrong, blank, failed = (counts.get(name, 0) for name in ("right", "wrong", BLANK, FAILED))
    figures = [Figure(f"{total:,}", "image" if total == 1 else "images", "#")]
    if right + wrong:
        figures.append(Figure(percent(right / (right + wrong)), "right", "#right=right"))
    found = ((wrong, "wrong", "#right=wrong"), (blank, "blank", "#status=blank"), (failed, "failed", "#view=failures"))
    return figures + [Figure(f"{n:,}", words, where, "wrong") for n, words, where in found if n]


def training_figures(metrics: Sequence[EpochRow], record: RunRecord) -> list[Figure]:
    """Validation accuracy of the best epoch (or the last one so far), and of the network's own head."""
    if not metrics:
        return []
    row = next((row for row in metrics if row["epoch"] == record.get("best_epoch")), metrics[-1])
    own, accuracy = record.get("original_accuracy"), row.get("val_accuracy")
    found = ((accuracy, f"validation accuracy, epoch {row['epoch']}"), (own, "with the network’s own head"))
    return [Figure(percent(share), words) for share, words in found if share is not None]
