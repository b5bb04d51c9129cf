"""The test of a suspicion: what is covered for it, and what the drops of the class say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..outputs.rows import ImageRow
from ..sentences import counted
from ..statistics import Resampler, Sample, Totals, z_of
from .records import Checked, Drop, Patterns

#: Radius of a cover, as a share of the long side of the input; places elsewhere that are covered for comparison.
RADIUS, ELSEWHERE = 0.1, 4
#: Fills of a cover: the mean colour of the image, and the image blurred.
FILLS = ("mean", "blur")

Place = tuple[float, float]


@dataclass(frozen=True)
class Covered:
    """Covers of one pattern in an image. name: of the pattern. target: index of its class in the output of the network.
    spots: its places, as shares of the width and height. avoided: places of all spots of the image, from which covers
    elsewhere keep away."""

    name: str
    target: int
    spots: tuple[Place, ...]
    avoided: tuple[Place, ...]


def covered_of(found: Patterns, count: int) -> Mapping[str, tuple[Covered, ...]]:
    """Covers of each image: of every pattern that is not small, in its `count` most typical images."""
    wanted: dict[str, list[Covered]] = {}
    spots = found.spots
    first = np.searchsorted(spots.owner, np.arange(len(spots.table) + 1))
    for pattern in found.patterns:
        if pattern.small:
            continue
        own = set(pattern.spots.tolist())
        for image in pattern.images[:count].tolist():
            every = range(int(first[image]), int(first[image + 1]))
            places = {place: (float(spots.x[place]), float(spots.y[place])) for place in every}
            covers = tuple(places[place] for place in every if place in own)
            one = Covered(found.name(pattern), spots.indices[pattern.target], covers, tuple(places.values()))
            wanted.setdefault(spots.table.images[image], []).append(one)
    return {name: tuple(some) for name, some in wanted.items()}


def with_checks(found: Patterns, rows: Iterable[ImageRow], seed: int) -> Patterns:
    """The patterns with the drops that a check has measured, and a note on images that could not be scored."""
    scores: dict[str, list[dict[str, float]]] = {}
    lost = 0
    for row in rows:
        lost += not row.get("maps")
        for one in row.get("maps", ()):
            if one.get("scores"):
                scores.setdefault(one.get("method", ""), []).append(one["scores"])
    patterns = tuple(
        replace(one, checked=_checked(some, found.confidence, seed)) if (some := scores.get(found.name(one))) else one
        for one in found.patterns
    )
    notes = [*found.notes, f"{counted(lost, 'image')} could not be checked."] if lost else found.notes
    return replace(found, patterns=patterns, notes=notes)


def _checked(scores: list[dict[str, float]], confidence: float, seed: int) -> Checked:
    columns = {name: np.array([one.get(name, np.nan) for one in scores]) for name in scores[0]}
    drops = {}
    for fill in FILLS:
        spot, elsewhere = columns[f"drop_{fill}"], columns[f"elsewhere_{fill}"]
        gain = spot - elsewhere
        sample = Sample.of(gain, np.zeros(len(gain), int), 1)
        drawn = Resampler(seed=seed).estimate(sample, Totals.mean)
        low, high = drawn.limits(z_of(1 - confidence), np.array([0]))
        drops[fill] = Drop(
            float(spot.mean()), float(elsewhere.mean()), float(gain.mean()), float(low[0]), float(high[0])
        )
    return Checked(len(scores), drops)
