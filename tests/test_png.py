"""Every reader gets the original image from PNG files of our encoder."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from cam_cli.outputs import png


def pictures() -> list[Image.Image]:
    random = np.random.default_rng(0)
    shapes = [(1, 1), (1, 300, 3), (300, 1, 3), (37, 53, 3), (64, 48), (2, 2, 3)]
    return [Image.fromarray(random.integers(0, 256, shape, np.uint8)) for shape in shapes]


@pytest.mark.parametrize("with_isal", [True, False])
def test_pixels_are_exact(with_isal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not with_isal:
        monkeypatch.setattr(png, "isal_zlib", None)
    for picture in pictures():
        with Image.open(io.BytesIO(png.encode_png(picture))) as read:
            assert (read.format, read.mode, read.size) == ("PNG", picture.mode, picture.size)
            assert np.array_equal(np.asarray(read), np.asarray(picture))


def test_the_file_follows_the_specification() -> None:
    data = png.encode_png(pictures()[3])
    kinds, at = [], 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kinds.append(data[at + 4 : at + 8])
        (crc,) = struct.unpack(">I", data[at + 8 + length : at + 12 + length])
        assert crc == zlib.crc32(data[at + 4 : at + 8 + length])
        if kinds[-1] == b"IDAT":
            rows = zlib.decompress(data[at + 8 : at + 8 + length])
            assert len(rows) == 37 * (1 + 3 * 53)
            assert set(rows[:: 1 + 3 * 53]) == {2}, "every row says Up"
        at += 12 + length
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]


def test_other_modes_are_left_to_pillow() -> None:
    picture = Image.new("RGBA", (3, 2), (1, 2, 3, 4))
    with Image.open(io.BytesIO(png.encode_png(picture))) as read:
        assert (read.mode, read.getpixel((0, 0))) == ("RGBA", (1, 2, 3, 4))
