"""Groups of images by attribute."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from ..errors import CamxError
from .image_table import ImageTable

Kind = Literal["column", "class", "derived", "crossing"]

CLASS = "class"
#: Attributes known for every image, grouped into quartiles.
DERIVED = ("brightness", "aspect", "size")
#: Separator of crossed attributes and groups.
TIMES = " × "


@dataclass(frozen=True)
class Attribute:
    """An attribute. groups: names in the order of tables. codes: N, the group of each image, −1 for none. predicted:
    for the attribute `class`, the group of the predicted class."""

    name: str
    groups: tuple[str, ...]
    codes: np.ndarray
    kind: Kind = "column"
    predicted: np.ndarray | None = None


def column(name: str, values: Sequence[str]) -> Attribute:
    """Groups by the distinct values of a column; "" means no group."""
    found = np.array(values, dtype=object)
    groups = sorted({value for value in values if value}, key=_natural)
    places = {value: place for place, value in enumerate(groups)}
    return Attribute(name, tuple(groups), np.array([places.get(value, -1) for value in found.tolist()], int))


def classes(table: ImageTable) -> Attribute:
    """Groups by true class, for classes that occur as a label."""
    present = np.unique(table.label[table.label >= 0])
    places = np.full(len(table.classes) + 1, -1)
    places[present] = np.arange(len(present))
    names = tuple(table.classes[place] for place in present)
    return Attribute(CLASS, names, places[np.maximum(table.label, -1)], "class", places[table.predicted])


def derived(name: str, table: ImageTable) -> Attribute | None:
    """Quartiles of `brightness`, `aspect` (width / height) or `size` (megapixels); None if unknown."""
    width, height = table.numbers["width"], table.numbers["height"]
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {
            "brightness": table.numbers["brightness"],
            "aspect": width / height,
            "size": width * height / 1e6,
        }[name]
    if not np.isfinite(values).any():
        return None
    return quantiles(name, values, 4, "derived")


def quantiles(name: str, values: np.ndarray, count: int, kind: Kind = "column") -> Attribute:
    """`count` groups of about equal size. Equal values are in one group."""
    known = np.isfinite(values)
    levels = np.arange(1, count) / count
    edges = np.unique(np.quantile(values[known], levels, method="inverted_cdf"))
    codes = np.where(known, np.searchsorted(edges, values, side="left"), -1)
    present, codes[known] = np.unique(codes[known], return_inverse=True)
    names = []
    for place in range(len(present)):
        inside = values[known & (codes == place)]
        low, high = f"{inside.min():.4g}", f"{inside.max():.4g}"
        names.append(low if low == high else f"{low} – {high}")
    return Attribute(name, _numbered(names), codes, kind)


def intervals(name: str, values: np.ndarray, edges: Sequence[float]) -> Attribute:
    """Groups between edges: below the first, from each to below the next, from the last on."""
    known = np.isfinite(values)
    codes = np.where(known, np.searchsorted(np.array(edges), values, side="right"), -1)
    shown = [f"{edge:g}" for edge in edges]
    between = [f"{low} – < {high}" for low, high in pairwise(shown)]
    return Attribute(name, (f"< {shown[0]}", *between, f"≥ {shown[-1]}"), codes)


def crossing(attributes: Sequence[Attribute]) -> Attribute:
    """Intersections of the groups of several attributes, without empty ones."""
    sizes = [len(attribute.groups) for attribute in attributes]
    known = np.all([attribute.codes >= 0 for attribute in attributes], axis=0)
    codes = np.full(len(known), -1)
    inside = [attribute.codes[known] for attribute in attributes]
    present, codes[known] = np.unique(np.ravel_multi_index(inside, sizes), return_inverse=True)
    names = [
        TIMES.join(attribute.groups[place] for attribute, place in zip(attributes, places))
        for places in zip(*np.unravel_index(present, sizes))
    ]
    return Attribute(TIMES.join(attribute.name for attribute in attributes), tuple(names), codes, "crossing")


@dataclass(frozen=True)
class Bins:
    """Groups numbers of a column at `edges`, or into `count` groups of equal size."""

    name: str
    edges: tuple[float, ...] = ()
    count: int = 0

    @classmethod
    def parse(cls, text: str) -> Bins:
        """Parses `age=18,40,65` or `age=q4`. Raises `CamxError` for anything else."""
        name, _, how = text.partition("=")
        quantile = re.fullmatch(r"q([1-9]\d?)", how.strip())
        try:
            edges = () if quantile else tuple(float(edge) for edge in how.split(","))
        except ValueError:
            edges = ()
        count = int(quantile[1]) if quantile else 0
        rising = all(low < high for low, high in pairwise(edges)) and bool(np.isfinite(edges).all())
        if not name.strip() or not rising or (not edges and count < 2):
            raise CamxError(
                f"`bins` {text!r} is invalid.",
                "Write COLUMN=EDGE,EDGE with rising edges, or COLUMN=q4 for quarters.",
                field="bins",
            )
        return cls(name.strip().casefold(), edges, count)

    def groups(self, values: Sequence[str]) -> Attribute:
        """Groups of a column. Raises `CamxError` if it has no numbers."""
        numbers = np.array([_number(value) for value in values])
        if not np.isfinite(numbers).any():
            example = next((value for value in values if value), "")
            raise CamxError(
                f"`bins` {self.name}: the column has no numbers (its first value is {example!r}).",
                "Leave `bins` out.",
                field="bins",
            )
        return intervals(self.name, numbers, self.edges) if self.edges else quantiles(self.name, numbers, self.count)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _natural(text: str) -> list[tuple[int, float, str]]:
    """Sort key for names with numbers in them: 2 comes before 10."""
    parts = re.split(r"(\d+)", text.casefold())
    return [(0, float(part), "") if part.isdecimal() else (1, 0.0, part) for part in parts] + [(2, 0.0, text)]


def _numbered(names: Sequence[str]) -> tuple[str, ...]:
    """Makes names unique: groups with equal rounded bounds get their number in brackets."""
    return tuple(name if names.count(name) == 1 else f"{name} ({place})" for place, name in enumerate(names, 1))
