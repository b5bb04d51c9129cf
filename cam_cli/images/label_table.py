"""What a row of a table says of an image: its true classes, and its attributes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

#: Between the labels of an image that has several.
BETWEEN_LABELS = "|"
_NOT_ATTRIBUTES = ("", "image", "label")


@dataclass(frozen=True, slots=True)
class Truth:
    """labels: the true classes of an image, as the user wrote them. attributes: the other columns of its row, each a
    name and a text; empty cells are left out."""

    labels: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()

    def joined(self, other: Truth) -> Truth:
        """With the labels of another row for the same image, and those of its attributes that this one lacks."""
        labels = tuple(dict.fromkeys((*self.labels, *other.labels)))
        return Truth(labels, tuple({**dict(other.attributes), **dict(self.attributes)}.items()))

    def contradicts(self, other: Truth) -> bool:
        """Whether two rows for the same image have another text for the same attribute."""
        known = dict(self.attributes)
        return any(known.get(name, text) != text for name, text in other.attributes)


NO_TRUTH = Truth()


def truth_of(row: Mapping[str, str]) -> Truth:
    """The labels (several are separated by `|`) and attributes of a row with column names in lower case."""
    labels = [label.strip() for label in row.get("label", "").split(BETWEEN_LABELS)]
    # Few texts stand in very many rows.
    attributes = [(sys.intern(name), sys.intern(text)) for name, text in row.items() if name not in _NOT_ATTRIBUTES]
    return Truth(
        tuple(dict.fromkeys(sys.intern(label) for label in labels if label)),
        tuple((name, text) for name, text in attributes if text),
    )
