"""Foreign tar files: all whole images, or errors, within bounded time and memory."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import tarfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from cam_cli.images import tars
from cam_cli.images.listing import find
from cam_cli.images.tars import Member, members, read_members

from .conftest import TINY, picture

Camx = Callable[..., int]
PNG = b"\x89PNG"


def packed(names: list[str], data: bytes = PNG, **more: object) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **more) as tar:  # type: ignore[call-overload]
        for name in names:
            one = tarfile.TarInfo(name)
            one.size = len(data)
            tar.addfile(one, io.BytesIO(data))
    return buffer.getvalue()


def header(name: str, size: int, kind: bytes = b"0") -> bytes:
    """A header with any content and a right checksum."""
    one = tarfile.TarInfo(name)
    one.type = kind
    block = bytearray(one.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"\x80" + size.to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def read(data: bytes, tmp_path: Path) -> tuple[list[str], str]:
    path = tmp_path / "x.tar"
    path.write_bytes(data)
    found, problem = read_members(str(path))
    return [member.name for member in found if member.stored], problem


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_form_is_read_as_the_library_of_python_reads_it(form: int, tmp_path: Path) -> None:
    names = ["a.png", "b/c d.png", "ä.png", "x" * 90 + ".png", "f/" * 60 + "deep.png"]
    if form != tarfile.USTAR_FORMAT:
        names += ["l" * 300 + ".png", "g/" * 200 + "deep.png"]
    (tmp_path / "x.tar").write_bytes(packed(names, format=form))
    with tarfile.open(tmp_path / "x.tar") as tar:
        wanted = [Member(one.name, one.offset_data, one.size) for one in tar]
    assert members(str(tmp_path / "x.tar")) == wanted


def test_links_folders_and_sparse_files_are_no_images(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            one = tarfile.TarInfo("k.png")
            one.type, one.linkname = kind, "/etc/passwd"
            tar.addfile(one)
        one = tarfile.TarInfo("after.png")
        one.size = 4
        tar.addfile(one, io.BytesIO(PNG))
    assert read(buffer.getvalue(), tmp_path) == (["after.png"], "")
    sparse = header("s.png", 4, b"S") + PNG + b"\0" * 508
    assert read(sparse + buffer.getvalue(), tmp_path) == (["after.png"], "")


HOSTILE: dict[str, tuple[bytes, list[str], str]] = {
    "no tar": (b"no tar" * 1000, [], "a block in it is no header"),
    "empty": (b"", [], "it is empty"),
    "cut within a header": (packed(["a.png", "b.png"])[:1124], ["a.png"], "ends within a header"),
    "cut within a file": (packed(["a.png"]) [:1024] + header("b.png", 600) + b"x" * 10, ["a.png"], "cut short"),
    "a size of a petabyte": (header("a.png", 1 << 50), [], "a file in it is cut short"),
    "a size that is none": (header("a.png", (1 << 87) - 1), [], "has no size"),
    "an extended header of 6 GB": (header("x", 6 << 30, b"x"), [], "a header of 6,442,450,944 bytes"),
    "a long name of 6 GB": (header("x", 6 << 30, b"L"), [], "a header of 6,442,450,944 bytes"),
    "gzip": (gzip.compress(packed(["a.png"]) * 100), [], "it is compressed"),
    "an extended size that lies": (header("x", 30, b"x") + b"25 size=99999999999999999\n".ljust(512, b"\0") + packed(["a.png"]), [], "cut short"),
    "records that do not end": (header("x", 512, b"x") + b"9 a=" * 128 + packed(["a.png"]), ["a.png"], ""),
    "a record longer than its header": (header("x", 20, b"x") + b"9999999 path=x\n".ljust(512, b"\0") + packed(["a.png"]), ["a.png"], ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_give_what_is_whole_and_a_reason(kind: str, tmp_path: Path) -> None:
    data, names, reason = HOSTILE[kind]
    tracemalloc.start()
    found, problem = read(data, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == names
    assert reason in problem
    assert bool(problem) == bool(reason)
    assert peak < 10 << 20


def test_a_sparse_terabyte_of_nothing_ends_at_once(tmp_path: Path) -> None:
    with open(tmp_path / "big.tar", "wb") as file:
        file.truncate(1 << 40)
    began = time.monotonic()
    assert read_members(str(tmp_path / "big.tar")) == ([], "")
    assert time.monotonic() - began < 1


def test_a_tar_file_has_limits_of_files_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = packed([f"{n}.png" for n in range(20)])
    monkeypatch.setattr(tars, "MOST_MEMBERS", 10)
    names, problem = read(data, tmp_path)
    assert (len(names), problem) == (10, "it is no whole tar file (more than 10 files)")
    monkeypatch.setattr(tars, "MOST_MEMBERS", 100)
    monkeypatch.setattr(tars, "HEADER_SECONDS", -1.0)
    assert "took more than" in read(data, tmp_path)[1]


def test_one_bad_tar_fails_as_a_row_and_the_others_go_on(
    camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture().save(tmp_path / "p.png")
    good = packed(["a.png", "b.png"], (tmp_path / "p.png").read_bytes())
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.tar").write_bytes(good)
    (folder / "cut.tar").write_bytes(good[:600])
    (folder / "none.tar").write_bytes(b"x" * 5000)
    (tmp_path / "list.txt").write_text("in/good.tar\nin/cut.tar\nin/none.tar\nin/missing.tar\nin/pipe.tar\n")
    os.mkfifo(folder / "pipe.tar")
    assert camx("explain", "@list.txt", *TINY) == 1
    rows = {row["image"]: row for row in map(json.loads, Path("camx-out/manifest.jsonl").read_text().splitlines())}
    assert {name: row["status"] for name, row in rows.items()} == {
        "in/good.tar/a.png": "ok",
        "in/good.tar/b.png": "ok",
        "in/cut.tar": "failed",
        "in/none.tar": "failed",
        "in/missing.tar": "failed",
        "in/pipe.tar": "failed",
    }
    assert rows["in/missing.tar"]["error"] == "No such file or directory"
    assert rows["in/pipe.tar"]["error"] == "not a regular file"
    heard = capsys.readouterr().err
    assert "no whole tar file (a block in it is no header): in/none.tar" in heard
    assert camx("explain", "in/none.tar", *TINY, "-o", "other") == 2
    assert "no whole tar file" in capsys.readouterr().err


def test_no_image_of_a_tar_file_is_left_out_without_a_note(
    camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names that leave the file have keys that do not; of two files with one name, the second has its own key."""
    names = ["../../up.png", "/abs.png", "a/../b.png", "ok.png", "./ok.png", "..", "../.."]
    picture().save(tmp_path / "p.png")
    data = packed(names, (tmp_path / "p.png").read_bytes())
    buffer = io.BytesIO(data)
    with tarfile.open(fileobj=buffer, mode="a") as tar:
        for kind in (tarfile.LNKTYPE, tarfile.SYMTYPE):
            link = tarfile.TarInfo("link.png")
            link.type, link.linkname = kind, "ok.png"
            tar.addfile(link)
    (tmp_path / "t.tar").write_bytes(buffer.getvalue())
    assert camx("explain", tmp_path / "t.tar", *TINY, "--labels", "folder") == 0
    rows = {row["image"]: row for row in map(json.loads, Path("camx-out/manifest.jsonl").read_text().splitlines())}
    (again,) = {*rows} - {f"t.tar/{name}" for name in ("%2E%2E/%2E%2E/up.png", "abs.png", "a/%2E%2E/b.png", "ok.png")}
    assert again.startswith("t.tar/ok.png#")
    assert len(rows) == 5
    assert {row["label"] for row in rows.values()} <= {"", "t.tar"}
    heard = " ".join(capsys.readouterr().err.split())
    assert "Left out, since 2 images in it, links or sparse files, cannot be read there: " in heard
    assert not [path for path in tmp_path.rglob("*.png") if "camx-out" not in path.parts and path.name != "p.png"]


