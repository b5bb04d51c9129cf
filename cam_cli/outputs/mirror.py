"""Mirrors a run folder in an object store as a local folder, for commands that read finished runs and add to them.

Fetches journals, records and tables at once, and images on demand: each is an empty file until it is read. At the end
uploads new and changed files to the store, and deletes removed ones.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from ..errors import CamxError
from ..folders import files_below
from ..images.remote import filesystem, store_errors, with_retries
from ..run_layout import LOCK, PARTS, RECORD, RESULT_FOLDERS, TRACKER_FOLDERS, is_inside
from . import store

#: Folders whose files are fetched on demand.
_LAZY = (RESULT_FOLDERS - {PARTS}) | TRACKER_FOLDERS | {"cams"}
#: Larger files in OUT itself, such as weights, are fetched on demand, too.
_LARGE = 64 << 20
_AT_ONCE = 16


@dataclass(frozen=True)
class Mirror:
    """Local copy at `path` of the run folder at `url`."""

    url: str
    path: str
    #: Modification time and size of files after the fetch.
    _came: dict[str, tuple[int, int]] = field(default_factory=dict)
    #: Files that have not been fetched.
    _pending: set[str] = field(default_factory=set)

    def take(self) -> None:
        """Lists the files and fetches those that every command reads. Raises `CamxError` if there are none."""
        listed = self._listed()
        if not listed:
            raise CamxError(f"There is nothing at {self.url!r}. Give the `output` of a run.")
        for name, size in listed.items():
            store.write_file(self._file(name), b"", below=self.path)
            self._came[name] = self._state(name)
            if name.split("/")[0] in _LAZY or (size or 0) > _LARGE:
                self._pending.add(name)
        with ThreadPoolExecutor(_AT_ONCE) as several:
            list(several.map(self._get, sorted(listed.keys() - self._pending)))

    def open(self, name: str) -> None:
        """Fetches a file before it is read, if necessary."""
        if name in self._pending:
            self._pending.discard(name)
            if self._state(name) == self._came[name]:
                self._get(name)

    def give_back(self) -> None:
        """Uploads new and changed files, the record last, then deletes removed ones."""
        here = {name.replace(os.sep, "/") for name in files_below(self.path)}
        changed = [
            name for name in here if os.path.basename(name) != LOCK and self._state(name) != self._came.get(name)
        ]
        with self._explained("written"), ThreadPoolExecutor(_AT_ONCE) as several:
            list(several.map(self._put, sorted(set(changed) - {RECORD})))
            list(several.map(self._put, {RECORD} & {*changed}))
            list(several.map(self._remove, sorted(self._came.keys() - here)))

    def _listed(self) -> dict[str, int | None]:
        there = filesystem(self.url)
        root = there._strip_protocol(self.url).rstrip("/") + "/"
        with self._explained("read"):
            there.invalidate_cache()
            try:
                found = with_retries(lambda: there.find(root, detail=True))
            except FileNotFoundError:
                return {}
        names = {str(name).removeprefix(root): info.get("size") for name, info in found.items()}
        # Keys of a store may be any text; ignore those that are no path below OUT.
        return {name: size for name, size in names.items() if is_inside(name) and not name.endswith("/")}

    def _get(self, name: str) -> None:
        with self._explained("read"):
            data: bytes = with_retries(lambda: filesystem(self.url).cat_file(self._at(name)))
        store.write_file(self._file(name), data, below=self.path)
        self._came[name] = self._state(name)

    def _put(self, name: str) -> None:
        with_retries(lambda: filesystem(self.url).put_file(self._file(name), self._at(name)))

    def _remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            with_retries(lambda: filesystem(self.url).rm_file(self._at(name)))

    def _file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def _at(self, name: str) -> str:
        return f"{self.url.rstrip('/')}/{name}"

    def _state(self, name: str) -> tuple[int, int]:
        found = os.stat(self._file(name))
        return found.st_mtime_ns, found.st_size

    def _explained(self, what: str) -> AbstractContextManager[None]:
        return store_errors(f"The run folder {self.url!r} cannot be {what}", "Check its address and your credentials.")


#: Open mirrors of this process by folder.
_OPEN: dict[str, Mirror] = {}


@contextlib.contextmanager
def mirrored(url: str) -> Iterator[str]:
    """Local path for the run folder at an address. Uploads changes at the end, unless the block raises."""
    with tempfile.TemporaryDirectory(prefix="camx-") as folder:
        mirror = Mirror(url, os.path.join(os.path.realpath(folder), "run"))
        os.mkdir(mirror.path)
        _OPEN[mirror.path] = mirror
        try:
            mirror.take()
            yield mirror.path
            mirror.give_back()
        finally:
            del _OPEN[mirror.path]


def at_hand(path: str, name: str) -> None:
    """Fetches a file of a mirrored run folder; does nothing for a local one. Raises `CamxError` if that fails."""
    if _OPEN and (mirror := _OPEN.get(path)):
        mirror.open(name)
