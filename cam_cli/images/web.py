"""Files and listings of web servers, which may be slow, endless or hostile: each read within bytes and seconds."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from ..errors import CamxError

#: Bytes of one page of a listing.
PAGE_BYTES = 16 << 20
#: Pages, files and folders inside each other of one listing, and the seconds that all of it may take.
MOST_PAGES, MOST_FILES, DEEPEST, LISTING_SECONDS = 10_000, 2_000_000, 64, 600.0
#: Seconds for one request: to connect, between two pieces of the answer, and in all.
CONNECT_SECONDS, PIECE_SECONDS, REQUEST_SECONDS = 15.0, 30.0, 120.0
#: Bytes per second of a file of weights, at least, after the first two minutes.
SLOWEST = 10_000
_PIECE = 1 << 16
#: A link has no more letters than this.
_LONGEST = 8192
_LINK = re.compile(rf"<a\s[^<>]{{0,{_LONGEST}}}>", re.IGNORECASE)
_HREF = re.compile(r"""\bhref\s{0,9}=\s{0,9}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)


class TooMuch(Exception):
    """The answer of a server is over a limit. A retry does not help."""


class Page(NamedTuple):
    """Answer to a request: the bytes, and the content type that the server names."""

    data: bytes
    type: str


def read_url(files: Any, url: str, most: int, span: tuple[int, int] | None = None) -> Page:
    """The answer to one request, through the session of fsspec's file system for the web.

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
            # The whole file comes: what lies before the span is read and dropped.
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
    """Write the answer to a request into a file, however long it takes, unless it comes too slowly or is too long.

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
    """The addresses below `url` that a page links to, each once: what leads elsewhere, back or nowhere is left out."""
    found = dict[str, None]()
    for tag in _LINK.finditer(page):
        href = _HREF.search(tag[0])
        if href:
            below = _below(html.unescape(href[1] or href[2] or href[3] or ""), url)
            if below:
                found[below] = None
    return list(found)


def _below(link: str, url: str) -> str:
    """The address of a link, if it lies below `url`; else ""."""
    try:
        whole = urljoin(url, link.strip()).partition("#")[0]
        here, there = urlsplit(url), urlsplit(whole)
    except ValueError:
        return ""
    path = there.path
    if there.netloc.rpartition("@")[2] != here.netloc.rpartition("@")[2] or there.scheme not in ("http", "https"):
        return ""
    inside = path.removeprefix(here.path)
    # A link to the page itself in another order has a query alone.
    if path == inside or not inside or len(whole) > _LONGEST:
        return ""
    # Clients and servers take `%2e%2e`, and some a backslash, for what they stand for.
    if ".." in unquote(path).replace("\\", "/").split("/"):
        return ""
    return f"{here.scheme}://{here.netloc}{path}" + f"?{there.query}" * bool(there.query)


def pages_below(read: Callable[[str], Page], url: str) -> Iterator[tuple[str, str]]:
    """The files below a folder of a web server, as its pages list them, and why a folder is not known.

    Yields (address, "") for a file and (address, reason) for a folder inside that cannot be listed. Raises `CamxError`
    for a listing over a limit, and what `read` raises for the first page.
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
        # Whatever goes wrong with one folder is its own problem.
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
    return CamxError(f"The listing of {url!r} goes over {limit}.", "Give folders inside it, or an @list of addresses.")
