"""One true row for every file, whatever its content, its name or changes during the run, through the whole program."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import random
import shutil
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cam_cli.errors import CamxError, UnreadableImage
from cam_cli.images import decode as decoding
from cam_cli.images.decode import decode, read
from cam_cli.images.listing import find
from cam_cli.pipeline.progress import Progress
from cli.terminal import Reporter, decimals, printable

from .conftest import TINY, picture

Camx = Callable[..., int]


def rows(out: str = "camx-out") -> dict[str, dict[str, str]]:
    with open(Path(out) / "predictions.csv", newline="", encoding="utf-8") as file:
        return {row["image"]: row for row in csv.DictReader(file)}


def close(one: dict[str, str], two: dict[str, str]) -> bool:
    """Whether two rows are equal, with probabilities within 1e-5 and measures within 1e-3."""
    for name in one:
        if name.endswith("prob") and one[name]:
            if abs(float(one[name]) - float(two[name])) > 1e-5:
                return False
        elif name.startswith("cam_") and one[name]:
            if abs(float(one[name]) - float(two[name])) > 1e-3 * max(1.0, abs(float(one[name]))):
                return False
        elif one[name] != two[name]:
            return False
    return True


def test_a_row_does_not_depend_on_neighbours_order_batches_workers_or_resume(camx: Camx, tmp_path: Path) -> None:
    """In every variation each image has the row that it has alone."""
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(9):
        picture(50 + 17 * index, 40 + 5 * index, index).save(folder / f"{index}.png")
    names = [f"in/{index}.png" for index in range(9)]
    for name in names[::3]:
        assert camx("explain", name, *TINY, "-o", f"alone/{Path(name).name}", "-q") == 0
    alone = {Path(n).name: rows(f"alone/{Path(n).name}")[Path(n).name] for n in names[::3]}
    shuffled = random.Random(0).sample(names, len(names))
    variations: list[list[object]] = [
        [folder, "-b", 9, "-j", 1],
        [folder, "-b", 2, "-j", 3],
        [*shuffled, "-b", 4],
    ]
    for index, argv in enumerate(variations):
        assert camx("explain", *argv, *TINY, "-o", f"v{index}", "-q") == 0
        found = rows(f"v{index}")
        assert all(close(alone[name], found[name]) for name in alone), argv
    for count in (5, 9):
        assert camx("explain", folder, *TINY, "-o", "resumed", "-q", "--limit", count) == 0
    assert all(close(row, rows("resumed")[name]) for name, row in alone.items())
    for index, data in enumerate([b"", b"\xff\xd8\xff", b"GIF89a", b"<html>"]):
        (folder / f"{index}-bad.jpg").write_bytes(data)
    assert camx("explain", folder, *TINY, "-o", "with-bad", "-q", "-b", 4) == 1
    found = rows("with-bad")
    assert all(close(alone[name], found[name]) for name in alone)
    assert sum(row["status"] == "failed" for row in found.values()) == 4


def test_the_position_of_a_row_is_that_of_the_last_run(camx: Camx, images: Path) -> None:
    assert camx("explain", images, *TINY, "-q") == 0
    picture().save(images / "cat" / "00.png")
    assert camx("explain", images, *TINY, "-q") == 0
    lines = [json.loads(line) for line in Path("camx-out/manifest.jsonl").read_text().splitlines()]
    last = {row["image"]: row["index"] for row in lines}
    assert [last[name] for name in rows()] == list(range(8))


def test_a_limit_shortens_the_table_and_not_the_journal(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert camx("explain", images, *TINY, "-q") == 0
    whole = Path("camx-out/predictions.csv").read_bytes()
    assert camx("explain", images, *TINY, "-q", "--limit", 2) == 0
    assert len(rows()) == 2, "the table has the images of the command that wrote it"
    assert camx("explain", images, *TINY, "--json") == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 7, "and nothing is lost"
    assert Path("camx-out/predictions.csv").read_bytes() == whole


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG whose header states this size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_bombs_are_refused_at_the_header(camx: Camx, tmp_path: Path) -> None:
    """A hundred bytes with a header of 4 gigapixels; and a real flat image above the limit."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bomb.png").write_bytes(png(65_535, 65_535))
    Image.new("1", (3000, 3000)).save(tmp_path / "in" / "flat.png")
    picture().save(tmp_path / "in" / "fine.png")
    assert camx("explain", "in", *TINY, "--max-pixels", 8_000_000) == 1
    assert {name: row["status"] for name, row in rows().items()} == {
        "bomb.png": "failed",
        "fine.png": "ok",
        "flat.png": "failed",
    }
    assert "the limit of 8,000,000" in rows()["bomb.png"]["error"]
    assert rows()["flat.png"]["error"] == "3000×3000 pixels are over the limit of 8,000,000 (max_pixels)"
    assert camx("explain", "in", *TINY, "--max-pixels", 9_000_000, "--max-failures", 1) == 0


