"""The interface of a tracker: identity of a run, numbers, tables with images, files, summary and exit code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

Scalar = float | int | str | bool | None


@dataclass(frozen=True)
class RunInfo:
    """Identity of a run. `command` is its kind (`explain`); `output` the folder of the results; `name` what a person
    would call it; `config` what it depends on, as plain values; `identity` is the same for runs that continue each
    other."""

    command: str
    output: str
    name: str
    config: Mapping[str, Any]
    identity: str


@dataclass(frozen=True)
class Box:
    """A rectangle of an image: left, top, right, bottom in [0, 1], and what is in it."""

    position: tuple[float, float, float, float]
    caption: str


@dataclass(frozen=True)
class ImageCell:
    """An image in a cell: its file, and at most `side` pixels of it (None: as it is). `masks` are grids h×w of
    uint8, each cell a number from `names`, by the name of what they show; they cover the whole image. `boxes`: by the
    name of what they surround. `caption` stands below it in a gallery."""

    path: str
    side: int | None = None
    masks: Mapping[str, np.ndarray] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    boxes: Mapping[str, Sequence[Box]] = field(default_factory=dict)
    caption: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells. A column holds images (None where there is none) or scalars."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Scalar | ImageCell]]


@dataclass(frozen=True)
class Gallery:
    """Images with captions beside each other. Logged at several steps, they are looked through by a slider."""

    images: Sequence[ImageCell]


@dataclass(frozen=True)
class Confusion:
    """Counts of images by (true class, predicted class)."""

    counts: Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class Chart:
    """Lines, by name, or bars in their place. lines: x and y; bars: their texts and heights."""

    title: str
    x: str
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]] = field(default_factory=dict)
    bars: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Files:
    """Files that belong together, by their names in the tracker; `kind` such as `model`."""

    kind: str
    paths: Mapping[str, str]
    metadata: Mapping[str, Any] = field(default_factory=dict)


Value = Scalar | Table | Gallery | Confusion | Chart | Files


@dataclass(frozen=True)
class Step:
    """Position of a value on an axis of its own: epoch 3, image 1200."""

    axis: str
    value: int


class Tracker(Protocol):
    """Takes one run: `begin`, then `log` as often as there is something, then `finish`. Any of them may raise."""

    def begin(self, info: RunInfo) -> None:
        """Start the run, or continue the one of the same output and identity."""

    def log(self, values: Mapping[str, Value], at: Step | None = None) -> None:
        """Take values by their names."""

    def finish(self, summary: Mapping[str, Scalar], exit_code: int) -> None:
        """Take the summary of the run, and hand on all that is still held."""


def identity(of: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits of what a run depends on."""
    return hashlib.sha256(json.dumps(of, sort_keys=True, default=str).encode()).hexdigest()[:16]
