"""Writes `patterns.csv`, one line per pattern, and `images.csv`, one line per spot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..outputs.tables import line, number, text
from .gating import DROPS
from .records import FLAGS, Checked, Number, Patterns

_OF_PATTERNS = (
    *("pattern", "class", "images", "share", "share_low", "share_high", "spots", "x", "y", "spread", "border"),
    *("exclusive", "accuracy_with", "accuracy_without", "outside"),
    *("same_place", "outside_flag", "one_class", "small"),
    *("covered", "used", *(f"{name}_{part}" for name in DROPS for part in ("gain", "low", "high")), "examples"),
)
#: Number of example images in a line.
EXAMPLES = 12


def patterns_csv(found: Patterns) -> Iterator[bytes]:
    """One line per pattern, by class, most images first. Examples are joined by a vertical bar."""
    yield line(list(_OF_PATTERNS))
    images, classes = found.spots.table.images, found.spots.table.classes
    for one in found.patterns:
        cells: list[Any] = [
            *(one.number, text(classes[one.target]), len(one.images)),
            *map(number, (one.share.value, one.share.low, one.share.high)),
            *(len(one.spots), *map(number, (one.x, one.y, one.spread, one.border, one.exclusive))),
            *map(_value, (one.with_, one.without, one.outside)),
            *("true" if flag in one.flags else "false" for flag in FLAGS),
            "true" if one.small else "false",
            *_drops(one.checked),
            text("|".join(images[i] for i in one.images[:EXAMPLES].tolist())),
        ]
        yield line(cells)


def _drops(checked: Checked | None) -> Iterator[Any]:
    """Cells of a check: images, whether the network uses the pattern, and additional drops against covers elsewhere."""
    if checked is None:
        yield from [""] * (2 + 3 * len(DROPS))
        return
    yield from (checked.images, "true" if checked.used else "false")
    for measure, fill in DROPS.values():
        drop = checked.drops[measure][fill]
        yield from map(number, (drop.gain, drop.low, drop.high))


def _value(value: Number | None) -> str:
    return number(value.value if value else None)


def images_csv(found: Patterns) -> Iterator[bytes]:
    """One line per spot, in the order of the names of images."""
    yield line(["image", "class", "pattern", "x", "y", "strength"])
    spots = found.spots
    for place in range(len(spots)):
        if found.cluster[place] < 0:
            continue
        one = found.patterns[int(found.cluster[place])]
        yield line(
            [
                *(text(spots.table.images[int(spots.owner[place])]), text(spots.table.classes[one.target]), one.number),
                *(number(float(column[place])) for column in (spots.x, spots.y, spots.share)),
            ]
        )
