"""The network gets the pixels of timm's and torchvision's loaders, except the differences of docs/pixels.md."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cam_cli.errors import UnreadableImage
from cam_cli.images.decode import Reading, decode_pixels
from cam_cli.images.levels import eight_bit
from cam_cli.images.options import Levels, PixelOptions
from cam_cli.images.pixels import Pixels

from .conftest import TINY, picture
from .decoding_support import jpeg, loaded, same
from .test_decode import encoded, stored_modes

Camx = Callable[..., int]
AS_LIBRARIES = PixelOptions(levels=Levels("clip"), exif="ignore")
QUICK = (*TINY, "--no-report", "--workers", 1)
#: Kinds of files in which camx differs on purpose; docs/pixels.md lists them.
DELIBERATE = {"deep", "EXIF"}


def read(data: bytes, channels: int = 3, frame: int = 0, **options: Any) -> Pixels:
    return decode_pixels(data, Reading(PixelOptions(**options), channels, frame))


def grey_of(values: Any, kind: Any, image_format: str = "TIFF", **options: Any) -> list[int]:
    data = encoded(Image.fromarray(np.array([values], kind)), image_format)
    return np.asarray(read(data, **options).image)[0, :, 0].tolist()


def png_of_16_bits(pixels: np.ndarray) -> bytes:
    """A PNG of 16 bits per channel, h×w×3, which Pillow can read but not write."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    framed = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def files() -> Iterator[tuple[str, str, bytes]]:
    """Files of every kind: (kind, name, bytes)."""
    for name, image_format, image, options in stored_modes():
        try:
            yield "8 bits", f"{name} {image_format}", encoded(image, image_format, **options)
        # No file of this format has this mode.
        except (OSError, KeyError, ValueError, TypeError):
            continue
    ramp = np.linspace(0, 1, 192).reshape(12, 16)
    for top, kind in ((255, "u2"), (4095, "u2"), (65535, "u2"), (65535, ">u2"), (300, "i4"), (1, "f4"), (900, "f4")):
        for image_format in ("PNG", "TIFF"):
            if image_format == "TIFF" or kind[-2:] == "u2":
                image = Image.fromarray((ramp * top).astype(kind))
                yield "deep", f"{kind} to {top} {image_format}", encoded(image, image_format)
    yield "8 bits", "16-bit RGB PNG", png_of_16_bits(np.stack([ramp * top for top in (65535, 4095, 900)], -1))
    yield "8 bits", "Lab", encoded(Image.merge("LAB", picture(16, 12).split()), "TIFF")
    photo = picture(16, 12)
    for number in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = number
        for image_format in ("JPEG", "PNG", "WEBP", "TIFF"):
            yield (
                "EXIF" if number > 1 else "8 bits",
                f"EXIF {number} {image_format}",
                encoded(photo, image_format, exif=exif),
            )
    for image_format in ("GIF", "TIFF", "WEBP", "PNG"):
        more = {"save_all": True, "append_images": [picture(16, 12, 1), picture(16, 12, 2)]}
        yield "8 bits", f"frames {image_format}", encoded(photo, image_format, **more)
    yield "8 bits", "CMYK JPEG", encoded(photo.convert("CMYK"), "JPEG", quality=95)


def of_the_libraries(path: Path) -> list[np.ndarray]:
    """The image of torchvision's loader, and of timm's."""
    from timm.data import ImageDataset
    from torchvision.datasets.folder import pil_loader

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [np.asarray(pil_loader(str(path))), np.asarray(ImageDataset(str(path.parents[1]))[0][0])]


def test_every_kind_of_file_is_seen_as_timm_and_torchvision_see_it_but_for_the_listed_ones(tmp_path: Path) -> None:
    path = tmp_path / "class" / "0.png"
    path.parent.mkdir()
    differing, kinds = set(), set()
    for kind, name, data in files():
        path.write_bytes(data)
        kinds.add(kind)
        for one in of_the_libraries(path):
            assert np.array_equal(np.asarray(decode_pixels(data, Reading(AS_LIBRARIES)).image), one), name
            if not np.array_equal(np.asarray(read(data).image), one):
                differing.add(kind)
    assert kinds > DELIBERATE
    assert differing == DELIBERATE


