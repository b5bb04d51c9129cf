"""Measures the ways to decode a large photo: milliseconds of one core, and the distance to exact decoding.

`python -m benchmarks.decoding [WIDTH HEIGHT]` prints the figures of docs/decoding.md.
"""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cam_cli.cams.engine.device_decoding import Decoded, JpegDecoder
from cam_cli.images.geometry import Preprocessing, scaled_for_crop
from cam_cli.images.listing import Source
from cam_cli.images.options import DECODINGS, CanvasSize
from cam_cli.images.picture import Encoded, Fetched, Picture, load

SAMPLE = Path(__file__).parents[1] / "sample_images" / "cat-and-dog.jpg"
#: Of most networks of timm.
USUAL = Preprocessing(
    (224, 224), scaled_for_crop((224, 224), 0.875), "center", "bicubic", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
)
SIZES: tuple[CanvasSize, ...] = (512, "model")
REPEATS = 5


def main(width: int, height: int) -> None:
    for noise in (2, 6):
        data = photo(width, height, noise)
        print(f"{width}×{height}, {len(data) / 1e6:.1f} MB")
        for size in SIZES:
            exact, *_ = timed(data, "exact", size)
            for decoding in DECODINGS:
                picture, milliseconds = timed(data, decoding, size)
                print(f"  --size {size} --decode {decoding}: {milliseconds:.0f} ms, {difference(picture, exact)}")


def photo(width: int, height: int, noise: float) -> bytes:
    """A sample image, enlarged, with the noise of a sensor; quality 90, 4:2:0."""
    with Image.open(SAMPLE) as image:
        large = np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS), np.float32)
    large = large + np.random.default_rng(0).normal(0, noise, (height, width, 1)).astype(np.float32)
    buffer = io.BytesIO()
    Image.fromarray(large.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90, subsampling=2)
    return buffer.getvalue()


def timed(data: bytes, decoding: str, size: CanvasSize) -> tuple[Picture, float]:
    """The image as decoded by a worker or a lane on the CPU, and the least processor milliseconds of `REPEATS`."""
    best = float("inf")
    for _ in range(REPEATS):
        began = time.process_time()
        picture = load(Fetched(Source("photo", ""), data), USUAL, size, decoding=decoding)
        if isinstance(picture, Encoded):
            (decoded,) = JpegDecoder(USUAL, torch.device("cpu"))([picture])
            assert isinstance(decoded, Decoded)
            picture = decoded.picture
        best = min(best, time.process_time() - began)
    assert isinstance(picture, Picture)
    return picture, 1000 * best


def difference(one: Picture, exact: Picture) -> str:
    levels = np.abs(one.input.astype(int) - exact.input)
    return f"network input {levels.mean():.2f} levels away (99 %: {np.percentile(levels, 99):.0f})"


if __name__ == "__main__":
    main(*(map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (4032, 3024)))
