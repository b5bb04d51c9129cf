"""Finds the options of a project: `camx.toml`, or `[tool.camx]` in `pyproject.toml`, in this folder or above.

Ignores files of other users, because their values could select code to run.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Any

from cam_cli.errors import CamxError
from cam_cli.regular_files import CONFIG_BYTES, read_regular

from .toml_text import toml

NAME = "camx.toml"
PROJECT = "pyproject.toml"
#: Table in a project file.
_TABLE = ("tool", "camx")


def discovered(start: str) -> str | None:
    """Path of the nearest file with options, from `start` up to the root of its repository, or None."""
    for folder in _upwards(start):
        for name in (NAME, PROJECT):
            path = os.path.join(folder, name)
            if _is_own(path) and (name == NAME or _has_table(path)):
                return os.path.relpath(path, start) if folder == start else path
    return None


def own_table(content: dict[str, Any]) -> dict[str, Any]:
    """Table `[tool.camx]` of a project file."""
    table: Any = content
    for name in _TABLE:
        table = table.get(name, {}) if isinstance(table, dict) else {}
    return table if isinstance(table, dict) else {}


def _upwards(start: str) -> Iterator[str]:
    """The folder and those above it, up to a repository or the home of the user."""
    folder, home = os.path.abspath(start), os.path.expanduser("~")
    while True:
        yield folder
        above = os.path.dirname(folder)
        if above == folder or folder == home or os.path.lexists(os.path.join(folder, ".git")):
            return
        folder = above


def _is_own(path: str) -> bool:
    """Whether the path is a regular file of this user or the administrator."""
    try:
        found = os.stat(path)
    except OSError:
        return False
    own = not hasattr(os, "geteuid") or found.st_uid in (0, os.geteuid())
    return stat.S_ISREG(found.st_mode) and own


def _has_table(path: str) -> bool:
    """Whether a project file has options of camx. Ignores an unreadable file, which other tools report."""
    try:
        return bool(own_table(toml(read_regular(path, CONFIG_BYTES).decode("utf-8"))))
    except (OSError, ValueError, RecursionError, CamxError):
        return False
