"""Formats numbers with their nouns, and names of layers, for messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


def counted(number: int, one: str, many: str = "") -> str:
    """Number with its noun: `1 image`, `2,000 images`. many: irregular plural."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def joined_layers(names: Iterable[str]) -> str:
    """Target layers by name: `layer3+layer4`; levels of one module once, with their number: `backbone (5 levels)`."""
    return "+".join(name if number == 1 else f"{name} ({number} levels)" for name, number in Counter(names).items())
