"""Files of annotations in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ...errors import CamxError
from ...folders import walk
from ...regular_files import read_regular


def beneath(path: str, extension: str) -> Iterator[tuple[str, str]]:
    """Files with an extension in a folder and below it, sorted: the path within the folder, with `/`, and the path.

    A file stands for itself. Raises `CamxError` for a path that is not there.
    """
    if os.path.isfile(path):
        yield os.path.basename(path), path
        return
    if not os.path.isdir(path):
        raise CamxError(f"The truth {path!r} is not there. Check the path.")
    for inside, kind, reason in walk(path):
        if kind == "unlisted":
            raise CamxError(f"The folder {os.path.join(path, inside)!r} of the truth cannot be listed: {reason}.")
        name = os.path.basename(inside)
        if kind == "file" and name.lower().endswith(extension) and not name.startswith("."):
            yield inside.replace(os.sep, "/"), os.path.join(path, inside)


def read_small(path: str, most: int) -> bytes:
    """The content of a file. Raises `ValueError` for one that cannot be read or is larger than it can honestly be."""
    try:
        return read_regular(path, most)
    except OSError as error:
        raise ValueError(error.strerror or "it cannot be read") from error


def read_names(path: str) -> list[str] | None:
    """Class names of a text file, one per line; None where there is no such file."""
    try:
        text = read_small(path, 4 << 20).decode("utf-8-sig", "replace")
    except ValueError:
        return None
    return [line.strip() for line in text.splitlines() if line.strip()]
