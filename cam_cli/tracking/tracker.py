"""Interface of trackers, and the values that they take: numbers, tables with images, charts, files."""

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
    """Identity of a run. command: its kind (`explain`). output: folder of the results. name: for display. config: plain
    values on which the results depend. identity: equal for runs that continue each other."""

    command: str
    output: str
    name: str
    config: Mapping[str, Any]
    identity: str


@dataclass(frozen=True)
class Box:
    """A rectangle in an image: left, top, right, bottom in [0, 1], and the name of its content."""

    position: tuple[float, float, float, float]
    caption: str


@dataclass(frozen=True)
class ImageCell:
    """An image in a cell. side: longest side in pixels, None for the file as it is. masks: uint8 grids h×w over the
    whole image by the name of the mask; each value is an index into `names`. boxes: by the name of their kind.
    caption: text below the image in a gallery."""

    path: str
    side: int | None = None
    masks: Mapping[str, np.ndarray] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    boxes: Mapping[str, Sequence[Box]] = field(default_factory=dict)
    caption: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells. A column holds images (or None) or scalars."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Scalar | ImageCell]]


@dataclass(frozen=True)
class Gallery:
    """Images with captions side by side. A gallery that is logged at several steps has a slider."""

    images: Sequence[ImageCell]


@dataclass(frozen=True)
class Confusion:
    """Counts of images by (true class, predicted class)."""

    counts: Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class Chart:
    """A line or bar chart. lines: x and y values by name. bars: heights by text."""

    title: str
    x: str
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]] = field(default_factory=dict)
    bars: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Files:
    """A group of files, by their names in the tracker. kind: such as `model`."""

    kind: str
    paths: Mapping[str, str]
    metadata: Mapping[str, Any] = field(default_factory=dict)


Value = Scalar | Table | Gallery | Confusion | Chart | Files


@dataclass(frozen=True)
class Step:
    """Position of a value on a named axis: epoch 3, image 1200."""

    axis: str
    value: int


class Tracker(Protocol):
    """Receives one run: `begin` once, `log` any number of times, `finish` once. Each may raise."""

    def begin(self, info: RunInfo) -> None:
        """Starts the run, or continues that of the same output and identity."""

    def log(self, values: Mapping[str, Value], at: Step | None = None) -> None:
        """Logs values by their names."""

    def finish(self, summary: Mapping[str, Scalar], exit_code: int) -> None:
        """Logs the summary of the run and uploads everything that is still queued."""


def identity(of: Mapping[str, Any]) -> str:
    """Digest of the values on which a run depends: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(of, sort_keys=True, default=str).encode()).hexdigest()[:16]
