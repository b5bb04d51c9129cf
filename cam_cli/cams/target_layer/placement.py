"""The placement check: where the image changes, the feature map must change too.

Each quarter of the probe in turn gets another content. Each position of the map votes for the quarter whose change
moved it most, relative to the change of the whole map. In a map that lies where the image is, each quarter votes for
itself. In a map that is transposed, mirrored, shifted, shuffled or read along the wrong axis, it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_NAMES = ("upper left", "upper right", "lower left", "lower right")
#: The smallest squared change of a position that counts, as a share of the largest one.
_MOVED = 1e-12
#: A vote is clear if its change is larger than every other one by this much, in logarithms of squares.
_CLEAR = 0.4
#: The share of votes that must be for the own quarter, and of the positions of a quarter whose votes must be clear.
_MAJORITY = 0.5
#: With fewer positions in a quarter, chance would decide (see `small_grids`).
FEWEST = 4
#: The share of the votes for several contents that must agree in each quarter of such a map.
_AGREED = 0.75

#: Row q, column i: the number of positions in quarter q of a map that vote for quarter i of the image. Quarters are
#: upper left, upper right, lower left, lower right.
Votes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Placement:
    """Votes of the positions of a map.

    clear: the clear ones alone. votes: all. positions: those of a quarter, counted once per content. few: the map has
    so few positions that only votes which agree decide.
    """

    clear: Votes
    votes: Votes
    positions: int
    few: bool = False

    @classmethod
    def of_several(cls, rounds: Sequence[Placement]) -> Placement:
        """Adds up the votes for several contents of each quarter, of a map with few positions."""
        clear, votes = (
            tuple(tuple(map(sum, zip(*rows))) for rows in zip(*each))
            for each in ([one.clear for one in rounds], [one.votes for one in rounds])
        )
        return cls(clear, votes, sum(one.positions for one in rounds), few=True)

    @property
    def decided(self) -> bool:
        """Whether most positions of any quarter have clear votes."""
        return any(map(self._decided, self.clear))

    @property
    def fits(self) -> bool:
        """Whether each quarter with clear votes follows its own quarter of the image first, as do most clear votes.

        Quarters without clear votes decide nothing: attention of random weights, for example, moves all positions
        alike. A map with few positions fits unless its quarters agree on four different quarters that are not all their
        own.
        """
        if self.few:
            return len(set(agreed := self._agreed)) < 4 or None in agreed or agreed == [0, 1, 2, 3]
        rows = [(q, row) for q, row in enumerate(self.clear) if self._decided(row)]
        own = sum(row[q] for q, row in rows)
        return all(row[q] == max(row) for q, row in rows) and own >= _MAJORITY * sum(sum(row) for _, row in rows)

    @property
    def proven(self) -> bool:
        """Whether the map fits, by clear votes or by most of all votes in every quarter."""
        if self.few:
            return self._agreed == [0, 1, 2, 3]
        return self.fits and (self.decided or all(row[q] > _MAJORITY * sum(row) for q, row in enumerate(self.votes)))

    @property
    def agreement(self) -> float:
        """The share of all votes that are for their own quarter, in [0, 1]."""
        return sum(row[q] for q, row in enumerate(self.votes)) / max(1, sum(map(sum, self.votes)))

    @property
    def reason(self) -> str:
        """The quarter of a map that does not fit, and the quarter of the image that it follows instead."""
        wrong = [q for q in range(4) if self._decided(self.clear[q])]
        quarter = min(wrong, key=lambda q: self.clear[q][q] / sum(self.clear[q]))
        row = self.clear[quarter]
        other = max((i for i in range(4) if i != quarter), key=lambda i: row[i])
        return (
            f"its {_NAMES[quarter]} quarter changes with the {_NAMES[other]} quarter of the image "
            f"({row[quarter]} of {sum(row)} positions follow their own quarter)"
        )

    @property
    def _agreed(self) -> list[int | None]:
        """For each quarter of the map, the quarter of the image on which its votes agree; None if they do not."""
        return [row.index(max(row)) if max(row) > _AGREED * max(1, sum(row)) else None for row in self.votes]

    def _decided(self, row: tuple[int, ...]) -> bool:
        return self.positions >= FEWEST and sum(row) > _MAJORITY * self.positions


def quarter_pictures(picture: Tensor, content: int = 0) -> Tensor:
    """Returns an image 1×C×H×W, then four copies, each with another content in one quarter: 5×C×H×W.

    content: the number of the content; each number gives another one.
    """
    copies = picture.repeat(5, 1, 1, 1)
    # The image upside down and mirrored: equal statistics, other content.
    steps = [content * side * 3 // 16 for side in picture.shape[2:]]
    other = picture.flip((2, 3)).roll((1, *steps), dims=(1, 2, 3))
    for index, part in enumerate(quarters(other)):
        quarters(copies[index + 1 : index + 2])[index].copy_(part.neg())
    return copies


def placement_of(features: Tensor) -> Placement:
    """Counts the votes of the feature maps 5×C×h×w of `quarter_pictures`."""
    maps = features.double()
    # Channels count alike: a few of a transformer are a hundred times as large as the others.
    spread = maps.std((0, 2, 3), keepdim=True)
    maps = maps / torch.maximum(spread, 1e-6 * spread.max().clamp_min(1e-300))
    changes = (maps[1:] - maps[:1]).square().sum(1)
    floor = _MOVED * changes.max().clamp_min(1e-300)
    logs = (changes + floor).log()
    best = (logs - logs.mean((1, 2), keepdim=True)).topk(2, dim=0)
    moved = changes.amax(0) > floor
    clear = moved & (best.values[0] - best.values[1] > _CLEAR)
    winner = best.indices[0]
    return Placement(_counts(winner, clear), _counts(winner, moved), quarters(moved)[0].numel())


def _counts(winner: Tensor, voting: Tensor) -> Votes:
    return tuple(
        tuple(int(((part == index) & some).sum()) for index in range(4))
        for part, some in zip(quarters(winner), quarters(voting))
    )


def quarters(maps: Tensor) -> Sequence[Tensor]:
    """Returns the quarters of maps …×h×w as views; a middle row or column of an odd number is in none."""
    height, width = maps.shape[-2] // 2, maps.shape[-1] // 2
    rows, columns = (slice(0, height), slice(-height, None)), (slice(0, width), slice(-width, None))
    return [maps[..., row, column] for row in rows for column in columns]
