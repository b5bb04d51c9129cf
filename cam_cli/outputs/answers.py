"""Counts of right answers in the rows of `camx ask`."""

from __future__ import annotations

from collections.abc import Iterable

from .rows import ImageRow


def judged(rows: Iterable[ImageRow]) -> tuple[int, int]:
    """Number of right answers, and number of answers whose true answer is known."""
    found = [answer["correct"] for row in rows for answer in row.get("answers", ()) if "correct" in answer]
    return sum(found), len(found)


def all_right(row: ImageRow) -> bool | None:
    """Whether all answers for an image with a known true answer are right; None if no true answer is known."""
    right, total = judged([row])
    return right == total if total else None
