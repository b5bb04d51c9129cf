"""The output folder of a run: one fingerprint, files written whole, nothing of others touched."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ..errors import CamxError, UnreadableImage
from ..run_layout import (
    ACTIVATIONS_TABLE,
    DERIVED,
    JOURNAL,
    PARTS,
    RECORD,
    RESULT_FOLDERS,
    TABLE,
    is_result,
)
from . import leftovers, store
from .fingerprints import differences
from .folder_lock import folder_lock
from .journal import Journal
from .record import RunRecord, read_record, record_bytes
from .rows import ImageRow

_OURS = (JOURNAL, TABLE, ACTIVATIONS_TABLE, RECORD, *sorted(RESULT_FOLDERS - {PARTS}))


F = TypeVar("F", bound="OutputFolder")


class ResultSink(Protocol):
    """Takes the results of images: files, and the rows that name them."""

    def write(self, relative: str, data: bytes) -> None:
        """Write one file of a result."""

    def append(self, rows: Sequence[ImageRow]) -> None:
        """Take rows whose files are written."""


@dataclass
class OutputFolder:
    """An output folder that this process holds (`locked_folder`); `begin` opens its journal for a fingerprint."""

    path: str
    _journal: Journal | None = None

    @property
    def journal(self) -> Journal:
        assert self._journal is not None, "begin() opens the journal"
        return self._journal

    def check(self, fingerprint: Mapping[str, Any], *, overwrite: bool = False) -> None:
        """Raise `CamxError` if the folder holds results of another fingerprint, or files of others; change nothing.

        With `overwrite` only files of others are refused.
        """
        before = self.run_record()
        if before is None:
            if present := [name for name in _OURS if os.path.lexists(self.file(name))]:
                raise CamxError(
                    f"{self.path!r} holds {present[0]!r}, which camx did not write there. Choose another `output`."
                )
        elif before["fingerprint"].get("command") != fingerprint.get("command"):
            other = before["fingerprint"].get("command", "another command")
            raise CamxError(f"{self.path!r} holds results of `camx {other}`. Choose another `output`.")
        elif not overwrite and (different := differences(before["fingerprint"], fingerprint)):
            raise CamxError(
                f"{self.path!r} holds results of another run; different are {', '.join(different)}. "
                "Choose another `output`, or replace them with `overwrite`."
            )

    def begin(self, fingerprint: Mapping[str, Any], keys: Iterable[str] = (), *, overwrite: bool = False) -> None:
        """Open the journal. `overwrite` removes the results of another fingerprint, or of a finished run, first.

        `keys` are the images of this run: what a killed run has left of them without a line in the journal goes too.
        """
        self.check(fingerprint, overwrite=overwrite)
        with explained_errors(self.path):
            before = self.run_record()
            leftovers.remove_temporary_files(self.path)
            if before is not None:
                unfinished = before.get("state") != "finished" and not differences(before["fingerprint"], fingerprint)
                if overwrite and not unfinished:
                    self._clear(frozenset(keys))
            self.record({"fingerprint": dict(fingerprint), "state": "running"})
            self.open_journal()

    def open_journal(self) -> None:
        """Open the journal as it is now."""
        with explained_errors(self.path):
            self.close()
            self._journal = Journal.open(self.file(JOURNAL))

    def problems(self) -> list[str]:
        """Sentences on lines of the open journal that are damaged."""
        count = self.journal.damaged
        if not count:
            return []
        lines = "line of the journal is" if count == 1 else "lines of the journal are"
        return [f"{count} damaged {lines} left out; an image without another line is explained again."]

    def close(self) -> None:
        """Close the journal; what is in it is on the disk already."""
        if self._journal is not None:
            self._journal.close()

    def file(self, relative: str) -> str:
        """The path of a file of the run in the file system."""
        return os.path.join(self.path, relative)

    def write(self, relative: str, data: bytes) -> None:
        """Write one result whole. Raises `CamxError` when the disk is full or the folder not writable, and
        `UnreadableImage` when a result of another image lies where this one's folder should be, or the reverse."""
        with explained_errors(self.path):
            try:
                store.write_file(self.file(relative), data, below=self.path)
            except store.Outside as error:
                raise UnreadableImage(
                    f"its results would be written outside the output folder: {error.strerror}"
                ) from error
            except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
                raise UnreadableImage(f"{relative!r} is taken by another image's result") from error

    def publish(self, relative: str) -> None:
        """Make what lies below a folder of the run visible at its address; on a local disk it already is."""

    def remove(self, relative: str) -> None:
        """Delete a file of the run; one that is gone already is fine."""
        store.remove_if_there(self.file(relative))

    def append(self, rows: Sequence[ImageRow]) -> None:
        """Write rows, then remove the files that replaced rows of the same images named and the new ones do not."""
        replaced = list(self.journal.rows(row["image"] for row in rows if row["image"] in self.journal))
        with explained_errors(self.path):
            self.journal.append(rows)
            kept = {name for row in rows for name in _files_of(row)} if replaced else set()
            for name in {name for row in replaced for name in _files_of(row)} - kept:
                self.remove(name)

    def record(self, record: Mapping[str, object]) -> None:
        """Write `run.json`."""
        with explained_errors(self.path):
            store.write_file(self.file(RECORD), record_bytes(record), durable=True, below=self.path)

    def derive(self, name: str, keys: Iterable[str], render: Callable[[Iterable[ImageRow]], Iterable[bytes]]) -> None:
        """Write the file `name`, rendered from the journal's rows of these images."""
        with explained_errors(self.path):
            store.write_file(self.file(name), render(self.journal.rows(keys)), durable=True, below=self.path)

    def is_whole(self, row: ImageRow) -> bool:
        """Whether every file that a row names is there."""
        return all(self.has(name) for name in _files_of(row))

    def has(self, relative: str) -> bool:
        """Whether a file of the run is there."""
        return os.path.exists(self.file(relative))

    def run_record(self) -> RunRecord | None:
        """`run.json`, if it is one of ours."""
        return read_record(os.path.dirname(self.file(RECORD)))[0]

    def _clear(self, keys: Set[str]) -> None:
        """Remove the files that the old journal names and those of the images `keys`, then the journal.

        Files of others stay. The record stays until it is replaced, so that the folder is ours at every instant.
        """
        if os.path.exists(self.file(JOURNAL)):
            old = Journal.read(self.file(JOURNAL))
            for row in old.rows(old):
                for name in _files_of(row):
                    self.remove(name)
        self.remove_report()
        leftovers.remove_results(self.path, keys)
        for name in (*DERIVED, TABLE, ACTIVATIONS_TABLE, JOURNAL):
            self.remove(name)

    def remove_report(self) -> None:
        """Remove the page and its data files; thumbnails belong to the journal."""
        with explained_errors(self.path):
            leftovers.remove_report(self.path)


