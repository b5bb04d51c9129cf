"""Attributes for an audit: columns of the table, the class, and derived values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import CamxError, nearest
from .groups import CLASS, DERIVED, TIMES, Attribute, Bins, classes, column, crossing, derived
from .image_table import ImageTable

#: A column with more values is shown only on request: its groups would be tiny.
MOST_GROUPS = 50


class Attributes:
    """Attributes of a table by name: columns, class, and values derived from images."""

    def __init__(self, table: ImageTable, bins: Sequence[str]) -> None:
        """Raises `CamxError` if `bins` name a column that is missing or has no numbers."""
        self._table = table
        self._bins = {found.name: found for found in map(Bins.parse, bins)}
        self._known: dict[str, Attribute | None] = {}
        for name in self._bins:
            if name not in table.attributes:
                raise CamxError(f"`bins` {name}: there is no such column.{self._hint(name)}", field="bins")
        self.columns = [name for name in table.attributes if any(table.attributes[name])]

    @property
    def names(self) -> list[str]:
        return [*dict.fromkeys((*self.columns, CLASS, *DERIVED))]

    def find(self, name: str) -> Attribute:
        """An attribute, or a crossing of several (`sex × site` or `sex*site`). Raises `CamxError` if it does not
        exist."""
        parts = [part.strip() for part in name.replace("*", TIMES).split("×")]
        if len(parts) > 1:
            return crossing([self._one(part) for part in parts])
        return self._one(name.strip())

    def defaults(self) -> tuple[list[Attribute], list[str]]:
        """Default attributes, and sentences about those that are left out."""
        found, notes = [], []
        for name in self.names:
            attribute = self._get(name)
            if attribute is None:
                if name == "brightness":
                    notes.append("The run has no brightness of its images, because an earlier camx wrote it.")
            elif attribute.kind == "column" and len(attribute.groups) > MOST_GROUPS:
                notes.append(
                    f"{name} has {len(attribute.groups):,} values and is left out. Name it with `by`, or group its "
                    "numbers with `bins`."
                )
            elif len(attribute.groups) > (attribute.kind == "derived"):
                found.append(attribute)
        return found, notes

    def clusters(self, name: str) -> np.ndarray:
        """Cluster of each image, −1 for none. Raises `CamxError` for an unknown column."""
        column_name = name.strip().casefold()
        if column_name not in self._table.attributes:
            raise CamxError(f"`cluster` {name!r}: there is no such column.{self._hint(column_name)}", field="cluster")
        return column(column_name, self._table.attributes[column_name]).codes

    def _one(self, name: str) -> Attribute:
        attribute = self._get(name.casefold())
        if attribute is not None:
            return attribute
        if name.casefold() in DERIVED:
            raise CamxError(f"The run has no {name} of its images: explain them again, or leave {name!r} out.")
        raise CamxError(f"There is no attribute {name!r}.{self._hint(name)}")

    def _get(self, name: str) -> Attribute | None:
        if name not in self._known:
            self._known[name] = self._computed(name)
        return self._known[name]

    def _computed(self, name: str) -> Attribute | None:
        columns: Mapping[str, Sequence[str]] = self._table.attributes
        if name in columns:
            return self._bins[name].groups(columns[name]) if name in self._bins else column(name, columns[name])
        if name == CLASS:
            return classes(self._table)
        return derived(name, self._table) if name in DERIVED else None

    def _hint(self, name: str) -> str:
        known = [*dict.fromkeys((*self._table.attributes, CLASS, *DERIVED))]
        return nearest(name.casefold(), known) or f" There are {', '.join(known)}."
