"""Endless, slow, lying or hostile web servers: a row or an error within bounded bytes and time."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from cam_cli.errors import CamxError, UnreadableImage
from cam_cli.images import remote, web
from cam_cli.images.listing import find
from cam_cli.images.remote import fetch, filesystem
from cam_cli.images.tars import read_members
from cam_cli.models import remote_weights
from cam_cli.models.remote_weights import local_weights

from .conftest import TINY, picture

Camx = Callable[..., int]
Send = Callable[[bytes], None]

PAGE = b"Content-Type: text/html\r\n\r\n"


def endless(send: Send, path: str) -> None:
    send(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n")
    while True:
        send(b"\0" * 65536)


def lying(send: Send, path: str) -> None:
    send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"\0" * 100)


def gzip_bomb(send: Send, path: str) -> None:
    body = gzip.compress(b"\0" * (8 << 20))
    send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def drip(send: Send, path: str) -> None:
    send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        send(b"x")
        time.sleep(0.05)


def drip_of_headers(send: Send, path: str) -> None:
    send(b"HTTP/1.1 200 OK\r\n")
    while True:
        send(b"X")
        time.sleep(0.05)


def endless_headers(send: Send, path: str) -> None:
    send(b"HTTP/1.1 200 OK\r\n")
    while True:
        send(b"X-Y: z\r\n" * 1000)


def endless_header(send: Send, path: str) -> None:
    send(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        send(b"y" * 65536)


def silent(send: Send, path: str) -> None:
    time.sleep(30)


def circle(send: Send, path: str) -> None:
    send(b"HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n")


def nonsense(send: Send, path: str) -> None:
    send(b"\x00\xff" * 5000)


def good(send: Send, path: str) -> None:
    picture().save("good.png")
    data = Path("good.png").read_bytes()
    send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(data) + data)


def nested(send: Send, path: str) -> None:
    send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + PAGE + b'<a href="x/">x</a><a href="p.png">p</a>')


def endless_page(send: Send, path: str) -> None:
    send(b"HTTP/1.1 200 OK\r\n" + PAGE)
    while True:
        send(b'<a href="p.png">p</a>' * 1000)


def endless_line(send: Send, path: str) -> None:
    send(b"HTTP/1.1 200 OK\r\n" + PAGE + b"<a ")
    while True:
        send(b" " * 65536)


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[Send, str], None]], str]]:
    """Starts servers that run a function for each connection; small limits keep tests short."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(remote, "_PAUSE", 0.01)
    monkeypatch.setattr(remote, "REQUEST_SECONDS", 0.6)
    monkeypatch.setattr(remote, "REMOTE_BYTES", 1 << 20)
    monkeypatch.setattr(web, "REQUEST_SECONDS", 0.6)
    for name, value in (("CONNECT_SECONDS", 0.5), ("PIECE_SECONDS", 0.5), ("PAGE_BYTES", 1 << 20)):
        monkeypatch.setattr(web, name, value)
        monkeypatch.setattr(remote, name, value)
    listening: list[socket.socket] = []

    def answer(connection: socket.socket, work: Callable[[Send, str], None]) -> None:
        with closing(connection), suppress(OSError):
            words = connection.recv(65536).split()
            work(connection.sendall, words[1].decode("latin1") if len(words) > 1 else "")

    def start(work: Callable[[Send, str], None]) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        listening.append(server)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=answer, args=(connection, work), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}"

    yield start
    for server in listening:
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (endless, "more than 1,048,576 bytes"),
        (lying, "99,999,999,999 bytes are over the limit"),
        (gzip_bomb, "more than 1,048,576 bytes"),
        (drip, "did not arrive within"),
        (drip_of_headers, "did not arrive within"),
        (endless_headers, "cannot be read"),
        (endless_header, "cannot be read"),
        (silent, "did not arrive within"),
        (circle, "cannot be read"),
        (nonsense, "cannot be read"),
    ],
)
def test_an_image_of_a_hostile_server_is_refused_within_its_limits(
    work: Callable[[Send, str], None], reason: str, serve: Callable[..., str]
) -> None:
    began = time.monotonic()
    with pytest.raises(UnreadableImage, match=reason):
        fetch(f"{serve(work)}/a.png")
    assert time.monotonic() - began < 3


