"""Everything below a folder, whatever the folder looks like: nothing raises, and no link is followed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

Kind = Literal["folder", "file", "linked", "other", "unlisted"]


class Below(NamedTuple):
    """Something in a folder or below it. `path` begins inside the folder, with the separator of the system.

    kind: `file` is a regular one, or a link to one; `linked` a link to a folder; `other` a pipe, a socket, a device or
    a link that leads nowhere; `unlisted` a folder of which the content is not known, for `reason`.
    """

    path: str
    kind: Kind
    reason: str = ""


def walk(folder: str, enter: Callable[[str], bool] = lambda path: True) -> Iterator[Below]:
    """Lists the files and links below a folder, sorted by the parts of their paths; folders are left out.

    `enter`: whether to look into a folder, by its whole path. Names may be no text.
    """
    waiting = [iter(_listed(folder, ""))]
    while waiting:
        one = next(waiting[-1], None)
        if one is None:
            waiting.pop()
        elif one.kind != "folder":
            yield one
        elif enter(os.path.join(folder, one.path)):
            waiting.append(iter(_listed(folder, one.path)))


def files_below(folder: str) -> Iterator[str]:
    """The regular files below a folder, as paths inside it; none where it cannot be listed."""
    return (one.path for one in walk(folder) if one.kind == "file")


def _listed(folder: str, inside: str) -> list[Below]:
    """Entries of a folder, sorted by name."""
    try:
        with os.scandir(os.path.join(folder, inside)) as listing:
            return sorted(Below(os.path.join(inside, entry.name), *_kind(entry)) for entry in listing)
    # A name that the system refuses is a `ValueError`.
    except (OSError, ValueError) as error:
        return [Below(inside or os.curdir, "unlisted", getattr(error, "strerror", None) or str(error))]


def _kind(entry: os.DirEntry[str]) -> tuple[Kind, str]:
    try:
        if entry.is_dir(follow_symlinks=False):
            return "folder", ""
        if entry.is_file():
            return "file", ""
        return ("linked" if entry.is_dir() else "other"), ""
    # A link in a circle, or into a folder that is closed.
    except OSError as error:
        return "other", error.strerror or ""
