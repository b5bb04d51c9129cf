"""Chooses the most informative images of a run for a table that cannot hold all."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..outputs.rows import BLANK, FAILED, ImageRow
from ..sentences import counted

#: A prediction below this probability counts as doubtful.
DOUBT = 0.5
WRONG, EMPTY, DOUBTFUL, SPREAD = "wrong", "blank", "low confidence", "spread over classes"
#: Rank (largest first), negative row number (earlier rows first) and image.
_Ranked = tuple[float, int, str]


@dataclass
class TableSample:
    """Collects rows and keeps the names of at most `cap` images per reason.

    Order, until `cap` are found: wrong predictions, most confident first; blank maps; correct or unlabelled images
    below `DOUBT`, least confident first; then the others, one of each class in turn. The class is the label, or
    the prediction without one. Failed images are not chosen.
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
        best, confidence = (top[0]["name"], top[0]["prob"]) if top else ("", 1.0)
        if row.get("correct") is False:
            self._keep(self._wrong, (confidence, -self.seen, row["image"]))
        elif row["status"] == BLANK:
            if len(self._blank) < self.cap:
                self._blank.append(row["image"])
        elif confidence < DOUBT:
            self._keep(self._doubtful, (-confidence, -self.seen, row["image"]))
        else:
            same = self._classes[row.get("label") or best]
            if len(same) < self.cap:
                same.append(row["image"])

    def chosen(self) -> dict[str, str]:
        """Images with their reason, in the order of the class docstring."""
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
        """The first image of every class, then the second of every class …, at most `cap`."""
        places = [(place, number, name) for number, names in enumerate(self._classes.values())
                  for place, name in enumerate(names)]  # fmt: skip
        return [name for _, _, name in heapq.nsmallest(self.cap, places)]