@pytest.mark.parametrize(
    ("values", "kind", "image_format", "expected"),
    [
        # 0.1.0 made [0, 0, 1, 3] of the first, and [0, 0, 7, 15] of the second: black images.
        ([0, 10, 511, 1023], "u2", "PNG", [0, 2, 127, 255]),
        ([0, 100, 2047, 4095], "u2", "PNG", [0, 6, 127, 255]),
        ([0, 100, 4096, 65535], "u2", "PNG", [0, 0, 15, 255]),
        # 0.1.0: [0, 0, 0, 1].
        ([0, 3, 128, 255], "i4", "TIFF", [0, 3, 128, 255]),
        # 0.1.0: 254 and 255, because of the one that marks a missing value.
        ([-9999, 100.5, 150.5, 200.5], "f4", "TIFF", [0, 0, 127, 255]),
        ([float("nan"), 100, 150.5, 201], "f4", "TIFF", [0, 0, 128, 255]),
        ([0, 3, 128, 255], "f4", "TIFF", [0, 3, 128, 255]),
        ([0.0, 0.25, 0.5, 1.0], "f4", "TIFF", [0, 64, 128, 255]),
    ],
)
def test_auto_decides_by_type_and_content(values: Any, kind: str, image_format: str, expected: list[int]) -> None:
    assert grey_of(values, kind, image_format) == expected


def test_one_hot_pixel_does_not_make_an_image_black() -> None:
    values = np.linspace(-1.5, 1.5, 1000, dtype=np.float32)
    values[500] = 1e6
    scaled = eight_bit(values, Levels())
    # 0.1.0: all 0 except one.
    assert scaled.pixels[[0, 250, 750, 999]].tolist() == [0, 62, 193, 255]
    assert scaled.high < 1.6
    # Two ends a little further apart are no outliers.
    assert eight_bit(np.linspace(-1.5, 3, 100, dtype=np.float32), Levels())[1:3] == (-1.5, 3.0)


def test_the_tag_for_no_value_is_obeyed() -> None:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    tags = ImageFileDirectory_v2()
    tags[42113] = "-1"
    data = encoded(Image.fromarray(np.array([[-1, 5, 6, 7]], np.float32)), "TIFF", tiffinfo=tags)
    for levels in ("auto", "full"):
        found = read(data, levels=Levels.parse(levels))
        assert found.facts.nodata == -1
    assert np.asarray(found.image)[0, :, 0].tolist() == [0, 0, 128, 255]


def test_levels_as_they_are_asked_for() -> None:
    values = [0, 100, 2047, 4095]
    for text, expected, taken in (
        ("full", [0, 0, 7, 15], (0, 65535)),
        ("clip", [0, 100, 255, 255], (0, 255)),
        ("100,2047", [0, 0, 255, 255], (100, 2047)),
        ("0,100%", [0, 6, 127, 255], (0, 4095)),
    ):
        found = read(encoded(Image.fromarray(np.array([values], np.uint16))), levels=Levels.parse(text))
        assert np.asarray(found.image)[0, :, 0].tolist() == expected, text
        assert found.facts.levels == taken
        assert str(Levels.parse(text)) == text
    for wrong in ("some", "1", "5,4", "1,101%", "nan,3", "1,2,3", "-inf,1"):
        with pytest.raises(ValueError, match="give|larger|between"):
            Levels.parse(wrong)


def test_images_of_8_bits_are_not_stretched() -> None:
    data = encoded(Image.fromarray(np.array([[10, 20]], np.uint8)))
    assert np.asarray(read(data, levels=Levels.parse("10,20")).image)[0, :, 0].tolist() == [10, 20]
    assert read(data).facts.levels is None


@pytest.mark.parametrize("way", ["exact", "draft", "device"])
def test_images_as_they_are_stored(way: str) -> None:
    image = picture(801, 641, seed=3)
    kept, turned = (loaded(jpeg(image, 6), way, pixels=PixelOptions(exif=exif)) for exif in ("ignore", "apply"))
    assert (kept.width, kept.height) == (turned.height, turned.width) == (801, 641)
    assert kept.facts.orientation == turned.facts.orientation == 6
    plain = loaded(jpeg(image, 1), way)
    assert kept.turn == plain.turn if way == "device" else same(kept, plain)


