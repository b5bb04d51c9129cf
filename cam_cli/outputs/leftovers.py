"""Removes files of earlier runs from an output folder, but never files of others."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Set

from ..folders import files_below
from ..run_layout import REPORT, REPORT_DATA, REPORT_PART, RESULT_FOLDERS, THUMBNAILS
from . import store

#: Suffix of a result after the name of its image.
_ENDING = re.compile(r"(\.[\w+-]+\.\d+)?\.(png|jpg|webp|npy)$")
#: Digest that separates names of images that some file systems treat as equal.
_APART = re.compile(r"~[0-9a-f]{12}$")


def remove_results(path: str, keys: Set[str]) -> None:
    """Removes result files of the images `keys`."""
    for file, inside in _results(path):
        name = _ENDING.sub("", inside)
        if name in keys or _APART.sub("", name) in keys:
            store.remove_if_there(file)


def remove_temporary_files(path: str) -> None:
    """Removes temporary files of a killed run."""
    with os.scandir(path) as listing:
        here = [entry.path for entry in listing]
    for file in (*here, *(file for file, _ in _results(path))):
        if file.endswith(store.TEMPORARY):
            store.remove_if_there(file)


def remove_report(path: str) -> None:
    """Removes the report and its data files, but not the thumbnails, which belong to the journal."""
    store.remove_if_there(os.path.join(path, REPORT))
    remove_report_data(path, but="")


def remove_report_data(path: str, *, but: str) -> None:
    """Removes data files of earlier reports. Files whose names start with `but` belong to the present one."""
    data = os.path.join(path, REPORT_DATA)
    for name in os.listdir(data) if os.path.isdir(data) else ():
        if REPORT_PART.fullmatch(name) and not (but and name.startswith(but)):
            store.remove_if_there(os.path.join(data, name))


def _results(path: str) -> Iterator[tuple[str, str]]:
    """Paths of all files in the result folders, with their names relative to OUT."""
    for result in (*RESULT_FOLDERS, THUMBNAILS):
        start = os.path.join(path, result)
        for inside in files_below(start):
            yield os.path.join(start, inside), inside.replace(os.sep, "/")
