"""Reads files and listings of web servers within limits of bytes and seconds.

Servers may be slow, endless or hostile.
"""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from ..errors import CamxError

#: Largest page of a listing in bytes.
PAGE_BYTES = 16 << 20
#: Limits of one listing: pages, files, depth of folders, and seconds in all.
MOST_PAGES, MOST_FILES, DEEPEST, LISTING_SECONDS = 10_000, 2_000_000, 64, 600.0
#: Timeouts of a request in seconds: connection, between two pieces, in all.
CONNECT_SECONDS, PIECE_SECONDS, REQUEST_SECONDS = 15.0, 30.0, 120.0
#: Slowest download of weights, in bytes per second after the first two minutes.
SLOWEST = 10_000
_PIECE = 1 << 16
#: Longest link in characters.
_LONGEST = 8192
_LINK = re.compile(rf"<a\s[^<>]{{0,{_LONGEST}}}>", re.IGNORECASE)
_HREF = re.compile(r"""\bhref\s{0,9}=\s{0,9}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)


class TooMuch(Exception):
    """The answer of a server exceeds a limit. A retry is useless."""


class Page(NamedTuple):
    """Answer to a request: bytes and content type."""

    data: bytes
    type: str


def read_url(files: Any, url: str, most: int, span: tuple[int, int] | None = None) -> Page:
    """Answer to one request, through the session of fsspec's web file system.

    Raises `FileNotFoundError`, `PermissionError`, `TimeoutError`, `TooMuch`, or what aiohttp raises.
    """
    from fsspec.asyn import sync

    page: Page = sync(files.loop, _read, files, url, most, span, timeout=REQUEST_SECONDS + CONNECT_SECONDS)
    return page


async def _read(files: Any, url: str, most: int, span: tuple[int, int] | None) -> Page:
    from aiohttp import ClientTimeout

    session = await files.set_session()
    limits = ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=PIECE_SECONDS)
    headers = {"Range": f"bytes={span[0]}-{span[0] + span[1] - 1}"} if span and span[1] else {}
    data = bytearray()
    async with session.get(files.encode_url(url), timeout=limits, headers=headers) as answer:
        _check_status(answer, url)
        if span and answer.status != 206:
            # The server sends the whole file: skip the part before the span.
            return Page(await _part(answer.content, *span), "")
        if answer.content_length is not None and answer.content_length > most:
            raise TooMuch(f"{answer.content_length:,} bytes are over the limit of {most:,}")
        async for piece in answer.content.iter_chunked(_PIECE):
            data += piece
            if len(data) > most:
                raise TooMuch(f"more than {most:,} bytes")
        return Page(bytes(data), answer.headers.get("Content-Type", "").partition(";")[0].strip().lower())


async def _part(content: Any, offset: int, size: int) -> bytes:
    passed, data = 0, bytearray()
    async for piece in content.iter_chunked(_PIECE):
        data += piece[max(0, offset - passed) :]
        passed += len(piece)
        if len(data) >= size:
            break
    return bytes(data[:size])


def save_url(files: Any, url: str, path: str, most: int) -> None:
    """Downloads a URL into a file without a total timeout, unless it is too slow or too large.

    Raises as `read_url` does.
    """
    from fsspec.asyn import sync

    sync(files.loop, _save, files, url, path, most)


async def _save(files: Any, url: str, path: str, most: int) -> None:
    from aiohttp import ClientTimeout

    session = await files.set_session()
    limits = ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=PIECE_SECONDS)
    began, size = time.monotonic(), 0
    async with session.get(files.encode_url(url), timeout=limits) as answer:
        _check_status(answer, url)
        with open(path, "wb") as file:
            async for piece in answer.content.iter_chunked(1 << 20):
                size += file.write(piece)
                seconds = time.monotonic() - began
                if size > most:
                    raise TooMuch(f"more than {most:,} bytes")
                if seconds > REQUEST_SECONDS and size < seconds * SLOWEST:
                    raise TooMuch(f"fewer than {SLOWEST:,} bytes per second")


def _check_status(answer: Any, url: str) -> None:
    if answer.status in (404, 410):
        raise FileNotFoundError(url)
    if answer.status in (401, 403):
        raise PermissionError(url)
    answer.raise_for_status()


def links(page: str, url: str) -> list[str]:
    """Addresses below `url` to which a page links, each once, without links that lead elsewhere."""
    found = dict[str, None]()
    for tag in _LINK.finditer(page):
        href = _HREF.search(tag[0])
        if href:
            below = _below(html.unescape(href[1] or href[2] or href[3] or ""), url)
            if below:
                found[below] = None
    return list(found)


def _below(link: str, url: str) -> str:
    """Address of a link if it lies below `url`, else ""."""
    try:
        whole = urljoin(url, link.strip()).partition("#")[0]
        here, there = urlsplit(url), urlsplit(whole)
    except ValueError:
        return ""
    path = there.path
    if there.netloc.rpartition("@")[2] != here.netloc.rpartition("@")[2] or there.scheme not in ("http", "https"):
        return ""
    inside = path.removeprefix(here.path)
    # A link to the page itself in another sort order is only a query.
    if path == inside or not inside or len(whole) > _LONGEST:
        return ""
    # Clients and servers decode `%2e%2e`, and some treat a backslash as a slash.
    if ".." in unquote(path).replace("\\", "/").split("/"):
        return ""
    return f"{here.scheme}://{here.netloc}{path}" + f"?{there.query}" * bool(there.query)


def pages_below(read: Callable[[str], Page], url: str) -> Iterator[tuple[str, str]]:
    """Files below a folder of a web server, from its listing pages.

    Yields (address, "") for a file and (address, reason) for a folder inside that cannot be listed. Raises `CamxError`
    for a listing over a limit, and any error of `read` for the first page.
    """
    waiting, known = [url], {url}
    files, ends = 0, time.monotonic() + LISTING_SECONDS
    while waiting:
        folder = waiting.pop()
        if len(known) > MOST_PAGES or time.monotonic() > ends:
            limit = f"{MOST_PAGES:,} folders" if len(known) > MOST_PAGES else f"{LISTING_SECONDS:.0f} s"
            raise _endless(url, limit)
        try:
            page = read(folder)
        # An error of one folder must not affect others.
        except Exception as error:
            if folder == url:
                raise
            yield folder, f"{type(error).__name__}: {str(error)[:200]}"
            continue
        text = page.data.decode("utf-8", "replace") if page.type in ("", "text/html", "application/xhtml+xml") else ""
        for link in links(text, folder):
            if not urlsplit(link).path.endswith("/"):
                files += 1
                if files > MOST_FILES:
                    raise _endless(url, f"{MOST_FILES:,} files")
                yield link, ""
            elif link not in known and link.count("/") - url.count("/") <= DEEPEST:
                known.add(link)
                waiting.append(link)
            elif link not in known:
                yield link, f"more than {DEEPEST} folders inside each other"


def _endless(url: str, limit: str) -> CamxError:
    return CamxError(f"The listing of {url!r} exceeds {limit}.", "Give folders inside it, or an @list of addresses.")
