"""Reads files of object stores and web servers through fsspec, within limits of bytes and time, with retries."""

from __future__ import annotations

import contextlib
import re
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from ..errors import CamxError, UnreadableImage
from .web import CONNECT_SECONDS, PAGE_BYTES, PIECE_SECONDS, REQUEST_SECONDS, Page, TooMuch, pages_below, read_url

T = TypeVar("T")

#: Allowed protocols, and the packages for them. Other protocols of fsspec run programs or chain.
PROTOCOLS = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "hf": "huggingface_hub",
    "http": "aiohttp",
    "https": "aiohttp",
    "memory": "fsspec",
}
#: Largest remote image in bytes: many are fetched at once.
REMOTE_BYTES = 256 << 20
#: Most files in one listing of an object store.
MOST_LISTED = 50_000_000
_ATTEMPTS = 4
#: Seconds before the second attempt; each further delay doubles.
_PAUSE = 0.5
_LISTERS = 16
#: Errors for which a retry is useless.
_FINAL = (
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    NotImplementedError,
    CamxError,
    TooMuch,
)


class RemoteFile(NamedTuple):
    """Address, size in bytes (-1: unknown), and a number that changes with the content, if known.

    lost: reason why a folder at this address cannot be listed.
    """

    url: str
    size: int
    version: int
    lost: str = ""


def is_remote(path: str) -> bool:
    """Whether a text is an address, not a path."""
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path))


def filesystem(url: str) -> Any:
    """File system of an address. Raises `CamxError` for an unknown protocol, or if its package is missing."""
    protocol = url.partition("://")[0]
    if protocol not in PROTOCOLS:
        raise CamxError(
            f"The protocol of {url!r} is not supported.",
            f"Give an address of {', '.join(f'{name}://' for name in PROTOCOLS)}.",
        )
    try:
        import fsspec

        return fsspec.filesystem(protocol, **_options(protocol))
    except ImportError as error:
        raise CamxError(
            f"{url!r} needs the package {PROTOCOLS[protocol]!r}. Install it with `pip install 'camx[remote]'`."
        ) from error


def _options(protocol: str) -> dict[str, Any]:
    """Options of a file system for timeouts."""
    if protocol == "s3":
        seconds = {"connect_timeout": CONNECT_SECONDS, "read_timeout": PIECE_SECONDS}
        return {"config_kwargs": {"max_pool_connections": 64, **seconds}}
    if protocol in ("http", "https"):
        from aiohttp import ClientTimeout

        limits = ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=PIECE_SECONDS)
        return {"client_kwargs": {"timeout": limits}}
    return {}


@contextlib.contextmanager
def store_errors(sentence: str, advice: str) -> Iterator[None]:
    """While active, turns every error of a store into a `CamxError` with this sentence, the error, and the advice."""
    try:
        yield
    except CamxError:
        raise
    # Each file system has its own errors.
    except Exception as error:
        raise CamxError(f"{sentence}: {type(error).__name__}: {str(error)[:200]}.", advice) from error


def with_retries(work: Callable[[], T], attempts: int = _ATTEMPTS) -> T:
    """Calls `work`, with retries after temporary errors for two minutes in all."""
    began = time.monotonic()
    for attempt in range(attempts - 1):
        try:
            return work()
        except _FINAL:
            raise
        # Each file system has its own errors for a broken connection.
        except Exception:
            pause = _PAUSE * 2**attempt
            if time.monotonic() - began + pause > REQUEST_SECONDS:
                raise
        time.sleep(pause)
    return work()


def fetch(url: str, span: tuple[int, int] | None = None, *, size: int = -1) -> bytes:
    """Bytes of a file, or of a span (offset, size) of it. size: of the whole file, if known.

    Raises `UnreadableImage`.
    """
    try:
        data = with_retries(lambda: _bytes(url, span, size))
    except TooMuch as error:
        raise UnreadableImage(f"{error} for a file that is fetched") from error
    except TimeoutError as error:
        raise UnreadableImage(f"it did not arrive within {REQUEST_SECONDS:.0f} s") from error
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


def _bytes(url: str, span: tuple[int, int] | None, size: int) -> bytes:
    files, most = filesystem(url), REMOTE_BYTES
    if span and span[1] > most:
        raise TooMuch(f"{span[1]:,} bytes are over the limit of {most:,}")
    if url.startswith("http"):
        return read_url(files, url, most, span=span).data
    if span:
        part: bytes = files.cat_file(url, start=span[0], end=span[0] + span[1])
        return part
    # The sizes of an object store are reliable, if there are any.
    known = files.info(url).get("size") if size < 0 else size
    if known is not None and known > most:
        raise TooMuch(f"{known:,} bytes are over the limit of {most:,}")
    data: bytes = files.cat_file(url)
    return data


def listed(url: str) -> list[RemoteFile]:
    """File of an address, files that match it as a pattern, or all files below it, sorted.

    Raises `CamxError` if there is none, or if it cannot be listed.
    """
    files = filesystem(url)
    try:
        if url.startswith("http") and url.endswith("/"):
            return _web_files(files, url)
        files.invalidate_cache()
        found = with_retries(lambda: _found(files, url))
    except CamxError:
        raise
    except PermissionError as error:
        raise CamxError(f"Access to {url!r} is denied. Check the address and your credentials.") from error
    except FileNotFoundError as error:
        raise CamxError(f"There is nothing at {url!r}. Check the address.") from error
    except Exception as error:
        text = f"{type(error).__name__}: {str(error)[:200]}"
        raise CamxError(f"{url!r} cannot be listed ({text}). Check the address and your credentials.") from error
    if len(found) > MOST_LISTED:
        raise CamxError(f"There are more than {MOST_LISTED:,} files at {url!r}.", "Give folders inside it.")
    protocol = url.partition("://")[0]
    own = (_file(protocol, name, info) for name, info in found.items() if info.get("type") == "file")
    return sorted(own, key=lambda file: file.url.split("/"))


def _web_files(files: Any, url: str) -> list[RemoteFile]:
    """Files that the pages of a web server list, sorted, and folders that cannot be listed."""

    def read(folder: str) -> Page:
        return with_retries(lambda: read_url(files, folder, PAGE_BYTES))

    found = [RemoteFile(address, -1, 0, lost) for address, lost in pages_below(read, url)]
    return sorted(found, key=lambda file: file.url.split("/"))


def _found(files: Any, url: str) -> dict[str, dict[str, Any]]:
    path = files._strip_protocol(url)
    if any(sign in path for sign in "*?[") and not url.startswith("http"):
        matches: dict[str, dict[str, Any]] = files.glob(path, detail=True)
        return matches
    if url.startswith("http") and not url.endswith("/"):
        # fsspec reports any error of a web server as "not found"; reading the file gives a better error.
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
        for below in pool.map(lambda folder: with_retries(lambda: files.find(folder, detail=True)), folders):
            found |= below
    return found


def _file(protocol: str, name: str, info: dict[str, Any]) -> RemoteFile:
    url = name if is_remote(name) else f"{protocol}://{name.lstrip('/')}"
    size = info.get("size")
    return RemoteFile(url, -1 if size is None else int(size), _version(info))


def _version(info: dict[str, Any]) -> int:
    """Modification time in nanoseconds if the server sends it, else a number from the content's tag."""
    for name in ("LastModified", "mtime", "updated", "created", "last_commit"):
        value = info.get(name)
        if isinstance(value, datetime):
            return int(value.timestamp() * 1e9)
    tag = next((str(info[name]) for name in ("ETag", "etag", "blob_id", "sha256") if info.get(name)), "")
    return zlib.crc32(tag.encode()) if tag else 0