def test_extreme_shapes(camx: Camx, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for width, height in [(1, 1), (1, 3000), (65_537, 1), (2, 65_537)]:
        Image.new("RGB", (width, height), "red").save(tmp_path / "in" / f"{width}x{height}.png")
    assert camx("explain", "in", *TINY) == 0
    for name, row in rows().items():
        assert (row["status"], f"{row['width']}x{row['height']}.png") == ("ok", name)
        with Image.open(Path("camx-out") / row["overlay"]) as overlay:
            assert max(overlay.size) <= 512


def test_things_that_are_no_files(camx: Camx, tmp_path: Path) -> None:
    """Named one by one, without a folder that skips them: camx waits for none of them."""
    (tmp_path / "in").mkdir()
    os.mkfifo(tmp_path / "in" / "fifo.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("in/socket.jpg")
        (tmp_path / "in" / "loop.jpg").symlink_to("loop.jpg")
        (tmp_path / "in" / "gone.jpg").symlink_to("nowhere.jpg")
        (tmp_path / "in" / "zero.jpg").symlink_to("/dev/zero")
        with open(tmp_path / "in" / "sparse.jpg", "wb") as file:
            file.truncate(1 << 40)
        names = ["fifo.jpg", "socket.jpg", "loop.jpg", "gone.jpg", "zero.jpg", "sparse.jpg", "."]
        (tmp_path / "list.txt").write_text("\n".join(f"in/{name}" for name in names))
        assert camx("explain", "@list.txt", *TINY, "--image-timeout", 20) == 1
    reasons = {name.removeprefix("in/"): row["error"] for name, row in rows().items()}
    assert reasons["fifo.jpg"] == reasons["zero.jpg"] == "not a regular file"
    assert reasons["socket.jpg"]
    assert "symbolic links" in reasons["loop.jpg"]
    assert reasons["gone.jpg"] == "No such file or directory"
    assert "over the limit" in reasons["sparse.jpg"]
    assert len(reasons) == 7


def test_links_to_folders_are_a_warning(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (images / "loop").symlink_to(images)
    (images / "other").symlink_to(images / "dog")
    assert camx("explain", images, *TINY) == 0
    assert len(rows()) == 7
    assert "2 links to folders are not followed" in capsys.readouterr().err
    assert find([str(images)]).linked == (str(images / "loop"), str(images / "other"))
    (images.parent / "links").mkdir()
    (images.parent / "links" / "dog").symlink_to(images / "dog")
    with pytest.raises(CamxError, match=f"only links to folders.*Give the folders themselves, such as '{images}/dog'"):
        find([str(images.parent / "links")])


def test_files_that_vanish_or_change_meanwhile(
    camx: Camx, images: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from cam_cli.pipeline import session

    real = session.pending_sources

    def meanwhile(*arguments: Any, **more: Any) -> Any:
        (images / "cat" / "0.jpg").unlink()
        shutil.rmtree(images / "dog")
        return real(*arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(session, "pending_sources", meanwhile)
        assert camx("explain", images, *TINY, "-q") == 1
    found = rows()
    assert len(found) == 7
    assert [row["error"] for row in found.values() if row["status"] != "ok"] == ["No such file or directory"] * 4


def test_a_file_that_is_being_written_does_not_count_as_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    picture().save(path)
    real, calls = os.fstat, 0

    def growing(descriptor: int) -> os.stat_result:
        nonlocal calls
        calls += 1
        if calls == 2:
            os.utime(path, ns=(1, 1))
        return real(descriptor)

    monkeypatch.setattr(decoding.os, "fstat", growing)
    with pytest.raises(UnreadableImage, match="changed while it was read"):
        read(str(path))


@pytest.mark.parametrize("operation", ["open", "scandir"])
def test_unreadable_files_and_folders(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    """An unreadable file is a failed row, an unreadable folder a warning; all others succeed."""
    real = getattr(os, operation)

    def forbidden(path: Any, *rest: Any) -> Any:
        if str(path).endswith(("0.jpg", "dog")):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *rest)

    monkeypatch.setattr(os, operation, forbidden)
    if operation == "open":
        with pytest.raises(UnreadableImage, match="Permission denied"):
            read(str(images / "cat" / "0.jpg"))
    else:
        inputs = find([str(images)])
        assert [source.key for source in inputs.sources] == ["cat/0.jpg", "cat/1.png", "cat/2.jpg", "cat/3.png"]
        assert inputs.notes == (f"Left out, since it cannot be listed (Permission denied): {images}/dog.",)


HOSTILE = [
    b"new\nline.png",
    b"carriage\rreturn.png",
    b'quote".png',
    b"comma, semicolon;.png",
    b"\x1b[31mred\x1b]0;title\x07.png",
    "\u202egnp.exe.png".encode(),
    "\u2066isolate\u2069.png".encode(),
    b"\xff\xfe.png",
    b"-rf.png",
    b"--help.png",
    b"=cmd|' calc'!A0.png",
    b"+1.png",
    b"@list.png",
    b"[bold]markup.png",
    b"<script>alert(1).png",
    b"$(touch x);`id`.png",
    b"%s%n{0}.png",
    b"a.jpg.png",
    b" space .png",
    b"x" * 251 + b".png",
    "é".encode() * 125 + b".png",
]


def test_names_that_hurt(camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = os.fsencode(tmp_path / "odd")
    os.mkdir(folder)
    for name in HOSTILE:
        picture().save(folder + b"/" + name)
    with open(folder + b"/\x1b[2Jbroken.png", "wb") as file:
        file.write(b"\x1b[2J")
    assert camx("explain", tmp_path / "odd", *TINY, "--labels", "folder", "-v") == 1
    printed = capsys.readouterr()
    assert not {"\x1b", "\x07", "\u202e", "\u2066"} & set(printed.out + printed.err)
    lines = [json.loads(line) for line in Path("camx-out/manifest.jsonl").read_bytes().splitlines()]
    assert {os.fsencode(row["image"]) for row in lines} == {*HOSTILE, b"\x1b[2Jbroken.png"}, "the journal is exact"
    named = [row["maps"][0]["overlay"] for row in lines if row["status"] == "ok"]
    assert len(set(named)) == len(HOSTILE)
    assert all((Path("camx-out") / name).is_file() for name in named)
    data = Path("camx-out/predictions.csv").read_bytes().decode()
    table = list(csv.reader(io.StringIO(data, newline="")))
    assert {len(row) for row in table} == {len(table[0])}
    assert len(table) == len(HOSTILE) + 2
    assert not [cell for row in table for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert not (tmp_path / "x").exists()


def test_names_that_hurt_as_arguments(camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("\x1b[31mred", "\u202egnp", "a\nb"):
        assert camx("explain", name, *TINY) == 2
        printed = capsys.readouterr().err
        assert not {"\x1b", "\u202e"} & set(printed)
    picture().save(tmp_path / "-x.png")
    assert camx("explain", *TINY, "--", "-x.png") == 0
    assert list(rows()) == ["'-x.png"]


def test_warnings_are_words_and_not_commands_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Reporter(quiet=False, verbose=False, color=False).warned("the label '\x1b[2J\u202e[red]x' is unknown")
    printed = capsys.readouterr().err
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    assert "[red]x" in printed
    assert printable("a\tb\u2028\x85\udcff") == "a\\tb\\u2028\\x85\\udcff"


def test_same_stem_and_output_inside_the_input(camx: Camx, tmp_path: Path) -> None:
    for name in ("in/a.png", "in/a.jpg", "in/a.png.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        picture(seed=len(name)).save(tmp_path / name)
    for _ in range(2):
        assert camx("explain", "in", *TINY, "-o", "in/out", "--save", "overlay,heatmap,array") == 0
        assert list(rows("in/out")) == ["a.jpg", "a.png", "a.png.png"]
    assert len({row["overlay"] for row in rows("in/out").values()}) == 3


def test_a_list_may_point_outside_and_no_result_lies_there(camx: Camx, tmp_path: Path) -> None:
    for name in ("outside/x.png", "lists/y.png", "lists/deep/z.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        picture().save(tmp_path / name)
    (tmp_path / "lists" / "list.txt").write_text("../outside/x.png\ny.png\ndeep/../deep/z.png\n../../../etc/hostname\n")
    before = set(tmp_path.rglob("*"))
    assert camx("explain", "@lists/list.txt", *TINY, "-o", "out") == 1
    assert {path.relative_to(tmp_path).parts[0] for path in {*tmp_path.rglob("*")} - before} == {"out"}
    found = rows("out")
    assert len(found) == 4
    assert not [name for name in found if ".." in name or name.startswith("/")]


INTERPRETED = {
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(executed) (w) file closefile showpage\n",
    "pdf": b"%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(x)>>>>endobj",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>x</script><image href="file:///etc/passwd"/></svg>',
    "xml": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><svg>&e;</svg>',
    "wmf": b"\xd7\xcd\xc6\x9a" + bytes(60),
}


@pytest.mark.parametrize("name", INTERPRETED)
def test_what_an_interpreter_would_run_never_reaches_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise AssertionError(f"{arguments} was started")

    for module, function in [(subprocess, "Popen"), (os, "system"), (os, "posix_spawn"), (os, "fork")]:
        monkeypatch.setattr(module, function, refuse)
    with pytest.raises(UnreadableImage, match="not an image"):
        decode(INTERPRETED[name])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"])
def test_every_mode_is_shown(mode: str) -> None:
    """A white image of each mode of TIFF or PNG is white."""
    if mode in ("I;16", "I", "F"):
        dtype, white = {"I;16": (np.uint16, 65535), "I": (np.int32, 65535), "F": (np.float32, 1.0)}[mode]
        image = Image.fromarray(np.array([[0, white]], dtype))
    elif mode in ("P", "PA"):
        image = Image.new("RGB", (2, 1), "white").convert("P").convert(mode)
    elif mode == "LAB":
        image = Image.new("LAB", (2, 1), (255, 128, 128))
    else:
        image = Image.new("RGB", (2, 1), "white").convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "PNG" if mode == "PA" else "TIFF") if mode != "PA" else image.convert("RGBA").save(buffer, "PNG")
    shown = decode(buffer.getvalue())
    assert shown.mode == "RGB"
    assert min(shown.getpixel((1, 0))) >= 254  # type: ignore[type-var, arg-type]


def test_progress_claims_no_rate_before_the_first_image(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter(quiet=False, verbose=False, color=False)
    progress = Progress(total=2, steps=(405, 1000))
    reporter._last = -math.inf
    reporter.advanced(progress)
    assert capsys.readouterr().err == "0/2 images, starting, forward 405 of 1000, 0 failed\n"
    progress.add({"status": "ok"})
    reporter._last = -math.inf
    reporter.advanced(progress)
    assert "bottleneck: decode" in capsys.readouterr().err
    assert [decimals(rate) for rate in (0.0274, 0.5, 1, 36.72)] == ["0.027", "0.5", "1.0", "36.7"]
