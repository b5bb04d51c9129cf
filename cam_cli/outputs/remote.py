"""An output folder in an object store: uploads images immediately, and keeps the journal in a local folder.

Object stores cannot append, so the journal is uploaded when it has grown by a quarter, and at the end. If the machine
is lost, rows since the last upload are lost, and their images are explained again. Object stores have no locks: the
local folder excludes a second run on this machine only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from ..folders import files_below
from ..images.remote import filesystem, store_errors, with_retries
from ..images.shard import Shard
from ..run_layout import INPUTS, JOURNAL, RECORD, SPOTS, THUMBNAILS
from . import store
from .folder import OutputFolder, locked
from .rows import ImageRow
from .shards import Part, locked_part, part_name

#: Growth of the journal, and seconds since the last upload, after which it is uploaded.
_GROWTH = 1.25
_INTERVAL = 30.0


@dataclass
class RemoteFolder(OutputFolder):
    """Output folder at `url`. path: its local folder."""

    url: str = ""
    #: Sizes of the remote files in bytes, by name.
    _there: dict[str, int | None] = field(default_factory=dict)
    _copied: int = 0
    _copied_at: float = 0.0

    def write(self, relative: str, data: bytes) -> None:
        self._put(relative, data)
        if relative.startswith("report/") and self.path:
            # Kept locally, too, because the report is built from them.
            super().write(relative, data)
        self._there[relative] = len(data)

    def publish(self, relative: str) -> None:
        for inside in files_below(self.file(relative)):
            name = f"{relative}/{inside}".replace(os.sep, "/")
            if not name.startswith(THUMBNAILS) or name not in self._there:
                self._copy(name)

    def append(self, rows: Sequence[ImageRow]) -> None:
        super().append(rows)
        size = os.path.getsize(self.file(JOURNAL))
        if size > _GROWTH * self._copied and time.monotonic() - self._copied_at > _INTERVAL:
            self._copy_journal()

    def record(self, record: Mapping[str, object]) -> None:
        super().record(record)
        if self._journal is not None:
            self._copy_journal()
        self._copy(RECORD)

    def derive(self, name: str, keys: Iterable[str], render: Callable[[Iterable[ImageRow]], Iterable[bytes]]) -> None:
        super().derive(name, keys, render)
        self._copy(name)

    def remove(self, relative: str) -> None:
        super().remove(relative)
        self._there.pop(relative, None)
        with self._explained(), contextlib.suppress(FileNotFoundError):
            with_retries(lambda: filesystem(self.url).rm_file(self._at(relative)))

    def size(self, relative: str) -> int | None:
        return self._there.get(relative)

    def content(self, relative: str) -> bytes | None:
        return self._get(relative)

    def fetch(self) -> None:
        """Fetches existing files. Keeps a local journal that continues the remote one."""
        self._there = self._listed()
        for name in (RECORD, SPOTS, JOURNAL):
            there = self._get(name)
            if there is None:
                store.remove_if_there(self.file(name))
            elif name == RECORD or not self._continues(name, there):
                store.write_file(self.file(name), there)

    def _continues(self, name: str, there: bytes) -> bool:
        try:
            with open(self.file(name), "rb") as file:
                return file.read(len(there)) == there
        except FileNotFoundError:
            return False

    def _at(self, relative: str) -> str:
        return f"{self.url.rstrip('/')}/{relative}"

    def _listed(self) -> dict[str, int | None]:
        there = filesystem(self.url)
        root = there._strip_protocol(self.url).rstrip("/") + "/"
        with self._explained():
            there.invalidate_cache()
            try:
                found = with_retries(lambda: there.find(root, detail=True))
            except FileNotFoundError:
                return {}
            return {str(name).removeprefix(root): info.get("size") for name, info in found.items()}

    def _get(self, relative: str) -> bytes | None:
        with self._explained():
            try:
                data: bytes = with_retries(lambda: filesystem(self.url).cat_file(self._at(relative)))
            except FileNotFoundError:
                return None
            return data

    def _put(self, relative: str, data: bytes) -> None:
        with self._explained():
            with_retries(lambda: filesystem(self.url).pipe_file(self._at(relative), data))

    def _copy_journal(self) -> None:
        """Uploads the journal, and before it the spots to which its rows refer."""
        if os.path.exists(self.file(SPOTS)):
            self._copy(SPOTS)
        self._copy(JOURNAL)

    def _copy(self, name: str) -> None:
        with self._explained():
            with_retries(lambda: filesystem(self.url).put_file(self.file(name), self._at(name)))
        if name == JOURNAL:
            self._copied, self._copied_at = os.path.getsize(self.file(name)), time.monotonic()

    def _explained(self) -> AbstractContextManager[None]:
        return store_errors(
            f"The output folder {self.url!r} cannot be written",
            "Check its address and your credentials. The same command continues the run.",
        )


@contextlib.contextmanager
def locked_remote_folder(url: str) -> Iterator[OutputFolder]:
    """Locks the local folder of a remote output folder, and fetches its journal."""
    with locked(RemoteFolder(staging(url), url=url)) as folder:
        folder.fetch()
        yield folder


@dataclass
class RemotePart(Part, RemoteFolder):
    """Part of one shard of a remote run: uploads images to OUT, journal and record to the part."""

    def begin(self, fingerprint: Mapping[str, Any], keys: Iterable[str] = (), *, overwrite: bool = False) -> None:
        super().begin(fingerprint, keys, overwrite=overwrite)
        self._copy(INPUTS)
        self._copy(RECORD)

    def _at(self, relative: str) -> str:
        own = f"{part_name(self.shard)}/" if relative in (JOURNAL, RECORD, INPUTS, SPOTS) else ""
        return super()._at(f"{own}{relative}")


@contextlib.contextmanager
def locked_remote_shard(url: str, shard: Shard) -> Iterator[OutputFolder]:
    """Locks the local part of a shard, and fetches its journal.

    Cannot see shards on other machines: the remote record and the merge check that they belong to the same run.
    """

    def parent(path: str) -> contextlib.AbstractContextManager[OutputFolder]:
        return locked_remote_folder(url)

    path = staging(url)
    with (
        locked_part(path, shard, parent),
        contextlib.closing(RemotePart(path, shard=shard, parent_lock=parent, url=url)) as part,
    ):
        part.fetch()
        yield part


def staging(url: str) -> str:
    """Local folder for a remote output folder; always the same for an address."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    name = hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]
    return os.path.join(cache if os.access(os.path.dirname(cache), os.W_OK) else tempfile.gettempdir(), "camx", name)
