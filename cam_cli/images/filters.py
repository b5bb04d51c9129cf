"""Decides which files of a folder are images, by extension or by the patterns of the user."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Annotated

from ..declared_types import Names, names_of
from ..options import INPUT, Flag
from .label_table import Columns

#: Extensions of images in folders. `--include` replaces this rule.
EXTENSIONS = frozenset(
    [
        ".avif",
        ".bmp",
        ".dib",
        ".gif",
        ".heic",
        ".heif",
        ".ico",
        ".jfif",
        ".j2k",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".mpo",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".qoi",
        ".tga",
        ".tif",
        ".tiff",
        ".webp",
    ]
)


@dataclass(frozen=True)
class Filters:
    """Selection of images.

    include: patterns that replace the extensions in folders. exclude: patterns of images to leave out. columns: columns
    of images and labels in lists.
    """

    include: Annotated[
        Names,
        Flag(
            "Take these files from folders, instead of those with image extensions. Repeatable.",
            panel=INPUT,
            repeatable=True,
            lines=True,
            example="*.jpg",
        ),
    ] = names_of()
    exclude: Annotated[
        Names,
        Flag("Leave these images out. Repeatable.", panel=INPUT, repeatable=True, lines=True, example="*_mask.png"),
    ] = names_of()
    columns: Columns = Columns()

    def takes(self, inside: str) -> bool:
        """Whether a file counts as an image, by its path with `/` within the folder."""
        return matches(inside, self.include) if self.include else has_image_name(inside)


def matches(key: str, patterns: Iterable[str]) -> bool:
    """Whether a path with `/`, or its last part, matches one of the patterns."""
    name = key.rsplit("/", 1)[-1]
    return any(fnmatch(key, pattern) or fnmatch(name, pattern) for pattern in patterns)


def has_image_name(path: str) -> bool:
    """Whether a file has the extension of an image."""
    return os.path.splitext(path)[1].lower() in EXTENSIONS
