"""Walks through a folder tree. Never raises, never follows a link."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

Kind = Literal["folder", "file", "linked", "other", "unlisted"]


class FolderEntry(NamedTuple):
    """An entry below a folder. path: relative, with the separator of the system.

    kind: `file` (regular, or a link to one), `linked` (link to a folder), `other` (pipe, socket, device or broken
    link), `unlisted` (folder that cannot be listed, for `reason`).
    """

    path: str
    kind: Kind
    reason: str = ""


def walk(folder: str, enter: Callable[[str], bool] = lambda path: True) -> Iterator[FolderEntry]:
    """Lists files and links below a folder, sorted by the parts of their paths, without folders.

    enter: whether to descend into a folder, by its full path. Names may hold bytes that are not UTF-8.
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
    """Regular files below a folder as relative paths; none if it cannot be listed."""
    return (one.path for one in walk(folder) if one.kind == "file")


def _listed(folder: str, inside: str) -> list[FolderEntry]:
    """Entries of a folder, sorted by name."""
    try:
        with os.scandir(os.path.join(folder, inside)) as listing:
            return sorted(FolderEntry(os.path.join(inside, entry.name), *_kind(entry)) for entry in listing)
    # Python raises `ValueError` for an invalid name.
    except (OSError, ValueError) as error:
        return [FolderEntry(inside or os.curdir, "unlisted", getattr(error, "strerror", None) or str(error))]


def _kind(entry: os.DirEntry[str]) -> tuple[Kind, str]:
    try:
        if entry.is_dir(follow_symlinks=False):
            return "folder", ""
        if entry.is_file():
            return "file", ""
        return ("linked" if entry.is_dir() else "other"), ""
    # A circular link, or one into an inaccessible folder.
    except OSError as error:
        return "other", error.strerror or ""
