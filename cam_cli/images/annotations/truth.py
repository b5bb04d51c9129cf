"""Ground truth of many images as one kind of record, whatever file it comes from, and what of it is of no use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from .shapes import Box, Shape

Size = tuple[int, int]


class Problem(NamedTuple):
    """Something of the truth that is not scored: which image (or file), which object in it, or "", and why.

    `reason` is one of a few short texts, by which problems are counted; `detail` tells more.
    """

    image: str
    thing: str
    reason: str
    detail: str = ""


@dataclass
class Problems:
    """Objects of a truth that were left out or changed, in the order in which they were found."""

    found: list[Problem] = field(default_factory=list)

    def add(self, image: str, thing: str, reason: str, detail: str = "") -> None:
        self.found.append(Problem(image, thing, reason, detail))

    def counts(self) -> dict[str, int]:
        """Number of objects by reason, the most frequent first."""
        return dict(Counter(problem.reason for problem in self.found).most_common())


@dataclass(frozen=True)
class TruthObject:
    """One annotated object. `name`: its class, "" where the file tells none. `ignored`: why it is not scored (crowd,
    difficult, void), or "". `box`: its own box where that is not the one around its shape."""

    name: str
    shape: Shape
    ignored: str = ""
    box: Box | None = None


@dataclass(frozen=True)
class Annotations:
    """Annotations of one image. `size`: width and height of the image that the pixels belong to, if stated."""

    size: Size | None
    objects: tuple[TruthObject, ...]


@dataclass(frozen=True)
class TruthImage:
    """The truth of one image: `name` as the truth calls it, with `/`; `read` gives it for an image of an upright size,
    and adds to the problems."""

    name: str
    read: Callable[[Size, Problems], Annotations]


@dataclass(frozen=True)
class Truth:
    """All of a truth. `stems`: its names lack the extension. `notes`: what had to be decided, as sentences."""

    format: str
    images: tuple[TruthImage, ...]
    stems: bool
    problems: Problems
    notes: tuple[str, ...] = ()


def as_read(annotations: Annotations) -> Callable[[Size, Problems], Annotations]:
    """`TruthImage.read` of annotations that are in memory already."""
    return lambda size, problems: annotations


def clean_name(name: str) -> str:
    """A path as the truth writes it, with `/`, without what says nothing."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
