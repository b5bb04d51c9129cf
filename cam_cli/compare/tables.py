"""Writes `images.csv`, one line per pair, and `groups.csv`, one line per class and group."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..outputs.tables import line, number, text
from .records import FLIPS, Comparison, Number

_OF_IMAGES = ("image", "label", "a_top1", "a_prob", "b_top1", "b_prob", "flip", "map_cosine", "map_iou20",
              "peak_shift", "border_a", "border_b")  # fmt: skip
_OF_GROUPS = ("by", "group", "n", "labelled", "right_a", "right_b", "broke", "fixed", "changed", "difference", "low",
              "high", "map_iou", "map_iou_low", "map_iou_high", "small")  # fmt: skip


def images_csv(found: Comparison) -> Iterator[bytes]:
    """Pairs in the order of A."""
    yield line(list(_OF_IMAGES))
    names = [[*table.classes, "", ""] for table in (found.a, found.b)]
    alike = found.likeness
    columns = (
        found.a.label, found.a.predicted, found.a.numbers["prob"], found.b.predicted, found.b.numbers["prob"],
        found.flips, alike.cosine, alike.iou, alike.shift, *found.borders,
    )  # fmt: skip
    for image, label, top_a, prob_a, top_b, prob_b, flip, *maps in zip(
        found.a.images, *(column.tolist() for column in columns)
    ):
        cells = (text(image), text(names[0][label]), text(names[0][top_a]), finite(prob_a))
        yield line([*cells, text(names[1][top_b]), finite(prob_b), FLIPS[flip], *map(finite, maps)])


def groups_csv(found: Comparison) -> Iterator[bytes]:
    """Groups of each attribute."""
    yield line(list(_OF_GROUPS))
    for row in found.groups:
        yield line(
            [
                *(text(row.by), text(row.group), row.images, row.labelled, row.right_a, row.right_b),
                *(row.broke, row.fixed, row.changed, *_interval(row.difference), *_interval(row.iou)),
                "true" if row.small else "false",
            ]
        )


def _interval(found: Number | None) -> list[str]:
    return ["", "", ""] if found is None else [finite(found.value), finite(found.low), finite(found.high)]


def finite(value: float) -> str:
    """A number as text; "" if unknown."""
    return number(value if math.isfinite(value) else None)
