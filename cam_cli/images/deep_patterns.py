"""Matches path patterns in which `**` stands for any number of folders."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import pairwise


def fits(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether a path matches a pattern, both as lists of parts; `**` stands for any number of folders.

    A part that begins with a dot matches only a pattern that begins with one.
    """
    places = _with_empty({0}, wanted)
    for part in parts:
        after = set()
        for place in places:
            if place == len(wanted):
                continue
            pattern = wanted[place]
            if part.startswith(".") and not pattern.startswith("."):
                continue
            if pattern == "**":
                after |= {place, place + 1} if place == len(wanted) - 1 else {place}
            elif fnmatchcase(part, pattern):
                after.add(place + 1)
        places = _with_empty(after, wanted)
    return len(wanted) in places


def _with_empty(places: set[int], wanted: Sequence[str]) -> set[int]:
    """The positions, and those behind a `**` that matches no folder. At the end `**` matches at least a file."""
    found = set(places)
    for place, after in pairwise(range(len(wanted))):
        if place in found and wanted[place] == "**":
            found.add(after)
    return found
