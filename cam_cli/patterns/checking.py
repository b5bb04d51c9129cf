"""Plans the covers that test a pattern, and evaluates the drops of the class score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import CamxError, nearest
from ..outputs.rows import ImageRow, MapRow
from ..sentences import counted
from ..statistics import Drawn, Resampler, Sample, Totals, z_of
from .options import ALL, FLAGGED
from .records import FILLS, MEASURES, Checked, Drop, Pattern, Patterns

#: Radius of a cover, as a share of the long side of the input; number of draws of places elsewhere.
RADIUS, ELSEWHERE = 0.1, 2

Place = tuple[float, float]


def score_name(measure: str, fill: str, *, elsewhere: bool = False) -> str:
    """Name of a score in a row of the check and in `checks.csv`."""
    return f"{measure}_{'elsewhere_' if elsewhere else ''}{fill}"


@dataclass(frozen=True)
class Covered:
    """Covers of one pattern in an image. name: of the pattern. target: index of its class in the output of the network.
    spots: places as shares of width and height. avoided: places of all spots of the image, which covers elsewhere
    avoid."""

    name: str
    target: int
    spots: tuple[Place, ...]
    avoided: tuple[Place, ...]


def suspects(found: Patterns, cover: Sequence[str]) -> tuple[Pattern, ...]:
    """Patterns that `cover` selects. Raises `CamxError` for an unknown name."""
    names = {found.name(one): one for one in found.patterns}
    wanted: list[Pattern] = []
    for text in cover:
        if text == ALL:
            wanted += [one for one in found.patterns if not one.small]
        elif text == FLAGGED:
            wanted += [one for one in found.patterns if one.flags]
        elif text in names:
            wanted.append(names[text])
        else:
            raise CamxError(
                f"`cover` {text!r} is no pattern of {found.path!r}.{nearest(text, names)}",
                "Give flagged, all, or the class and the number of a pattern, such as 'cat 1'.",
                field="cover",
            )
    return tuple({found.name(one): one for one in wanted}.values())


def covered_of(found: Patterns, wanted: Iterable[Pattern], count: int) -> Mapping[str, tuple[Covered, ...]]:
    """Covers of each image for the selected patterns, each in its `count` most typical images."""
    covers: dict[str, list[Covered]] = {}
    spots = found.spots
    first = np.searchsorted(spots.owner, np.arange(len(spots.table) + 1))
    for pattern in wanted:
        own = set(pattern.spots.tolist())
        for image in pattern.images[:count].tolist():
            every = range(int(first[image]), int(first[image + 1]))
            places = {place: (float(spots.x[place]), float(spots.y[place])) for place in every}
            spot = tuple(places[place] for place in every if place in own)
            one = Covered(found.name(pattern), spots.indices[pattern.target], spot, tuple(places.values()))
            covers.setdefault(spots.table.images[image], []).append(one)
    return {name: tuple(some) for name, some in covers.items()}


def with_checks(found: Patterns, rows: Iterable[ImageRow], seed: int) -> Patterns:
    """Patterns with the drops that a check measured, and a note about images that could not be scored."""
    shown: dict[str, list[MapRow]] = {}
    lost = 0
    for row in rows:
        lost += not row.get("maps")
        for one in row.get("maps", ()):
            if one.get("scores"):
                shown.setdefault(one.get("method", ""), []).append(one)
    patterns = tuple(
        replace(one, checked=_checked(some, found.confidence, seed)) if (some := shown.get(found.name(one))) else one
        for one in found.patterns
    )
    notes = [*found.notes, f"{counted(lost, 'image')} could not be checked."] if lost else found.notes
    return replace(found, patterns=patterns, notes=notes)


def drawn_gains(gains: Sequence[np.ndarray], seed: int) -> Drawn:
    """Mean gains of several patterns, each with a bootstrap over images."""
    values = np.concatenate([*gains, np.zeros(0)])
    groups = np.repeat(np.arange(len(gains)), np.array([len(one) for one in gains], int))
    return Resampler(seed=seed).estimate(Sample.of(values, groups, len(gains)), Totals.mean)


def _checked(shown: Sequence[MapRow], confidence: float, seed: int) -> Checked:
    probability = float(np.mean([one.get("target_prob", np.nan) for one in shown]))
    drops = {
        measure: {fill: _drop([one["scores"] for one in shown], measure, fill, confidence, seed) for fill in FILLS}
        for measure in MEASURES
    }
    return Checked(len(shown), probability, drops)


def _drop(scores: Sequence[Mapping[str, float]], measure: str, fill: str, confidence: float, seed: int) -> Drop:
    spot, elsewhere = (
        np.array([one[score_name(measure, fill, elsewhere=away)] for one in scores]) for away in (False, True)
    )
    gains = spot - elsewhere
    low, high = drawn_gains([gains], seed).limits(z_of(1 - confidence), np.array([0]))
    return Drop(float(spot.mean()), float(elsewhere.mean()), float(gains.mean()), float(low[0]), float(high[0]), gains)
