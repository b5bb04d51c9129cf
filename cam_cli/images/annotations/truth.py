"""Records of ground truth, common to all formats, and of the problems in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from .shapes import Box, Shape

Size = tuple[int, int]


class Problem(NamedTuple):
    """A part of the truth that is not scored: image (or file), object in it (or ""), and reason.

    reason: one of a few short texts, by which problems are counted. detail: the offending value.
    """

    image: str
    thing: str
    reason: str
    detail: str = ""


@dataclass
class Problems:
    """Objects of a truth that were left out or changed, in the order of discovery."""

    found: list[Problem] = field(default_factory=list)

    def add(self, image: str, thing: str, reason: str, detail: str = "") -> None:
        self.found.append(Problem(image, thing, reason, detail))

    def counts(self) -> dict[str, int]:
        """Number of objects by reason, the most frequent first."""
        return dict(Counter(problem.reason for problem in self.found).most_common())


@dataclass(frozen=True)
class TruthObject:
    """One annotated object.

    name: its class, "" if the file names none. ignored: why it is not scored (crowd, difficult, void), or "". box: its
    own box, if different from the one around its shape.
    """

    name: str
    shape: Shape
    ignored: str = ""
    box: Box | None = None


@dataclass(frozen=True)
class Annotations:
    """Annotations of one image. size: stated width and height of the image, if any."""

    size: Size | None
    objects: tuple[TruthObject, ...]


@dataclass(frozen=True)
class TruthImage:
    """The truth of one image.

    name: image path in the truth, with `/`. read: returns the objects for an image of an upright size, and reports
    problems.
    """

    name: str
    read: Callable[[Size, Problems], Annotations]


@dataclass(frozen=True)
class Truth:
    """The truth of all images.

    stems: names lack the extension. notes: sentences about ambiguities and their resolution.
    """

    format: str
    images: tuple[TruthImage, ...]
    stems: bool
    problems: Problems
    notes: tuple[str, ...] = ()


def as_read(annotations: Annotations) -> Callable[[Size, Problems], Annotations]:
    """`TruthImage.read` for annotations in memory."""
    return lambda size, problems: annotations


def clean_name(name: str) -> str:
    """Normalises a path from the truth: `/` as separator, no empty parts."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
