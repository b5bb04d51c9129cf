"""Chooses the images of a run that are most worth looking at, for a table that cannot hold all."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..outputs.rows import BLANK, FAILED, ImageRow
from ..sentences import counted

#: A best class below this probability is a doubtful one.
DOUBT = 0.5
WRONG, EMPTY, DOUBTFUL, SPREAD = "wrong", "blank", "low confidence", "spread over classes"
#: A rank, larger is taken first; the place among the rows, negative, so that earlier wins; the image.
_Ranked = tuple[float, int, str]


@dataclass
class TableSample:
    """Takes every row once and keeps the names of at most `cap` images per reason.

    In this order, until `cap` are found: wrong ones, the surest first; blank ones; correct or unlabelled ones below
    `DOUBT`, the least sure first; then the others, one of each class in turn. A class is the label, or else the
    best class. Failed images are not chosen.
    """

    cap: int
    seen: int = 0
    _wrong: list[_Ranked] = field(default_factory=list)
    _doubtful: list[_Ranked] = field(default_factory=list)
    _blank: list[str] = field(default_factory=list)
    _classes: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, row: ImageRow) -> None:
        if row["status"] == FAILED:
            return
        self.seen += 1
        top = row.get("top")
        best, sure = (top[0]["name"], top[0]["prob"]) if top else ("", 1.0)
        if row.get("correct") is False:
            self._keep(self._wrong, (sure, -self.seen, row["image"]))
        elif row["status"] == BLANK:
            if len(self._blank) < self.cap:
                self._blank.append(row["image"])
        elif sure < DOUBT:
            self._keep(self._doubtful, (-sure, -self.seen, row["image"]))
        else:
            same = self._classes[row.get("label") or best]
            if len(same) < self.cap:
                same.append(row["image"])

    def chosen(self) -> dict[str, str]:
        """The images and the reason for each, the most remarkable first."""
        reasons: list[tuple[str, Sequence[str]]] = [
            (WRONG, [name for _, _, name in sorted(self._wrong, reverse=True)]),
            (EMPTY, self._blank),
            (DOUBTFUL, [name for _, _, name in sorted(self._doubtful, reverse=True)]),
            (SPREAD, self._in_turn()),
        ]
        every = [(name, why) for why, names in reasons for name in names]
        return dict(every[: self.cap])

    def words(self) -> str:
        """Describes the sample in a sentence."""
        counts = Counter(self.chosen().values())
        shown = counts.total()
        if shown == self.seen:
            del counts[SPREAD]
        parts = ", ".join(f"{count} {why}" for why, count in counts.items())
        return f"{shown} of {counted(self.seen, 'image')}" + (f" ({parts})" if parts else "")

    def _keep(self, heap: list[_Ranked], ranked: _Ranked) -> None:
        if len(heap) < self.cap:
            heapq.heappush(heap, ranked)
        elif heap:
            heapq.heappushpop(heap, ranked)

    def _in_turn(self) -> list[str]:
        """The first of every class, then the second of every class …"""
        places = [(place, number, name) for number, names in enumerate(self._classes.values())
                  for place, name in enumerate(names)]  # fmt: skip
        return [name for _, _, name in heapq.nsmallest(self.cap, places)]
