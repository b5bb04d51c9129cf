"""From bytes to upright 8-bit RGB: every mode is right, every broken file has its own reason."""

from __future__ import annotations

import io
import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cam_cli.errors import UnreadableImage
from cam_cli.images.decode import decode, read

from .conftest import picture


def encoded(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def pixel(data: bytes) -> tuple[int, ...]:
    image = decode(data)
    assert image.mode == "RGB"
    return image.getpixel((0, 0))  # type: ignore[return-value]


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    levels = np.array([[0, 257, 32896, 65535]], np.uint16)
    grey = np.asarray(decode(encoded(Image.fromarray(levels))))
    assert grey[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize(("low", "high", "expected"), [(0.0, 1.0, [0, 128, 255]), (-5.0, 5.0, [0, 128, 255])])
def test_float_pixels_are_scaled(low: float, high: float, expected: list[int]) -> None:
    levels = np.array([[low, (low + high) / 2, high]], np.float32)
    grey = np.asarray(decode(encoded(Image.fromarray(levels), "TIFF")))
    assert grey[0, :, 0].tolist() == expected


def stored_modes() -> Iterator[tuple[str, str, Image.Image, dict[str, Any]]]:
    """Images of every 8-bit mode in every format that keeps it, some transparent: (name, format, image, save
    arguments)."""
    colours = picture(16, 12)
    alpha = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(12, 16))
    clear = colours.convert("RGBA")
    clear.putalpha(alpha)
    palette = colours.convert("P", palette=Image.Palette.ADAPTIVE, colors=16)
    kinds: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        **{mode: (colours.convert(mode), {}) for mode in ("1", "L", "RGB", "RGBX", "CMYK", "YCbCr")},
        "RGBA": (clear, {}),
        "LA": (clear.convert("LA"), {}),
        "P": (palette, {}),
        "RGBa": (clear.convert("RGBa"), {}),
        "PA": (palette.convert("PA"), {}),
        "L, one transparent level": (colours.convert("L"), {"transparency": 90}),
        "RGB, one transparent colour": (colours, {"transparency": colours.getpixel((3, 3))}),
        "P, one transparent entry": (palette, {"transparency": 2}),
        "P, alpha per entry": (palette, {"transparency": bytes(range(0, 256, 16))}),
    }
    for name, (image, options) in kinds.items():
        for image_format in ("PNG", "TIFF", "WEBP", "GIF", "JPEG", "JPEG2000", "TGA", "BMP"):
            if not options or image_format in ("PNG", "GIF"):
                yield name, image_format, image, options


def test_the_network_sees_the_pixels_that_the_loaders_of_timm_and_torchvision_give(tmp_path: Path) -> None:
    from timm.data import ImageDataset
    from torchvision.datasets.folder import pil_loader

    path = tmp_path / "class" / "0.png"
    path.parent.mkdir()
    seen = set()
    for name, image_format, image, options in stored_modes():
        try:
            data = encoded(image, image_format, **options)
        # No file of this format has this mode.
        except (OSError, KeyError, ValueError, TypeError):
            continue
        # Both know a file by the end of its name, and its format by its content.
        path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = [pil_loader(str(path)), ImageDataset(str(tmp_path))[0][0]]
        for one in expected:
            assert np.array_equal(np.asarray(decode(data)), np.asarray(one)), (name, image_format)
        with Image.open(io.BytesIO(data)) as stored:
            seen.add(stored.mode)
    assert seen >= {"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"}


def test_what_lies_under_transparency_is_seen() -> None:
    assert pixel(encoded(Image.new("RGBA", (4, 4), (9, 8, 7, 0)))) == (9, 8, 7)
    assert pixel(encoded(Image.new("LA", (4, 4), (5, 0)))) == (5, 5, 5)


def test_cmyk_and_lab() -> None:
    assert pixel(encoded(Image.new("CMYK", (4, 4), (0, 0, 0, 0)), "TIFF")) == (255, 255, 255)
    assert min(pixel(encoded(Image.new("LAB", (4, 4), (255, 128, 128)), "TIFF"))) >= 254


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    upright = Image.new("RGB", (4, 2), "black")
    upright.putpixel((0, 0), (255, 255, 255))
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(turn[orientation]) if orientation in turn else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = decode(encoded(stored, exif=exif))
    assert shown.size == (4, 2)
    assert np.array_equal(np.asarray(shown), np.asarray(upright))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_does_not_cost_the_image() -> None:
    data = encoded(picture(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff garbage")
    assert decode(data).size == (64, 48)


def test_the_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    assert pixel(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])) == (255, 0, 0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "HTML page"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (b"%PDF-1.7", "PDF"),
        (b"\xff\x0a\0\0", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n", "JPEG XL"),
        (b"\0" * 128 + b"DICM", "DICOM"),
        (b"<svg xmlns='x'>", "SVG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"just text", "known format"),
        (encoded(picture(200, 200))[:3000], "broken image"),
        (encoded(picture(), "JPEG")[:300], "broken image"),
    ],
)
def test_files_that_are_no_image_say_what_they_are(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImage, match=reason):
        decode(data)


def test_too_many_pixels_are_refused_at_the_header() -> None:
    data = encoded(picture(100, 100))
    with pytest.raises(UnreadableImage, match="100×100 pixels are over the limit of 9,999"):
        decode(data, max_pixels=9_999)
    assert decode(data, max_pixels=10_000).size == (100, 100)


def test_reading_never_waits_and_names_the_reason(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").write_bytes(b"")
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(1 << 40)
    for name, reason in [
        ("pipe", "not a regular file"),
        (".", "[Dd]irectory|not a regular file"),
        ("none", "No such file"),
        ("empty", "empty"),
        ("huge", "over the limit"),
        ("nul\0", "null|embedded"),
    ]:
        with pytest.raises(UnreadableImage, match=reason):
            read(os.path.join(tmp_path, name))
    with pytest.raises(UnreadableImage, match="not a regular file"):
        read("/dev/zero")


@pytest.mark.filterwarnings("ignore")
def test_the_corpus_of_broken_files(data: Path) -> None:
    """For formats that camx reads, verdict and size are Pillow's; other formats fail by their name."""
    compared = 0
    for line in (data / "badfiles" / "verdicts.jsonl").read_text().splitlines():
        verdict = json.loads(line)
        try:
            image = decode(read(str(data / "badfiles" / verdict["file"])))
        except UnreadableImage as error:
            foreign = "not an image" in str(error)
            assert verdict["pillow"] == "error" or foreign, (verdict, str(error))
            compared += not foreign
        else:
            # Pillow reads grey that its opacity has multiplied, and has no conversion for it; camx has one.
            if "La to L not supported" not in verdict.get("error", ""):
                assert verdict["pillow"] == "ok", verdict
                assert list(image.size) == verdict["upright_size"]
            compared += 1
    assert compared > 230
