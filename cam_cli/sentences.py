"""Formats numbers with their nouns for messages."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """Number with its noun: `1 image`, `2,000 images`. many: irregular plural."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