def test_hostile_addresses_are_rows_beside_good_ones(
    camx: Camx, serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    works = (endless, drip, silent, nonsense, good)
    Path("list.txt").write_text("".join(f"{serve(work)}/{work.__name__}.png\n" for work in works))
    assert camx("explain", "@list.txt", *TINY, "--max-failures", 4) == 0
    rows = [json.loads(line) for line in Path("camx-out/manifest.jsonl").read_text().splitlines()]
    assert {row["image"].partition("/")[2]: row["status"] for row in rows} == {
        f"{work.__name__}.png": "ok" if work is good else "failed" for work in works
    }


@pytest.mark.parametrize(
    "work",
    [
        endless,
        lying,
        gzip_bomb,
        drip,
        drip_of_headers,
        endless_headers,
        silent,
        circle,
        nonsense,
        endless_page,
        endless_line,
    ],
)
def test_a_listing_of_a_hostile_server_is_a_sentence(
    work: Callable[[Send, str], None], serve: Callable[..., str]
) -> None:
    began = time.monotonic()
    with pytest.raises(CamxError, match="cannot be listed|No images|nothing at"):
        find([f"{serve(work)}/folder/"])
    assert time.monotonic() - began < 3


def test_folders_in_folders_without_end(serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "DEEPEST", 5)
    inputs = find([f"{serve(nested)}/f/"])
    assert len(inputs.sources) == 6
    assert "more than 5 folders inside each other" in inputs.notes[0]
    for name, value, said in (
        ("MOST_PAGES", 3, "3 folders"),
        ("MOST_FILES", 3, "3 files"),
        ("LISTING_SECONDS", -1.0, " s"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(web, name, value)
            with pytest.raises(CamxError, match=f"exceeds .*{said}"):
                find([f"{serve(nested)}/f/"])


def test_a_tar_file_of_a_hostile_server(serve: Callable[..., str]) -> None:
    filesystem("http://").clear_instance_cache()
    for work in (endless, lying, silent, nonsense):
        began = time.monotonic()
        found, problem = read_members(f"{serve(work)}/x.tar")
        assert found == []
        assert problem
        assert time.monotonic() - began < 5
    filesystem("http://").clear_instance_cache()


@pytest.mark.parametrize("work", [endless, drip, silent, nonsense])
def test_weights_of_a_hostile_server(
    work: Callable[[Send, str], None], serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    filesystem("http://").clear_instance_cache()
    monkeypatch.setenv("CAMX_CACHE", "cache")
    monkeypatch.setattr(remote_weights, "WEIGHTS_BYTES", 1 << 20)
    with pytest.raises(CamxError, match="weights"):
        local_weights(f"{serve(work)}/w.pth")
    assert not [path for path in Path("cache").rglob("*") if path.is_file()]
    filesystem("http://").clear_instance_cache()


def test_weights_that_come_too_slowly(serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece arrives in time, and all pieces would take forever."""
    filesystem("http://").clear_instance_cache()
    monkeypatch.setenv("CAMX_CACHE", "cache")
    monkeypatch.setattr(web, "PIECE_SECONDS", 5.0)
    with pytest.raises(CamxError, match="fewer than 10,000 bytes per second"):
        local_weights(f"{serve(drip)}/w.pth")
    assert not [path for path in Path("cache").rglob("*") if path.is_file()]
    filesystem("http://").clear_instance_cache()


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ('<a href="a.png">', ["a.png"]),
        ("<A HREF='b/c.png' class=x>", ["b/c.png"]),
        ("<a class=y href=d.png>", ["d.png"]),
        ('<a href="?C=N;O=D"><a href="../"><a href="/"><a href="#x"><a href="">', []),
        ('<a href="../../../etc/x.png"><a href="/d/../../x.png">', []),
        ('<a href="http://elsewhere/d/x.png"><a href="//elsewhere/d/x.png"><a href="file:///d/x.png"><a href="javascript:x">', []),
        ('<a href="/d/x.png"><a href="http://host/d/y.png"><a href="https://host/d/z.png">', ["x.png", "y.png", "z.png"]),
        ('<a href="a&amp;b.png?c=1#f">', ["a&b.png?c=1"]),
        ('<a href="a.png"><a href="a.png">', ["a.png"]),
        ('<a href="http://[x/a.png"><a href="\x00.png">', [".png"]),
        ("<a " * 100_000 + 'href="a.png">', ["a.png"]),
        ("<a" + " " * 200_000 + 'href="a.png">', []),
        ('<a href="' + "x" * 10_000 + '">', []),
    ],
)  # fmt: skip
def test_links_of_a_page(page: str, found: list[str]) -> None:
    began = time.monotonic()
    assert web.links(page, "http://host/d/") == [f"http://host/d/{name}" for name in found]
    assert time.monotonic() - began < 1


def test_the_listing_that_left_the_output_of_version_0_1_0(data: Path) -> None:
    page = (data / "faults" / "40_listing_traversal.html").read_text()
    assert all(".." not in link for link in web.links(page, "http://host/"))
