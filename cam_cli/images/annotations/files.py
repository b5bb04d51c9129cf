"""Files of annotations in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ...errors import CamxError


def beneath(path: str, extension: str) -> Iterator[tuple[str, str]]:
    """Files with an extension in a folder and below it, sorted: the path within the folder, with `/`, and the path.

    A file stands for itself. Raises `CamxError` for a path that is not there.
    """
    if os.path.isfile(path):
        yield os.path.basename(path), path
        return
    if not os.path.isdir(path):
        raise CamxError(f"The truth {path!r} is not there. Check the path.")
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            if name.lower().endswith(extension) and not name.startswith("."):
                file = os.path.join(folder, name)
                yield os.path.relpath(file, path).replace(os.sep, "/"), file


def read_small(path: str, most: int) -> bytes:
    """The content of a file. Raises `ValueError` for one that cannot be read or is larger than it can honestly be."""
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise ValueError(error.strerror or "it cannot be read") from error
    if len(data) > most:
        raise ValueError(f"larger than {most >> 20} MB")
    return data


def read_names(path: str) -> list[str] | None:
    """Class names of a text file, one per line; None where there is no such file."""
    try:
        text = read_small(path, 4 << 20).decode("utf-8-sig", "replace")
    except ValueError:
        return None
    return [line.strip() for line in text.splitlines() if line.strip()]
