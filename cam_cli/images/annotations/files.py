"""Lists and reads the annotation files of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ...errors import CamxError
from ...folders import walk
from ...regular_files import read_regular


def beneath(path: str, extension: str) -> Iterator[tuple[str, str]]:
    """Files with an extension in a folder tree, sorted: the relative path with `/`, and the path.

    For a file, the file itself. Raises `CamxError` if the path does not exist or a folder cannot be listed.
    """
    if os.path.isfile(path):
        yield os.path.basename(path), path
        return
    if not os.path.isdir(path):
        raise CamxError(f"The truth {path!r} does not exist. Check the path.")
    for inside, kind, reason in walk(path):
        if kind == "unlisted":
            raise CamxError(
                f"The folder {os.path.join(path, inside)!r} of the truth cannot be listed: {reason}.",
                "Check its permissions.",
            )
        name = os.path.basename(inside)
        if kind == "file" and name.lower().endswith(extension) and not name.startswith("."):
            yield inside.replace(os.sep, "/"), os.path.join(path, inside)


def read_small(path: str, most: int) -> bytes:
    """Content of a file. Raises `ValueError` if it is unreadable or larger than `most` bytes."""
    try:
        return read_regular(path, most)
    except OSError as error:
        raise ValueError(error.strerror or "it cannot be read") from error


def read_names(path: str) -> list[str] | None:
    """Class names in a text file, one per line; None if the file does not exist."""
    try:
        text = read_small(path, 4 << 20).decode("utf-8-sig", "replace")
    except ValueError:
        return None
    return [line.strip() for line in text.splitlines() if line.strip()]
