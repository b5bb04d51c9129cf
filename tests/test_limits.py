"""Files of excessive size, length or depth: a row or an error, in bounded time and memory."""

from __future__ import annotations

import contextlib
import io
import json
import re
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image, PngImagePlugin

from cam_cli import regular_files
from cam_cli.errors import CamxError, UnreadableImage
from cam_cli.images import places, remote
from cam_cli.images.decode import decode, read
from cam_cli.images.listing import find
from cam_cli.outputs.run_folder import RunFolder
from cam_cli.regular_files import open_regular, open_text, read_regular

from .conftest import TINY, picture
from .run_folders import image_row, run_folder

Camx = Callable[..., int]
GIGABYTES = 3 << 30


@pytest.fixture(autouse=True)
def quickly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Fails tests that take longer than some seconds."""
    monkeypatch.chdir(tmp_path)
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 20


def large(name: str) -> str:
    """A sparse file of three gigabytes."""
    with open(name, "wb") as file:
        file.truncate(GIGABYTES)
    return name


SOURCES = ("images/cat/0.jpg", *TINY, "-q", "--no-report")
COMMANDS: dict[str, tuple[str, ...]] = {
    "list": ("explain", "@X", *TINY),
    "list csv": ("explain", "@X.csv", *TINY),
    "labels": ("explain", *SOURCES, "--labels", "X.csv"),
    "class names": ("explain", *SOURCES, "--class-names", "X"),
    "class names json": ("explain", *SOURCES, "--class-names", "X.json"),
    "config": ("explain", *SOURCES, "--config", "X"),
    "config yaml": ("explain", *SOURCES, "--config", "X.yaml"),
    "groups": ("audit", "run", "--groups", "X.csv"),
    "truth coco": ("evaluate", "run", "--truth", "X.json"),
    "truth csv": ("evaluate", "run", "--truth", "X.csv"),
    "truth yaml": ("evaluate", "run", "--truth", "X.yaml"),
    "truth xml": ("evaluate", "run", "--truth", "X.xml"),
    "names": ("evaluate", "run", "--truth", "truth.csv", "--names", "X.csv"),
    "index of weights": ("explain", "images/cat/0.jpg", "--model", "resnet18", "--checkpoint", "X.index.json"),
}


@pytest.mark.parametrize("what", COMMANDS)
def test_a_file_of_gigabytes_is_a_sentence(
    what: str, camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_folder(Path("run"), [image_row("0.jpg")])
    Path("truth.csv").write_text("image,label,x0,y0,x1,y1\n0.jpg,cat,1,1,9,9\n")
    words = COMMANDS[what]
    large(next(word for word in words if "X" in word).removeprefix("@"))
    assert camx(*words) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")


def test_a_file_that_grows_while_it_is_read_ends_at_the_limit() -> None:
    Path("x").write_bytes(b"a" * 100)
    with open_regular("x", 150) as file:
        assert file.read(10) == b"a" * 10
        Path("x").write_bytes(b"a" * 100_000)
        with pytest.raises(OSError, match="larger than 150 bytes"):
            file.read()
    with pytest.raises(OSError, match="larger than 99,999 bytes"):
        read_regular("x", 99_999)
    assert len(read_regular("x", 100_000)) == 100_000
    with open_text("x", 100_000) as text:
        assert text.read() == "a" * 100_000


def test_paths_on_standard_input_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "TABLE_BYTES", 1000)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"a.jpg\n" * 1000)))
    with pytest.raises(CamxError, match="more than 1,000 bytes of paths"):
        find(["-"])


@pytest.mark.parametrize("name", ["list.txt", "list.csv"])
def test_a_line_without_end_is_no_path(name: str) -> None:
    Path(name).write_text("image\n" * name.endswith("csv") + "a" * 10_000_000 + "\n")
    with pytest.raises(CamxError, match="no path|no valid CSV"):
        find([f"@{name}"])


def test_a_line_of_a_journal_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cam_cli.outputs.journal._LONGEST", 5000)
    run_folder(Path("run"), [image_row("a.jpg"), image_row("b.jpg", error="x" * 20_000), image_row("c.jpg")])
    run = RunFolder.read("run")
    assert (sorted(run.images), run.damaged) == (["a.jpg", "c.jpg"], 1)


def test_an_image_that_lies_elsewhere_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "REMOTE_BYTES", 1000)
    remote.filesystem("memory://x").pipe_file("memory://x/a.png", b"x" * 1001)
    for size in (-1, 1001):
        with pytest.raises(UnreadableImage, match="1,001 bytes are over the limit of 1,000"):
            remote.fetch("memory://x/a.png", size=size)
    with pytest.raises(UnreadableImage, match="over the limit"):
        remote.fetch("memory://x/a.png", (0, 1001))
    assert len(remote.fetch("memory://x/a.png", (0, 5))) == 5


# Metadata of images


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    buffer = io.BytesIO()
    picture(20, 20).save(buffer, "PNG")
    data = buffer.getvalue()
    added = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    return data[:33] + added + data[33:]


BOMB = zlib.compress(b"\0" * (300 << 20), 1)


@pytest.mark.parametrize(
    ("name", "chunk"),
    [
        ("iCCP", b"x\0\0" + BOMB),
        ("zTXt", b"x\0\0" + BOMB),
        ("iTXt", b"x\0\1\0\0\0" + BOMB),
        ("eXIf", b"MM\0*\0\0\0\x08" + b"\xff" * 70_000),
        ("tEXt", b"x\0" + b"a" * 5_000_000),
    ],
)
def test_metadata_that_explode_are_a_row_or_left_out(name: str, chunk: bytes) -> None:
    """Texts and profiles that unpack to 300 MB, and directories of a million tags."""
    import tracemalloc

    data = png((name.encode(), chunk))
    tracemalloc.start()
    began = time.monotonic()
    with contextlib.suppress(UnreadableImage):
        assert decode(data).size == (20, 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150 << 20
    assert time.monotonic() - began < 3


def test_many_texts_have_one_limit() -> None:
    text = zlib.compress(b"\0" * 900_000)
    data = png(*[(b"zTXt", b"k%d\0\0" % n + text) for n in range(200)])
    with pytest.raises(UnreadableImage, match="Too much memory"):
        decode(data)
    assert PngImagePlugin.MAX_TEXT_MEMORY <= 64 << 20


def test_a_profile_of_colours_that_is_none_changes_nothing() -> None:
    buffer = io.BytesIO()
    picture(20, 20).save(buffer, "JPEG", icc_profile=b"\xff" * 60_000)
    assert decode(buffer.getvalue()).size == (20, 20)


def test_every_mode_that_is_multiplied_with_its_opacity_is_shown(data: Path) -> None:
    assert decode(read(str(data / "faults" / "01_La_minisblack-2c-8b-alpha.tiff"))).mode == "RGB"
    assert Image.MAX_IMAGE_PIXELS is not None


# Values of flags


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--top-k", "1000000000"), "--top-k 1000000000 is more than a table can hold"),
        (("--labels", ""), "--labels is empty"),
        (("--class-names", ""), "--class-names is empty"),
        (("-o", ""), "The output folder '' cannot be written"),
        (("--model-arg", "num_classes=1000000000000"), "timm cannot load"),
        (("--model-arg", "nonsense=1"), "takes no 'nonsense'"),
        (("--image-size", "1000000"), "Not enough memory|is out of range|larger"),
    ],
)
def test_values_that_no_machine_can_work_with(
    words: tuple[str, ...], said: str, camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert camx("explain", images, *TINY, "-q", "--no-report", *words) == 2
    assert re.search(said, capsys.readouterr().err)


def test_more_pixels_than_the_system_can_count_are_no_limit(camx: Camx, images: Path) -> None:
    assert camx("explain", images / "cat" / "0.jpg", *TINY, "-q", "--no-report", "--max-pixels", 10**20) == 0


# Names that some file systems do not distinguish


def test_names_that_some_file_systems_take_for_one_have_results_of_their_own(camx: Camx) -> None:
    """Capitals, letters in two parts, letters without width, dots at the end: each overlay has its own name also on a
    system that ignores these."""
    from cam_cli.images.keys import folded

    names = [
        "A.png",
        "a.png",
        "\u00e9.png",
        "e\u0301.png",
        "x\u200by.png",
        "xy.png",
        "D./1.png",
        "d/1.png",
        "alone.png",
    ]
    for number, name in enumerate(names):
        path = Path("in") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(seed=number).save(path)
    assert camx("explain", "in", *TINY, "-q", "--save", "overlay,heatmap") == 0
    rows = {row["image"]: row for row in map(json.loads, Path("camx-out/manifest.jsonl").read_text().splitlines())}
    assert set(rows) == set(names), "the names themselves are exact"
    for files in (
        [row["maps"][0]["overlay"] for row in rows.values()],
        [row["maps"][0]["heatmap"] for row in rows.values()],
        [row["thumb"] for row in rows.values()],
    ):
        assert len({folded(name) for name in files}) == len(names)
        assert all(Path("camx-out", name).is_file() for name in files)
    assert rows["alone.png"]["maps"][0]["overlay"] == "overlays/alone.png.png"
    assert camx("explain", "in", *TINY, "-q", "--save", "overlay") == 2
    before = set(Path("camx-out").rglob("*.png"))
    assert camx("explain", "in", *TINY, "-q", "--save", "heatmap", "--overwrite", "--no-report") == 0
    after = set(Path("camx-out").rglob("*.png"))
    assert len(after) == len(names)
    assert not [path for path in after & before if "overlays" in path.parts]


def test_limits_are_those_of_the_documents() -> None:
    """The table of docs/reliability.md has every limit with its value."""
    import importlib

    text = (Path(__file__).parents[1] / "docs" / "reliability.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| ([^|]+) \| `([\w.]+)`", text, re.MULTILINE)
    assert len(rows) >= 20
    for told, place in rows:
        module, _, name = place.rpartition(".")
        value = getattr(importlib.import_module(f"cam_cli.{module}"), name)
        values = value.values() if isinstance(value, dict) else (value,)
        assert _number(told) in values, (told, place, value)
    assert regular_files.TABLE_BYTES == 1 << 30


def _number(text: str) -> float:
    """Reads `16 MiB`, `1,000 files`, `30 s`, `100 GB`."""
    digits, _, unit = text.partition(" ")
    factors = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "MB": 10**6, "GB": 10**9}
    return float(digits.replace(",", "")) * factors.get(unit, 1)
