"""Names result files by the stem of their image."""

from __future__ import annotations

import os
from collections.abc import Iterator

from .findings import Exported, ImageFindings

#: Most bytes of a stem, which leaves room for an extension.
_LONGEST = 251


def by_stem(exported: Exported) -> Iterator[tuple[str, ImageFindings]]:
    """Images with their stems, without those of `unnamed`."""
    taken = set[str]()
    for image in exported.images():
        stem = os.path.splitext(image.image)[0]
        if _is_free(stem, taken):
            taken.add(stem)
            yield stem, image


def stems(exported: Exported) -> Iterator[str]:
    """Stems of the images that get a file."""
    taken = set[str]()
    for record in exported.records():
        stem = os.path.splitext(record.image)[0]
        if _is_free(stem, taken):
            taken.add(stem)
            yield stem


def unnamed(exported: Exported) -> list[str]:
    """Images without a file: an earlier one has the same stem, or the name is too long or leads out of the folder."""
    taken, found = set[str](), []
    for record in exported.records():
        stem = os.path.splitext(record.image)[0]
        if not _is_free(stem, taken):
            found.append(record.image)
        taken.add(stem)
    return found


def _is_free(stem: str, taken: set[str]) -> bool:
    parts = stem.replace("\\", "/").split("/")
    if any(len(os.fsencode(part)) > _LONGEST for part in parts):
        return False
    return stem not in taken and not os.path.isabs(stem) and not {"", ".", ".."} & set(parts)
