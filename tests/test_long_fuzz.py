"""Tar files and listings with valid structure and hostile content: headers with right checksums, pages with all
links."""

from __future__ import annotations

import io
import random
import tarfile
import time
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from cam_cli.errors import CamxError
from cam_cli.images import web
from cam_cli.images.filters import has_image_name
from cam_cli.images.keys import is_image_key
from cam_cli.images.listing import find
from cam_cli.images.picture import Picture, load
from cam_cli.images.tars import read_members

from .conftest import picture
from .decoding_support import SMALL
from .hostile_names import PIECES

QUICK, LONG = 150, 20_000
#: Seconds for one file, also on a busy machine.
PATIENCE = 5.0
KINDS = b"01234567LKxgSVMN\0A\xff"


def tar_file(draw: random.Random, image: bytes) -> bytes:
    """A tar file of all forms with images, links, labels and names of all kinds; most are then damaged, with new
    checksums."""
    buffer = io.BytesIO()
    form = draw.choice((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    with tarfile.open(fileobj=buffer, mode="w", format=form, errors="surrogateescape") as tar:
        for _ in range(draw.randint(1, 6)):
            name = "".join(draw.choice((*PIECES, "/", "../", "a/", "/")) for _ in range(draw.randint(1, 4)))
            short = _encodable(name).encode()[:90].decode("utf-8", "ignore")
            one = tarfile.TarInfo(short + draw.choice((".png", ".png", ".cls", "")))
            one.type = draw.choice((tarfile.REGTYPE,) * 5 + (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE))
            one.linkname = "x.png"
            one.size = len(image) if one.isreg() else 0
            if form == tarfile.PAX_FORMAT and draw.random() < 0.5:
                one.pax_headers = {draw.choice(("path", "size", "GNU.sparse.map", "comment")): _encodable(name) or "1"}
            tar.addfile(one, io.BytesIO(image) if one.isreg() else None)
    data = bytearray(buffer.getvalue())
    for _ in range(draw.choice((0, 1, 1, 3, 10))):
        block = draw.randrange(len(data) // 512) * 512
        place = draw.choice((draw.randrange(512), 156, 124 + draw.randrange(12), 345, 257, 482))
        data[block + place] = draw.choice((draw.randrange(256), draw.choice(KINDS), 0x80))
        data[block + 148 : block + 156] = b" " * 8
        data[block + 148 : block + 156] = b"%06o\0 " % sum(data[block : block + 512])
    return bytes(data if draw.random() < 0.7 else data[: draw.randrange(len(data))])


def _encodable(name: str) -> str:
    return name.encode("utf-8", "replace").decode().replace("\0", "") or "x"


def check_tar(path: Path, data: bytes) -> int:
    """Reads a tar file in all ways; returns the number of images that could be decoded."""
    path.write_bytes(data)
    began = time.monotonic()
    found, problem = read_members(str(path))
    assert not problem or problem.startswith("it is no whole tar file")
    for member in found:
        assert member.offset >= 0
        assert not member.stored or member.offset + member.size <= len(data)
        assert not {"", "."} & {*member.name.split("/")}
    try:
        inputs = find([str(path)])
    except CamxError as error:
        assert str(path) in str(error)
        return 0
    keys = [source.key for source in inputs.sources]
    assert all(map(is_image_key, keys))
    assert len({*keys}) == len(keys)
    images = [member for member in found if member.stored and has_image_name(member.name)]
    assert len(keys) == len(images) + bool(problem), "an image without a row"
    links = [member for member in found if not member.stored and has_image_name(member.name)]
    assert len(inputs.notes) == bool(links) + bool(problem)
    good = sum(isinstance(load(source, SMALL), Picture) for source in inputs.sources[:3])
    assert time.monotonic() - began < PATIENCE
    return good


def tars(tmp_path: Path, seed: int, count: int) -> int:
    picture(8, 8).save(tmp_path / "p.png")
    image = (tmp_path / "p.png").read_bytes()
    draw = random.Random(seed)
    return sum(check_tar(tmp_path / "x.tar", tar_file(draw, image)) for _ in range(count))


def page(draw: random.Random) -> str:
    """A listing as servers write it, or as an attacker could."""
    lines = ["<html><body><pre>" * draw.randrange(2)]
    for _ in range(draw.randint(0, 12)):
        target = "".join(draw.choice((*PIECES, "/", "../", "a", "%2e%2e/", "%2F", "?", "#", "..%5c")) for _ in range(3))
        target = draw.choice((target, quote(target, errors="replace"), f"http://host/d/{target}", f"//host/{target}"))
        target = draw.choice((target, target, f"http://other/{target}", f"/d/{target}", f"/{target}", f"data:{target}"))
        sign = draw.choice(('"', "'", ""))
        tag = draw.choice(("a", "A", "area", "base", "a x=y", "a\n", "link", "iframe"))
        lines.append(f"<{tag} {draw.choice(('href', 'HREF', ' href ', 'src'))}={sign}{target}{sign}>{target}</a>")
        lines.append(
            draw.choice(("", "", "<!--", "-->", "<![CDATA[", "<script>", "</script>", "<a " * 50, "&#46;&#x2e;/"))
        )
    return "\n".join(lines)


def check_page(text: str) -> int:
    """Returns the number of links of a page; fails if one leaves its folder."""
    began = time.monotonic()
    links = list(web.links(text, "http://host/d/"))
    for link in links:
        assert link.startswith("http://host/d/"), link
        path = link.removeprefix("http://host/d/").partition("?")[0]
        assert ".." not in unquote(path).replace("\\", "/").split("/"), link
    assert time.monotonic() - began < PATIENCE
    return len(links)


def test_tar_files_that_fit_their_checksums(tmp_path: Path) -> None:
    assert tars(tmp_path, seed=0, count=QUICK) > 20


def test_listings_of_all_kinds() -> None:
    draw = random.Random(0)
    assert sum(check_page(page(draw)) for _ in range(10 * QUICK)) > 300


@pytest.mark.slow
def test_many_tar_files_that_fit_their_checksums(tmp_path: Path) -> None:
    print(f"\n{tars(tmp_path, seed=1, count=LONG)} images in {LONG:,} tar files")


@pytest.mark.slow
def test_many_listings_of_all_kinds() -> None:
    draw = random.Random(1)
    print(f"\n{sum(check_page(page(draw)) for _ in range(10 * LONG))} links in {10 * LONG:,} pages")
