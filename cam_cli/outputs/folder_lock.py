"""Locks an output folder for one run at a time, by a kernel lock that ends with the process."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator

from filelock import FileLock, Timeout

from ..errors import CamxError
from ..regular_files import open_regular
from ..run_layout import LOCK
from . import store


class InUse(CamxError):
    """Another run has locked the folder."""


@contextlib.contextmanager
def folder_lock(path: str, patience: float = 0.0) -> Iterator[None]:
    """Locks a folder for this process; waits up to `patience` seconds for another holder.

    Creates the folder if it is missing, and removes it again if it is still empty at the end. Raises `OSError` if it
    cannot be written to, and `InUse` if another process still holds it.
    """
    created = not os.path.exists(path)
    probe, lock_path = os.path.join(path, f".probe{store.TEMPORARY}"), os.path.join(path, LOCK)
    store.write_file(probe, b"")
    store.remove_if_there(probe)
    if os.path.islink(lock_path) or (os.path.lexists(lock_path) and not os.path.isfile(lock_path)):
        raise OSError(None, f"{LOCK!r} in it is no regular file")
    lock = FileLock(lock_path)
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        raise InUse(
            f"{path!r} is in use by another run{_holder(lock_path)}. Wait for it, or choose another `output`."
        ) from None
    try:
        with contextlib.suppress(OSError), open(lock_path, "w", encoding="utf-8") as file:
            file.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}")
        yield
    finally:
        with contextlib.suppress(OSError):
            store.remove_if_there(lock_path)
        lock.release()
        if created:
            with contextlib.suppress(OSError):
                store.system.remove_folder(path)


def check_writable(path: str) -> None:
    """Raises `CamxError` if a folder cannot be created or written to. Changes nothing."""
    existing = os.path.abspath(path)
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    if not os.path.isdir(existing) or not os.access(existing, os.W_OK):
        raise CamxError(f"The output folder {path!r} cannot be written. Choose another `output`.")


def _holder(lock_path: str) -> str:
    try:
        with open_regular(lock_path) as file:
            text = file.read(200).decode("utf-8", "replace")
    except OSError:
        return ""
    return f" ({text})" if text else ""
