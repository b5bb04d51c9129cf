"""The output folder: one run at a time, one fingerprint, nothing of others touched, everything written whole."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from filelock import FileLock, Timeout

from ..errors import CamxError, UnreadableImage
from ..run_layout import (
    ACTIVATIONS_TABLE,
    DERIVED,
    JOURNAL,
    LOCK,
    PARTS,
    RECORD,
    REPORT,
    REPORT_DATA,
    REPORT_PART,
    RESULT_FOLDERS,
    TABLE,
    THUMBNAILS,
    is_result,
)
from . import store
from .journal import Journal, Row
from .record import RunRecord, read_record, record_bytes

#: What the name of a result adds to that of its image.
_ENDING = re.compile(r"(\.[\w+-]+\.\d+)?\.(png|jpg|webp|npy)$")
_OURS = (JOURNAL, TABLE, ACTIVATIONS_TABLE, RECORD, *sorted(RESULT_FOLDERS - {PARTS}))


class InUse(CamxError):
    """Another run holds the folder."""


@dataclass
class OutputFolder:
    """A folder that this process holds. Made by `locked_folder`; `begin` opens the journal for a fingerprint."""

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
        elif not overwrite and (different := _differences(before["fingerprint"], fingerprint)):
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
            self._remove_parts()
            if before is not None:
                unfinished = before.get("state") != "finished" and not _differences(before["fingerprint"], fingerprint)
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
        """Where in the file system a file of the run lies."""
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
        """Show what lies below a folder of the run to those for whom it is: here it is in its place already."""

    def remove(self, relative: str) -> None:
        """Delete a file of the run; one that is gone already is fine."""
        store.remove_if_there(self.file(relative))

    def append(self, rows: Sequence[Row]) -> None:
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

    def derive(self, name: str, keys: Iterable[str], render: Callable[[Iterable[Row]], Iterable[bytes]]) -> None:
        """Write the file `name`, rendered from the journal's rows of these images."""
        with explained_errors(self.path):
            store.write_file(self.file(name), render(self.journal.rows(keys)), durable=True, below=self.path)

    def is_whole(self, row: Row) -> bool:
        """Whether every file that a row names is there."""
        return all(self.has(name) for name in _files_of(row))

    def has(self, relative: str) -> bool:
        """Whether a file of the run is there."""
        return os.path.exists(self.file(relative))

    def run_record(self) -> RunRecord | None:
        """`run.json`, if it is one of ours."""
        return read_record(os.path.dirname(self.file(RECORD)))[0]

    def _clear(self, keys: Set[str]) -> None:
        """Remove what the old journal names and what belongs to `keys`, then the journal: files of others stay.

        The record stays until it is replaced, so that the folder is ours at every instant.
        """
        if os.path.exists(self.file(JOURNAL)):
            old = Journal.read(self.file(JOURNAL))
            for row in old.rows(old):
                for name in _files_of(row):
                    self.remove(name)
        self.remove_report()
        for path, inside in self._results():
            if _ENDING.sub("", inside) in keys:
                store.remove_if_there(path)
        for name in (*DERIVED, TABLE, ACTIVATIONS_TABLE, JOURNAL):
            self.remove(name)

    def remove_report(self) -> None:
        """Remove the page and its data files; thumbnails belong to the journal."""
        with explained_errors(self.path):
            store.remove_if_there(self.file(REPORT))
            self.remove_report_data(but="")

    def remove_report_data(self, *, but: str) -> None:
        """Remove the data files of earlier pages; those whose names start with `but` are of the present one."""
        data = self.file(REPORT_DATA)
        for name in os.listdir(data) if os.path.isdir(data) else ():
            if REPORT_PART.fullmatch(name) and not (but and name.startswith(but)):
                store.remove_if_there(os.path.join(data, name))

    def _remove_parts(self) -> None:
        """Remove the temporary files of a run that was killed."""
        with os.scandir(self.path) as listing:
            here = [entry.path for entry in listing]
        for path in (*here, *(path for path, _ in self._results())):
            if path.endswith(store.TEMPORARY):
                store.remove_if_there(path)

    def _results(self) -> Iterator[tuple[str, str]]:
        """All files in the folders of results: their paths, and their names within, with `/`."""
        for result in (*RESULT_FOLDERS, THUMBNAILS):
            start = self.file(result)
            for folder, _, names in os.walk(start):
                for name in names:
                    path = os.path.join(folder, name)
                    yield path, os.path.relpath(path, start).replace(os.sep, "/")


