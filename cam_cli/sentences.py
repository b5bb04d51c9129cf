"""Words of messages that depend on a number."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 image`, `2,000 images`, or `many` for a plural that is not `one` with an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
