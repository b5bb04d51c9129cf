"""Removes what earlier runs have left in an output folder; files of others stay."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Set

from ..folders import files_below
from ..run_layout import REPORT, REPORT_DATA, REPORT_PART, RESULT_FOLDERS, THUMBNAILS
from . import store

#: The end of the name of a result, behind the name of its image.
_ENDING = re.compile(r"(\.[\w+-]+\.\d+)?\.(png|jpg|webp|npy)$")
#: What tells the names of two images apart that some file systems take for one.
_APART = re.compile(r"~[0-9a-f]{12}$")


def remove_results(path: str, keys: Set[str]) -> None:
    """Remove the files in the folders of results whose names are those of images `keys`."""
    for file, inside in _results(path):
        name = _ENDING.sub("", inside)
        if name in keys or _APART.sub("", name) in keys:
            store.remove_if_there(file)


def remove_temporary_files(path: str) -> None:
    """Remove the temporary files of a run that was killed."""
    with os.scandir(path) as listing:
        here = [entry.path for entry in listing]
    for file in (*here, *(file for file, _ in _results(path))):
        if file.endswith(store.TEMPORARY):
            store.remove_if_there(file)


def remove_report(path: str) -> None:
    """Remove the page and its data files; thumbnails belong to the journal."""
    store.remove_if_there(os.path.join(path, REPORT))
    remove_report_data(path, but="")


def remove_report_data(path: str, *, but: str) -> None:
    """Remove the data files of earlier pages; those whose names start with `but` are of the present one."""
    data = os.path.join(path, REPORT_DATA)
    for name in os.listdir(data) if os.path.isdir(data) else ():
        if REPORT_PART.fullmatch(name) and not (but and name.startswith(but)):
            store.remove_if_there(os.path.join(data, name))


def _results(path: str) -> Iterator[tuple[str, str]]:
    """All files in the folders of results: their paths, and their names within, with `/`."""
    for result in (*RESULT_FOLDERS, THUMBNAILS):
        start = os.path.join(path, result)
        for inside in files_below(start):
            yield os.path.join(start, inside), inside.replace(os.sep, "/")
