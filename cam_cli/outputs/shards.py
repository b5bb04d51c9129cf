"""Lets several runs fill one folder: each has its own journal under `parts/`, and a merge combines them.

Shards write images directly into OUT, because no two shards have the same image. The row of an image is the last one
in its part, else the last one in OUT. Shards do not communicate; kernel locks separate them: one per part, and that of
OUT, which a part holds while it begins and a merge while it works.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

from ..errors import CamxError
from ..images.shard import Shard
from ..run_layout import INPUTS, JOURNAL, LOCK, PARTS, RECORD, SPOTS, part_folder, part_numbers
from ..sentences import counted
from . import store
from .fingerprints import other_names
from .folder import OutputFolder, locked, locked_folder
from .folder_errors import explained_errors
from .folder_lock import InUse
from .journal import Journal
from .record import RunInputs, RunRecord
from .revisions import changes_since, revision_of, running_record
from .rows import ImageRow
from .shard_inputs import write_inputs
from .spots import SpotsStore, move_spots

#: Seconds that a part waits for the lock of OUT, while others begin or a merge works.
_PATIENCE = 30.0
_CHUNK = 1000

FolderLock = Callable[[str], AbstractContextManager[OutputFolder]]


def part_name(shard: Shard) -> str:
    return part_folder(shard.number, shard.count)


class _Layered(Journal):
    """Journal of a part over that of OUT, which is read-only."""

    below: Journal

    def __contains__(self, key: str) -> bool:
        return super().__contains__(key) or key in self.below

    def rows(self, keys: Iterable[str]) -> Iterator[ImageRow]:
        for own, some in groupby(keys, super().__contains__):
            yield from (super().rows if own else self.below.rows)(some)


@dataclass
class Part(OutputFolder):
    """Part of one shard: its own journal and record, with images in OUT. The merge derives tables."""

    shard: Shard = Shard(1, 1)
    parent_lock: FolderLock = locked_folder
    _run_inputs: RunInputs | None = None

    def file(self, relative: str) -> str:
        own = part_name(self.shard) if relative in (JOURNAL, RECORD, INPUTS, SPOTS) else ""
        return os.path.join(self.path, own, relative)

    def begin(self, fingerprint: Mapping[str, Any], keys: Iterable[str] = (), *, overwrite: bool = False) -> None:
        """Opens the part's journal over that of OUT, and writes the list of its images among `keys`.

        Raises `CamxError` if OUT or another part of it holds results of another fingerprint.
        """
        if overwrite:
            raise CamxError(
                "`overwrite` does not work with `shard`: every shard would remove results of others.",
                f"Remove {self.path!r} first.",
            )
        with self.parent_lock(self.path) as whole:
            # The first shard to begin sets the fingerprint of OUT.
            whole.check(fingerprint)
            before, own = whole.run_record(), self.run_record()
            if before is None or own is not None:
                OutputFolder(os.path.join(self.path, part_name(self.shard))).check(fingerprint)
            running = running_record(fingerprint, revision_of(before))
            # New class names make every shard rewrite its rows, so a merge must wait for all shards.
            again = before is not None and other_names(before["fingerprint"], fingerprint)
            whole.record({**running, **({} if again else _shards_of_finished(whole))})
            below = whole.file(JOURNAL)
            Journal.open(below).close()
            self.record({**running, "revision": min(revision_of(before), revision_of(own))})
            with explained_errors(self.path):
                self._run_inputs = write_inputs(self.path, self.shard, keys).as_record()
            journal = _Layered.open(self.file(JOURNAL))
            assert isinstance(journal, _Layered)
            journal.below = Journal.read(below)
            journal.damaged += journal.below.damaged
            self._journal = journal
            with explained_errors(self.path):
                self._spots = SpotsStore(self.file(SPOTS), below=whole.file(SPOTS))
            if next(iter(self.journal), None) is not None or next(iter(journal.below), None) is not None:
                self._found += changes_since(min(revision_of(before), revision_of(own)), fingerprint)

    def record(self, record: Mapping[str, object]) -> None:
        super().record({**record, "run_inputs": self._run_inputs} if self._run_inputs else record)


def _shards_of_finished(whole: OutputFolder) -> dict[str, Any]:
    """Shards in the record of a finished run of which some shards run again: the last of them may then merge without
    the others. Empty for an unfinished run."""
    before = whole.run_record() or RunRecord()
    again = before.get("state") == "running" and "shards" in before
    return {"shards": before.get("shards", [])} if again or before.get("state") == "finished" else {}


@contextlib.contextmanager
def locked_shard_folder(path: str, shard: Shard) -> Iterator[Part]:
    """Locks the part of a shard for this process; see `locked_part`."""
    with (
        locked_part(path, shard, lock_when_free),
        contextlib.closing(Part(path, shard=shard, parent_lock=lock_when_free)) as part,
    ):
        yield part


@contextlib.contextmanager
def locked_part(path: str, shard: Shard, parent_lock: FolderLock) -> Iterator[None]:
    """Locks a part. parent_lock: locks OUT while the part begins.

    A part that wrote nothing leaves no folder. Raises `CamxError` if the part is in use, if a run has locked all of
    OUT, or if OUT has parts of another number of shards.
    """
    part, created = os.path.join(path, part_name(shard)), not os.path.lexists(path)
    with ExitStack() as held:
        held.callback(_remove_empty, path, part, parent_lock, created=created)
        with parent_lock(path):
            others = {part.count for part in parts_in(path)} - {shard.count}
            if others:
                raise CamxError(
                    f"{path!r} has parts of a run in {min(others)} shards, not {shard.count}. "
                    f"Give `shard=i/{min(others)}`, or merge them with `camx merge {path}` and remove {path}/{PARTS}."
                )
            held.enter_context(locked_folder(part))
        yield


def _remove_empty(path: str, part: str, parent_lock: FolderLock, *, created: bool) -> None:
    """Removes the folder of all parts if it is empty, and then OUT if it was `created` for this part."""
    if os.path.lexists(part) or not os.path.isdir(os.path.dirname(part)):
        return
    # A part that begins meanwhile holds the lock, or has made its folder.
    with contextlib.suppress(CamxError, OSError):
        with parent_lock(path):
            os.rmdir(os.path.dirname(part))
        if created:
            os.rmdir(path)


def lock_when_free(path: str) -> AbstractContextManager[OutputFolder]:
    """Locks OUT; waits up to 30 s for short-lived holders."""
    return locked_folder(path, patience=_PATIENCE)


def locked_whole_folder(path: str) -> AbstractContextManager[OutputFolder]:
    """Locks all of an output folder; `begin` moves the rows of its parts into its journal."""
    return locked(_WholeFolder(path))


class _WholeFolder(OutputFolder):
    """OUT with leftover parts of runs in shards."""

    def begin(self, fingerprint: Mapping[str, Any], keys: Iterable[str] = (), *, overwrite: bool = False) -> None:
        self.check(fingerprint, overwrite=overwrite)
        parts = parts_in(self.path)
        running = merge_rows(self.path, parts)
        if running:
            raise CamxError(f"Shard {running[0]} of {self.path!r} is running. Wait for it, or choose another `output`.")
        remove_parts(self.path, parts)
        super().begin(fingerprint, keys, overwrite=overwrite)


def parts_in(path: str) -> list[Shard]:
    """Shards with a part in OUT, by number."""
    return [Shard(number, count) for number, count in part_numbers(path)]


def part_record(path: str, shard: Shard) -> RunRecord | None:
    """Record of a part; None if the shard has not begun."""
    return OutputFolder(os.path.join(path, part_name(shard))).run_record()


def has_rows(path: str, shard: Shard) -> bool:
    """Whether a part has a journal, which a merge removes after it has moved the rows."""
    return os.path.lexists(os.path.join(path, part_name(shard), JOURNAL))


def merge_rows(path: str, parts: Sequence[Shard]) -> list[Shard]:
    """Moves the rows of these parts into the journal of OUT, which the caller has locked. Returns the parts in use.

    Idempotent after a kill. Raises `CamxError` before it moves anything if a part has another fingerprint than OUT, and
    before it removes a journal of which an image has no row.
    """
    record = OutputFolder(path).run_record()
    if record is not None:
        for part in (OutputFolder(os.path.join(path, part_name(shard))) for shard in parts):
            # A part without its record began with the fingerprint of OUT.
            if part.run_record() is not None:
                part.check(record["fingerprint"])
    running = []
    for shard in parts:
        folder = os.path.join(path, part_name(shard))
        try:
            with locked_folder(folder):
                with explained_errors(path):
                    move_spots(os.path.join(folder, SPOTS), os.path.join(path, SPOTS))
                _move(os.path.join(folder, JOURNAL), os.path.join(path, JOURNAL))
                store.remove_if_there(os.path.join(folder, SPOTS))
        except InUse:
            running.append(shard)
    return running


def _move(part: str, whole: str) -> None:
    if not os.path.exists(part):
        return
    with explained_errors(os.path.dirname(whole)), contextlib.closing(Journal.open(whole)) as journal:
        own = Journal.read(part)
        rows = own.rows(own)
        while some := list(islice(rows, _CHUNK)):
            before = {row["image"]: row for row in journal.rows(row["image"] for row in some)}
            journal.append([row for row in some if before.get(row["image"]) != row])
        if lost := sum(key not in journal for key in own):
            raise CamxError(
                f"Could not move {counted(lost, 'row')} of {part!r}. The file is kept. Run the merge again."
            )
        store.remove_if_there(part)


def remove_parts(path: str, parts: Iterable[Shard]) -> None:
    """Removes parts whose rows have been moved, but not files of others."""
    with explained_errors(path):
        for shard in parts:
            folder = os.path.join(path, part_name(shard))
            # A lock file may remain; the caller holds the lock of OUT.
            for name in (RECORD, INPUTS, LOCK):
                store.remove_if_there(os.path.join(folder, name))
            with contextlib.suppress(OSError):
                store.system.remove_folder(folder)
        with contextlib.suppress(OSError):
            store.system.remove_folder(os.path.join(path, PARTS))
