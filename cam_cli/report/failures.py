"""Failed and blank images, grouped by the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

#: Names that are listed under one reason; all are in the table of the run.
LISTED = 200


class Failures:
    """Images that are failed or blank, counted by reason; of each reason the first few names are kept."""

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
        """Reason, how many images, and the names kept; the most frequent reason first."""
        for reason, count in self._counts.most_common():
            yield reason, count, self._names[reason]