def _files_of(row: ImageRow) -> list[str]:
    """The files that a row names, relative to OUT; only such as lie in one of our folders, whatever a journal says."""
    named = [row.get("thumb")]
    for map_row in row.get("maps", ()):
        named += [map_row.get("overlay"), map_row.get("heatmap"), map_row.get("array"), map_row.get("sheet")]
    return [name for name in named if name and is_result(name)]


@contextlib.contextmanager
def locked(folder: F, patience: float = 0.0) -> Iterator[F]:
    """Locks OUT for this process, and closes the folder at the end; waits up to `patience` seconds for another holder.

    Creates OUT if it is missing, and removes it again if the run wrote nothing. Raises `CamxError` if it cannot be
    written to, and `InUse` if another run still holds it.
    """
    with ExitStack() as held:
        with explained_errors(folder.path):
            held.enter_context(folder_lock(folder.path, patience))
        try:
            yield folder
        finally:
            # Every line is on the disk already: nothing can be lost.
            with contextlib.suppress(OSError):
                folder.close()


def locked_folder(path: str, *, patience: float = 0.0) -> AbstractContextManager[OutputFolder]:
    """Locks an output folder for this process; see `locked`."""
    return locked(OutputFolder(path), patience)


@contextlib.contextmanager
def explained_errors(path: str) -> Iterator[None]:
    """Turns errors of the operating system into a `CamxError` about the folder."""
    try:
        yield
    except OSError as error:
        if os.path.lexists(path) and not os.path.isdir(path):
            raise CamxError(f"{path!r} is not a folder. Choose another `output`.") from error
        reason = error.strerror or str(error)
        raise CamxError(
            f"The output folder {path!r} cannot be written: {reason}. "
            "Make room or choose another `output`; the same command continues."
        ) from error
