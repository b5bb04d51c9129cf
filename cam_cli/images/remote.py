"""Files of object stores and web servers, through fsspec: several at once, and tried again when it fails."""

from __future__ import annotations

import contextlib
import re
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from ..errors import CamxError, UnreadableImage

T = TypeVar("T")

#: What an address may begin with, and the package that reads it; other protocols of fsspec run programs or chain.
PROTOCOLS = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "hf": "huggingface_hub",
    "http": "aiohttp",
    "https": "aiohttp",
    "memory": "fsspec",
}
_ATTEMPTS = 4
#: Seconds before the second attempt; each further one waits twice as long.
_PAUSE = 0.5
_LISTERS = 16
#: What trying again does not mend.
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, NotImplementedError, CamxError)


class RemoteFile(NamedTuple):
    """Its address, its size in bytes (-1: not told), and a number that changes with its content, as far as told."""

    url: str
    size: int
    version: int


def is_remote(path: str) -> bool:
    """Whether this is the address of a file elsewhere, not a path."""
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path))


def filesystem(url: str) -> Any:
    """The file system of an address. Raises `CamxError` for an unknown protocol, or where its package is missing."""
    protocol = url.partition("://")[0]
    if protocol not in PROTOCOLS:
        raise CamxError(f"{url!r}: files can be read from {', '.join(f'{name}://' for name in PROTOCOLS)}.")
    try:
        import fsspec

        options = {"config_kwargs": {"max_pool_connections": 64}} if protocol == "s3" else {}
        return fsspec.filesystem(protocol, **options)
    except ImportError as error:
        raise CamxError(
            f"{url!r} needs the package {PROTOCOLS[protocol]!r}. Install it with `pip install 'camx[remote]'`."
        ) from error


def tried(work: Callable[[], T], attempts: int = _ATTEMPTS) -> T:
    """What `work` returns, tried again after a pause when it fails in a way that may pass."""
    try:
        return work()
    except _FINAL:
        raise
    # Each file system has errors of its own for the same broken connection.
    except Exception:
        if attempts == 1:
            raise
    time.sleep(_PAUSE * 2 ** (_ATTEMPTS - attempts))
    return tried(work, attempts - 1)


def fetch(url: str, span: tuple[int, int] | None = None) -> bytes:
    """The bytes of a file, or `size` of them from `offset`. Raises `UnreadableImage`."""
    start, end = (None, None) if span is None else (span[0], span[0] + span[1])
    try:
        data: bytes = tried(lambda: filesystem(url).cat_file(url, start=start, end=end))
    except FileNotFoundError as error:
        raise UnreadableImage("No such file or directory") from error
    except PermissionError as error:
        raise UnreadableImage("Permission denied") from error
    except CamxError:
        raise
    except Exception as error:
        raise UnreadableImage(f"cannot be read: {type(error).__name__}: {str(error)[:200]}") from error
    if not data:
        raise UnreadableImage("the file is empty")
    return data


def listed(url: str) -> list[RemoteFile]:
    """The file of an address, those that match it as a pattern, or all below it as a folder, sorted.

    Raises `CamxError` if there is nothing, or it cannot be listed.
    """
    files = filesystem(url)
    try:
        files.invalidate_cache()
        found = tried(lambda: _found(files, url))
    except CamxError:
        raise
    except FileNotFoundError as error:
        raise CamxError(f"There is nothing at {url!r}. Check the address.") from error
    except Exception as error:
        text = f"{type(error).__name__}: {str(error)[:200]}"
        raise CamxError(f"{url!r} cannot be listed ({text}). Check the address and your credentials.") from error
    protocol = url.partition("://")[0]
    own = (_file(protocol, name, info) for name, info in found.items() if info.get("type") == "file")
    return sorted(own, key=lambda file: file.url.split("/"))


def _found(files: Any, url: str) -> dict[str, dict[str, Any]]:
    path = files._strip_protocol(url)
    if any(sign in path for sign in "*?[") and not url.startswith("http"):
        matches: dict[str, dict[str, Any]] = files.glob(path, detail=True)
        return matches
    if url.startswith("http") and not url.endswith("/"):
        # Whatever keeps a web server from telling of a file is told as "not found": reading it says more.
        with contextlib.suppress(FileNotFoundError):
            return {path: files.info(path)}
        return {path: {"type": "file"}}
    if not url.endswith("/"):
        info = files.info(path)
        if info["type"] == "file":
            return {path: info}
    entries = [entry for entry in files.ls(path, detail=True) if entry["name"].rstrip("/") != path.rstrip("/")]
    found = {entry["name"]: entry for entry in entries}
    folders = [entry["name"] for entry in entries if entry["type"] == "directory"]
    with ThreadPoolExecutor(_LISTERS, "list") as pool:
        for below in pool.map(lambda folder: tried(lambda: files.find(folder, detail=True)), folders):
            found |= below
    return found


def _file(protocol: str, name: str, info: dict[str, Any]) -> RemoteFile:
    url = name if is_remote(name) else f"{protocol}://{name.lstrip('/')}"
    size = info.get("size")
    return RemoteFile(url, -1 if size is None else int(size), _version(info))


def _version(info: dict[str, Any]) -> int:
    """The time of change in nanoseconds where it is told, else a number made of the content's tag."""
    for name in ("LastModified", "mtime", "updated", "created", "last_commit"):
        value = info.get(name)
        if isinstance(value, datetime):
            return int(value.timestamp() * 1e9)
    tag = next((str(info[name]) for name in ("ETag", "etag", "blob_id", "sha256") if info.get(name)), "")
    return zlib.crc32(tag.encode()) if tag else 0