def test_the_tar_that_broke_version_0_1_0(data: Path) -> None:
    inputs, problem = read_members(str(data / "faults" / "10_tar_overflowerror.tar"))
    assert isinstance(inputs, list)
    assert "Error" not in problem


def test_damaged_headers_never_raise(tmp_path: Path) -> None:
    whole = packed(["a.png", "b.png", "l" * 200 + ".png"], format=tarfile.PAX_FORMAT)
    draw = random.Random(0)
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 20)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        if draw.random() < 0.5:  # a right checksum, so that the rest is read
            block = draw.randrange(len(data) // 512) * 512
            data[block + 148 : block + 156] = b" " * 8
            data[block + 148 : block + 156] = b"%06o\0 " % sum(data[block : block + 512])
        names, problem = read(bytes(data[: draw.randrange(len(data))]), tmp_path)
        assert all(not {"", "."} & {*name.split("/")} for name in names)
        assert problem == "" or problem.startswith("it is no whole tar file"), problem


def test_an_argument_keeps_its_order_with_a_broken_tar(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(packed(["1.png", "2.png"])[:1500])
    (tmp_path / "b.png").write_bytes(PNG)
    inputs = find([str(tmp_path / "a.tar"), str(tmp_path / "b.png")])
    assert [source.key for source in inputs.sources] == ["a.tar/1.png", "a.tar", "b.png"]
    assert len(inputs.notes) == 1
