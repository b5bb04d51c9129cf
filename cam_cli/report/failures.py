"""Groups failed and blank images by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

#: Most names under one reason; the table of the run has all.
LISTED = 200


class Failures:
    """Counts failed and blank images by reason, and keeps the first names of each."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._names: dict[str, list[str]] = {}

    def add(self, reason: str, image: str) -> None:
        self._counts[reason] += 1
        names = self._names.setdefault(reason, [])
        if len(names) < LISTED:
            names.append(image)

    def __len__(self) -> int:
        return self._counts.total()

    def __iter__(self) -> Iterator[tuple[str, int, list[str]]]:
        """Reason, number of images, and some names; most frequent reason first."""
        for reason, count in self._counts.most_common():
            yield reason, count, self._names[reason]
