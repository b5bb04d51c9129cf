"""Writes an export into a folder: removes stale files of earlier exports, and keeps files of others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import CamxError
from ..folders import files_below
from ..outputs.folder_errors import explained_errors
from ..sentences import counted
from .findings import Exported
from .formats import FORMATS
from .ledger import Ledger
from .options import AUTO

#: Number of files that a message names.
_NAMED = 3


@dataclass(frozen=True)
class ExportResult:
    """Result of an export. files: names in the folder; for many files only their folder. removed: stale files of an
    earlier export. kept: other files in the folder that camx did not write, or that changed since."""

    files: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]


def write_formats(exported: Exported, folder: str, *, overwrite: bool = False) -> ExportResult:
    """Writes all formats of an export into a folder, each file atomically.

    Removes files that an earlier export of these formats wrote and this one does not. Never removes files of others,
    and replaces them only with `overwrite`. Without it, raises `CamxError` for such files before writing anything; also
    raises it if writing fails.
    """
    options = exported.options
    with explained_errors(folder):
        ledger = Ledger.read(folder)
        planned = {name for one in options.format for name in FORMATS[one].paths(exported)}
        foreign = [name for name in sorted(planned) if os.path.lexists(ledger.path(name)) and not ledger.owns(name)]
        if foreign and not overwrite:
            raise CamxError(
                f"{folder!r} has {counted(len(foreign), 'file')} that camx did not write, or that changed since: "
                f"{named(foreign)}.",
                "Choose another `output`, or replace them with `overwrite`.",
                field="overwrite",
            )
        before = [name for name, entry in ledger.entries.items() if entry.format in options.format]
        written = dict[str, None]()
        with ledger.writing():
            for one in options.format:
                shape = FORMATS[one].shapes[0] if options.shape == AUTO else options.shape
                for name, content in FORMATS[one].files(exported.in_shape(shape)):
                    ledger.write(one, name, content)
                    written[name] = None
            stale = [name for name in before if name not in written]
            removed = [name for name in stale if ledger.owns(name)]
            for name in removed:
                ledger.remove(name)
            for name in stale:
                del ledger.entries[name]
    kept = [name for name in _in_folders(exported, folder) if name not in written]
    shown = dict.fromkeys(name if "/" not in name else name.split("/")[0] + "/" for name in written)
    return ExportResult(tuple(shown), tuple(sorted(removed)), tuple(kept))


def named(names: list[str] | tuple[str, ...]) -> str:
    """The first names as text, for a message."""
    return ", ".join(names[:_NAMED]) + " …" * (len(names) > _NAMED)


def _in_folders(exported: Exported, folder: str) -> Iterator[str]:
    """Files in the folders of these formats that readers would treat as part of them."""
    for one in exported.options.format:
        if (stems := FORMATS[one].stems) is not None:
            inside, extension = stems
            for path in files_below(os.path.join(folder, inside)):
                if path.endswith(extension):
                    yield f"{inside}/{path.replace(os.sep, '/')}"
