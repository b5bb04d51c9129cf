"""Reads a row of a label table: true classes and attributes of an image."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from ..options import INPUT, Flag

#: Separator of several labels of one image.
BETWEEN_LABELS = "|"


@dataclass(frozen=True)
class Columns:
    """Names of the columns with the image and its label. Case does not matter."""

    image: Annotated[
        str,
        Flag("Column of the labels file or list that names the image.", name="image-column", panel=INPUT, order=-1),
    ] = "image"
    label: Annotated[
        str,
        Flag("Column of the labels file or list with the label.", name="label-column", panel=INPUT, order=-1),
    ] = "label"

    @property
    def image_key(self) -> str:
        """The name in the rows of `read_table`."""
        return self.image.strip().lower()

    @property
    def label_key(self) -> str:
        """The name in the rows of `read_table`."""
        return self.label.strip().lower()

    @property
    def advice(self) -> str:
        """Advice for an error about missing columns."""
        return "Add a header line `image,label`, or name the columns with `image_column` and `label_column`."


@dataclass(frozen=True, slots=True)
class Truth:
    """Row of an image.

    labels: true classes as the user wrote them. attributes: (name, text) of the other columns without empty cells.
    """

    labels: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()

    def joined(self, other: Truth) -> Truth:
        """Adds the labels of another row of the same image, and its attributes that this row lacks."""
        labels = tuple(dict.fromkeys((*self.labels, *other.labels)))
        return Truth(labels, tuple({**dict(other.attributes), **dict(self.attributes)}.items()))

    def contradicts(self, other: Truth) -> bool:
        """Whether two rows of the same image have different values of an attribute."""
        known = dict(self.attributes)
        return any(known.get(name, text) != text for name, text in other.attributes)


NO_TRUTH = Truth()


def truth_of(row: Mapping[str, str], columns: Columns = Columns()) -> Truth:
    """The labels (several are separated by `|`) and attributes of a row with column names in lower case."""
    no_attributes = ("", columns.image_key, columns.label_key)
    labels = [label.strip() for label in row.get(columns.label_key, "").split(BETWEEN_LABELS)]
    # Many rows share few texts.
    attributes = [(sys.intern(name), sys.intern(text)) for name, text in row.items() if name not in no_attributes]
    return Truth(
        tuple(dict.fromkeys(sys.intern(label) for label in labels if label)),
        tuple((name, text) for name, text in attributes if text),
    )