def _files_of(row: Row) -> list[str]:
    """The files that a row names, relative to OUT; only such as lie in one of our folders, whatever a journal says."""
    named = [row.get("thumb")]
    for map_row in row.get("maps", ()):
        named += [map_row.get("overlay"), map_row.get("heatmap"), map_row.get("array"), map_row.get("sheet")]
    return [name for name in named if name and is_result(name)]


@contextlib.contextmanager
def locked_folder(path: str, *, patience: float = 0.0) -> Iterator[OutputFolder]:
    """Hold an output folder for this process; made if needed, and left away again if nothing came of it.

    Raises `CamxError` if it cannot be written to, and `InUse` if another run holds it for `patience` seconds (by a
    kernel lock: a killed run holds nothing).
    """
    made = not os.path.exists(path)
    probe = os.path.join(path, f".probe{store.TEMPORARY}")
    with explained_errors(path):
        store.write_file(probe, b"")
        store.remove_if_there(probe)
    lock_path = os.path.join(path, LOCK)
    lock = FileLock(lock_path)
    with explained_errors(path):
        try:
            lock.acquire(timeout=patience)
        except Timeout:
            raise InUse(
                f"{path!r} is in use by another run{_holder(lock_path)}. Wait for it, or choose another `output`."
            ) from None
    folder = OutputFolder(path)
    try:
        with contextlib.suppress(OSError), open(lock_path, "w", encoding="utf-8") as file:
            file.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}")
        yield folder
    finally:
        # Every line is on the disk already: neither of these can lose anything.
        with contextlib.suppress(OSError):
            folder.close()
        with contextlib.suppress(OSError):
            store.remove_if_there(lock_path)
        lock.release()
        if made and folder._journal is None:
            with contextlib.suppress(OSError):
                store.system.remove_folder(path)


def check_writable(path: str) -> None:
    """Raise `CamxError` if a folder could not be made or written to; changes nothing."""
    existing = os.path.abspath(path)
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    if not os.path.isdir(existing) or not os.access(existing, os.W_OK):
        raise CamxError(f"The output folder {path!r} cannot be written. Choose another `output`.")


def _holder(lock_path: str) -> str:
    try:
        with open(lock_path, encoding="utf-8") as file:
            text = file.read(200)
    except OSError:
        return ""
    return f" ({text})" if text else ""


@contextlib.contextmanager
def explained_errors(path: str) -> Iterator[None]:
    """Turn what the operating system says of a folder into a sentence."""
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


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    plain, before = _flat(json.loads(json.dumps(dict(now), default=str))), _flat(before)
    return [
        f"{key} ({_short(before.get(key))} → {_short(plain.get(key))})"
        for key in {**before, **plain}
        if before.get(key) != plain.get(key)
    ]


def _flat(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """A tree of keys as one level: {"a": {"b": 1}} → {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return flat


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 24 else text[:10] + "…"


def output_name(folder: str, key: str, suffix: str) -> str:
    """The path in OUT of a result of an image; names too long for a file system end in a digest instead."""
    *parents, name = key.split("/")
    if len(os.fsencode(name + suffix)) > 255:
        digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:12]
        kept = os.fsdecode(os.fsencode(name)[: 255 - len(os.fsencode(suffix)) - 13])
        name = f"{kept}~{digest}"
    return "/".join([folder, *parents, name + suffix])