def rows_of(out: str = "camx-out") -> dict[str, dict[str, Any]]:
    lines = Path(out, "manifest.jsonl").read_text("utf-8").splitlines()
    return {row["image"]: row for row in map(json.loads, lines)}


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_the_row_has_the_decision(camx: Camx, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(40, 30).save(tmp_path / "turned.jpg", exif=exif)
    picture(40, 30).save(tmp_path / "plain.jpg")
    Image.new("RGBA", (40, 30), (9, 8, 7, 9)).save(tmp_path / "clear.png")
    Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40)).save(tmp_path / "deep.png")
    assert camx("explain", tmp_path, *QUICK) == 0
    rows = rows_of()
    assert "pixels" not in rows["plain.jpg"]
    assert rows["turned.jpg"]["pixels"] == {"orientation": 6}
    assert (rows["turned.jpg"]["width"], rows["turned.jpg"]["height"]) == (30, 40)
    assert rows["clear.png"]["pixels"] == {"mode": "RGBA", "opaque": False}
    assert rows["deep.png"]["pixels"] == {"mode": "I;16", "levels": [0, 4095]}
    assert camx("explain", tmp_path, *QUICK, "--exif", "ignore", "-o", "stored") == 0
    row = rows_of("stored")["turned.jpg"]
    assert (row["width"], row["height"], row["pixels"]) == (40, 30, {"orientation": 6})
    record = json.loads(Path("stored/run.json").read_text("utf-8"))
    assert record["fingerprint"]["pixels"] == {"exif": "ignore"}
    assert "pixels" not in json.loads(Path("camx-out/run.json").read_text("utf-8"))["fingerprint"]
    assert camx("explain", tmp_path, *QUICK, "--exif", "ignore") == 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda i: Image.new("RGB", (40, 30), (i, 2, 3)), "3 of 3 images are nearly black"),
        (lambda i: Image.new("RGB", (40, 30), (255, 255 - i, 255)), "3 of 3 images are nearly white"),
        (
            lambda i: Image.new("RGB", (40, 30), (99, 100, 100 + i)),
            "3 of 3 images use less than 1/16 of the levels",
        ),
        (
            lambda i: Image.merge("RGBA", [*picture(40, 30, i).split(), Image.new("L", (40, 30), 99)]),
            "3 of 3 images have a transparent alpha channel",
        ),
    ],
    ids=["dark", "white", "flat", "alpha"],
)
def test_a_run_warns_once_of_images_that_look_wrong(
    camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[int], Image.Image], words: str
) -> None:
    for i in range(3):
        make(i).save(tmp_path / f"{i}.png")
    camx("explain", tmp_path, *QUICK)
    text = said(capsys)
    assert text.count(words) == 1
    assert "--bands" in text
    # The same images as a minority among others.
    for i in range(4):
        picture(40, 30, i).save(tmp_path / f"other-{i}.png")
    camx("explain", tmp_path, *QUICK, "-o", "more")
    assert "images are" not in (text := said(capsys))
    assert "alpha" not in text


def test_levels_that_differ_in_one_folder_are_a_warning(
    camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, top in (("a", 4000), ("b", 4095), ("c", 60000)):
        levels = np.linspace(0, top, 1200).astype(np.uint16).reshape(30, 40)
        Image.fromarray(levels).save(tmp_path / f"{name}.png")
    assert camx("explain", tmp_path, *QUICK) == 0
    assert "Levels are scaled differently: 0 to 4095 in 2, 0 to 65535 in 1. --levels 0,4095" in said(capsys)
    assert camx("explain", tmp_path, *QUICK, "--levels", "0,65535", "-o", "alike") == 0
    assert "scaled differently" not in said(capsys)
    assert {tuple(row["pixels"]["levels"]) for row in rows_of("alike").values()} == {(0, 65535)}


def test_rows_have_the_digest_of_their_file_and_the_box_of_the_largest_part(camx: Camx, images: Path) -> None:
    import hashlib

    (images / "broken.jpg").write_bytes(b"nothing")
    assert camx("explain", images, *QUICK) == 1
    for name, row in rows_of().items():
        assert row["sha256"] == hashlib.sha256((images / name).read_bytes()).hexdigest()
        if row["status"] == "ok":
            one = row["maps"][0]
            inner, outer = one["component"]["box"], one["box"]
            assert one["component"]["threshold"] == 0.5
            assert outer[0] <= inner[0] < inner[2] <= outer[2]
            assert outer[1] <= inner[1] < inner[3] <= outer[3]


def test_the_largest_part_with_a_pencil() -> None:
    from cam_cli.maps.measures import measured

    mass = np.zeros((10, 20), np.float32)
    mass[1:3, 2:4], mass[5:9, 10:15], mass[0, 19] = 1.0, 0.6, 0.5
    numbers = measured(mass)
    assert numbers.component == (0.5, 0.5, 0.75, 0.9)
    assert numbers.box == (0.1, 0.0, 1.0, 0.9)


def test_a_broken_file_stays_a_row() -> None:
    with pytest.raises(UnreadableImage, match="broken image"):
        read(b"\x93NUMPY\x01\x00v\x00{'descr': '<f4'")
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}]), allow_pickle=True)
    with pytest.raises(UnreadableImage, match="broken image|not of numbers"):
        read(buffer.getvalue())
