"""Output folder of a run: holds results of one fingerprint, writes files atomically, never touches files of others."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from ..errors import CamxError, UnreadableImage
from ..regular_files import read_regular
from ..run_layout import (
    ACTIVATIONS_TABLE,
    DERIVED,
    FAITHFULNESS_TABLE,
    JOURNAL,
    MAPS_TABLE,
    PARTS,
    RECORD,
    RESULT_FOLDERS,
    SPOTS,
    TABLE,
    TYPED_TABLES,
)
from ..sentences import counted
from . import leftovers, store
from .fingerprints import differences
from .folder_errors import explained_errors
from .folder_lock import folder_lock
from .journal import Journal
from .record import RunRecord
from .record_file import record_bytes, recovered_record
from .result_files import files_of, has_size, is_intact
from .revisions import NEWEST, changes_since, revision_of, running_record
from .rows import ImageRow
from .spots import SpotsStore

_OURS = (JOURNAL, SPOTS, TABLE, ACTIVATIONS_TABLE, FAITHFULNESS_TABLE, RECORD, *sorted(RESULT_FOLDERS - {PARTS}))
#: Text about an empty journal.
_NOTHING = "0 rows and 0 files"

F = TypeVar("F", bound="OutputFolder")


class ResultSink(Protocol):
    """Receives the results of images: files, and the rows that name them."""

    def write(self, relative: str, data: bytes) -> None:
        """Writes one file of a result."""

    def append(self, rows: Sequence[ImageRow]) -> None:
        """Appends rows whose files are written."""


@dataclass
class OutputFolder:
    """An output folder that this process has locked (`locked_folder`). `begin` opens its journal for a fingerprint."""

    path: str
    _journal: Journal | None = None
    _spots: SpotsStore | None = None
    #: Warnings of `begin`.
    _found: list[str] = field(default_factory=list)

    @property
    def journal(self) -> Journal:
        assert self._journal is not None, "begin() opens the journal"
        return self._journal

    def check(self, fingerprint: Mapping[str, Any], *, overwrite: bool = False) -> None:
        """Raises `CamxError` if the folder holds results of another fingerprint, or files of others. Changes nothing.

        With `overwrite` only files of others are an error. Class names may differ.
        """
        before = self.run_record()
        if before is None:
            self._check_without_record(overwrite=overwrite)
        elif before["fingerprint"].get("command") != fingerprint.get("command"):
            other = before["fingerprint"].get("command", "another command")
            raise CamxError(f"{self.path!r} holds results of `camx {other}`. Choose another `output`.")
        elif not overwrite and (different := differences(before["fingerprint"], fingerprint)):
            raise CamxError(
                f"{self.path!r} holds results of another run. Differences: {', '.join(different)}. "
                "Choose another `output`, or replace them with `overwrite`."
            )

    def _check_without_record(self, *, overwrite: bool) -> None:
        present = [name for name in _OURS if os.path.lexists(self.file(name))]
        lost = self.losses()
        if not present or (present == [JOURNAL] and lost == _NOTHING):
            return
        if not lost:
            raise CamxError(
                f"{self.path!r} holds {present[0]!r}, but no rows or run.json of camx. "
                "Choose another `output`, or remove that file."
            )
        if not overwrite:
            raise CamxError(
                f"{self.path!r} holds {lost} of camx, but its run.json is missing or damaged, so their options are "
                f"unknown. `camx report {self.path}` still shows them. Choose another `output`, or give `overwrite`, "
                "which removes them and explains all images again."
            )

    def replaced(self, fingerprint: Mapping[str, Any]) -> str:
        """Text about results that a run with `overwrite` removes; "" if it continues its own unfinished run."""
        before, lost = self.run_record(), self.losses()
        return "" if lost == _NOTHING or (before is not None and not _is_replaced(before, fingerprint)) else lost

    def losses(self) -> str:
        """Text about the results in the folder, `7 rows and 14 files`; "" without a journal of camx."""
        try:
            journal = Journal.read(self.file(JOURNAL))
        except OSError:
            return ""
        names = {name for row in journal.rows(journal) for name in files_of(row)}
        files, rows = sum(self.size(name) is not None for name in names), len(list(journal))
        return f"{counted(rows, 'row')} and {counted(files, 'file')}" if rows or not journal.damaged else ""

    def begin(self, fingerprint: Mapping[str, Any], keys: Iterable[str] = (), *, overwrite: bool = False) -> None:
        """Opens the journal. With `overwrite`, first removes results of another fingerprint, of a finished run, of an
        earlier revision, or of a run without its record.

        keys: images of this run. With `overwrite`, also removes files of theirs that a killed run left without a row.
        """
        self.check(fingerprint, overwrite=overwrite)
        with explained_errors(self.path):
            before = self.run_record()
            leftovers.remove_temporary_files(self.path)
            if before is None and overwrite and (lost := self.losses()) not in ("", _NOTHING):
                self._found.append(f"`overwrite` removed {lost} of a run without its run.json.")
                # The record identifies the folder from now on, even after a kill.
                before = RunRecord(fingerprint={"command": fingerprint["command"]}, state="lost")
                self.record(before)
            if overwrite and before is not None and _is_replaced(before, fingerprint):
                self._clear(frozenset(keys))
                before = None
            # The record comes first, because a journal alone does not identify a run.
            self.record(running_record(fingerprint, revision_of(before)))
            self.open_journal()
            if next(iter(self.journal), None) is not None:
                self._found += changes_since(revision_of(before), fingerprint)
            elif revision_of(before) != NEWEST:
                self.record(running_record(fingerprint, NEWEST))

    def open_journal(self) -> None:
        """Opens the journal and the spots for appending."""
        with explained_errors(self.path):
            self.close()
            self._journal = Journal.open(self.file(JOURNAL))
            self._spots = SpotsStore(self.file(SPOTS))

    def problems(self) -> list[str]:
        """Warnings about damaged lines of the journal, and about results of an earlier camx."""
        count = self.journal.damaged
        if not count:
            return self._found
        lines = "line of the journal is" if count == 1 else "lines of the journal are"
        damaged = f"{count} damaged {lines} ignored. Images without another line are explained again."
        return [damaged, *self._found]

    def close(self) -> None:
        """Closes the journal. All rows are already on disk."""
        for one in (self._journal, self._spots):
            if one is not None:
                one.close()

    def file(self, relative: str) -> str:
        """Path of a file of the run."""
        return os.path.join(self.path, relative)

    def write(self, relative: str, data: bytes) -> None:
        """Writes one result atomically. Raises `CamxError` if the disk is full or the folder not writable, and
        `UnreadableImage` if a result of another image has the name of a needed folder, or the reverse."""
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
        """Uploads a folder of the run to its address; does nothing on a local disk."""

    def remove(self, relative: str) -> None:
        """Deletes a file of the run, if it exists."""
        store.remove_if_there(self.file(relative))

    def append(self, rows: Sequence[ImageRow]) -> None:
        """Appends rows, then removes files that only the replaced rows of these images named."""
        replaced = list(self.journal.rows(row["image"] for row in rows if row["image"] in self.journal))
        assert self._spots is not None, "begin() opens it with the journal"
        with explained_errors(self.path):
            # Spots come before the rows that refer to them.
            rows = self._spots.take(rows)
            self.journal.append(rows)
            kept = {name for row in rows for name in files_of(row)} if replaced else set()
            for name in {name for row in replaced for name in files_of(row)} - kept:
                self.remove(name)

    def record(self, record: Mapping[str, object]) -> None:
        """Writes `run.json`. A record without a revision gets the present one."""
        with explained_errors(self.path):
            content = {**record, "revision": record.get("revision") or revision_of(self.run_record())}
            store.write_file(self.file(RECORD), record_bytes(content), durable=True, below=self.path)

    def derive(self, name: str, keys: Iterable[str], render: Callable[[Iterable[ImageRow]], Iterable[bytes]]) -> None:
        """Writes the file `name`, rendered from the rows of these images."""
        with explained_errors(self.path):
            store.write_file(self.file(name), render(self.journal.rows(keys)), durable=True, below=self.path)

    def is_whole(self, row: ImageRow, *, verify: bool = False) -> bool:
        """Whether every file of a row exists with its size; with `verify` also with its checksum."""
        if self._spots is not None and not self._spots.has(row):
            return False
        if verify:
            return all(is_intact(row, name, self.content(name)) for name in files_of(row))
        return all(has_size(row, name, self.size(name)) for name in files_of(row))

    def size(self, relative: str) -> int | None:
        """Size of a file of the run in bytes; None if it is missing."""
        try:
            return os.stat(self.file(relative)).st_size
        except OSError:
            return None

    def content(self, relative: str) -> bytes | None:
        """Content of a file of the run; None if it is missing or unreadable."""
        try:
            return read_regular(self.file(relative))
        except OSError:
            return None

    def run_record(self) -> RunRecord | None:
        """Content of `run.json` of camx; if it is lost, from the parts of shards."""
        return recovered_record(os.path.dirname(self.file(RECORD)))[0]

    def _clear(self, keys: Set[str]) -> None:
        """Removes the files that the old journal names and those of the images `keys`, then the journal.

        Files of others stay. The record stays until it is replaced, so that the folder is always identified as camx's.
        """
        if os.path.exists(self.file(JOURNAL)):
            old = Journal.read(self.file(JOURNAL))
            for row in old.rows(old):
                for name in files_of(row):
                    self.remove(name)
        self.remove_report()
        leftovers.remove_results(self.path, keys)
        for name in (*DERIVED, TABLE, MAPS_TABLE, *TYPED_TABLES, ACTIVATIONS_TABLE, FAITHFULNESS_TABLE, JOURNAL, SPOTS):
            self.remove(name)

    def remove_report(self) -> None:
        """Removes the report and its data files, but not the thumbnails, which belong to the journal."""
        with explained_errors(self.path):
            leftovers.remove_report(self.path)


def _is_replaced(before: RunRecord, fingerprint: Mapping[str, Any]) -> bool:
    """Whether `overwrite` removes the results of a run: those of another fingerprint, or of a finished run."""
    changes = changes_since(revision_of(before), fingerprint)
    return before.get("state") == "finished" or bool(differences(before["fingerprint"], fingerprint) or changes)


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
            # Every line is already on disk, so nothing can be lost.
            with contextlib.suppress(OSError):
                folder.close()


def locked_folder(path: str, *, patience: float = 0.0) -> AbstractContextManager[OutputFolder]:
    """Locks an output folder for this process; see `locked`."""
    return locked(OutputFolder(path), patience)
