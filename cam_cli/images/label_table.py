"""Row of a label table: the true classes of an image, and its attributes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from ..options import INPUT, Flag

#: Between the labels of an image that has several.
BETWEEN_LABELS = "|"


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table that have the image and its label; lower and upper case are the same."""

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
        """Advice for a table without these columns."""
        return "Add a header line `image,label`, or name the columns with `image_column` and `label_column`."


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


def truth_of(row: Mapping[str, str], columns: Columns = Columns()) -> Truth:
    """The labels (several are separated by `|`) and attributes of a row with column names in lower case."""
    no_attributes = ("", columns.image_key, columns.label_key)
    labels = [label.strip() for label in row.get(columns.label_key, "").split(BETWEEN_LABELS)]
    # Few texts stand in very many rows.
    attributes = [(sys.intern(name), sys.intern(text)) for name, text in row.items() if name not in no_attributes]
    return Truth(
        tuple(dict.fromkeys(sys.intern(label) for label in labels if label)),
        tuple((name, text) for name, text in attributes if text),
    )
