"""Helpers of `test_draft` and `test_decoding`."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cam_cli import Explainer, ExplainOptions, ModelSpec, load_model
from cam_cli.images.geometry import Preprocessing
from cam_cli.images.listing import Source
from cam_cli.images.options import CanvasSize
from cam_cli.images.picture import Fetched, Picture, load
from cam_cli.models.options import PreprocessingOptions

ROOT = Path(__file__).parents[1]


SAMPLES = ("cat-and-dog", "bird", "boat")


SMALL = Preprocessing((32, 32), (36, 36), "center", "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def jpeg(image: Image.Image, orientation: int = 1, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    image.save(buffer, options.pop("format", "JPEG"), **{"quality": 90, "exif": exif, **options})
    return buffer.getvalue()


@cache
def photo(path: Path, width: int, height: int) -> bytes:
    """A JPEG like that of a camera: enlarged, with noise, 4:2:0."""
    with Image.open(path) as image:
        large = np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS), np.float32)
    noise = np.random.default_rng(0).normal(0, 6, (height, width, 1)).astype(np.float32)
    return jpeg(Image.fromarray((large + noise).clip(0, 255).astype(np.uint8)), subsampling=2)


def loaded(data: bytes, way: str, how: Preprocessing = SMALL, canvas: CanvasSize = 48, **options: Any) -> Any:
    return load(Fetched(Source("photo", ""), data), how, canvas, decoding=way, **options)


def levels(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """The mean and the 99th percentile of the difference, in levels."""
    assert one.shape == other.shape
    difference = np.abs(one.astype(int) - other)
    return float(difference.mean()), float(np.percentile(difference, 99))


def same(one: Picture, other: Picture) -> bool:
    return np.array_equal(one.input, other.input) and np.array_equal(one.canvas, other.canvas)


def close(exact: Picture, other: Picture, explainer: Explainer) -> None:
    """Whether two images agree within the tolerance of docs/decoding.md."""
    assert (exact.width, exact.height, exact.frame) == (other.width, other.height, other.frame)
    for one, two in ((exact.input, other.input), (exact.canvas, other.canvas)):
        mean, most = levels(one, two)
        assert mean <= 0.5
        assert most <= 2
    first, second = explainer.explain([exact, other])
    sure = first.ranking[0].probability - first.ranking[1].probability > 0.05
    same_class = first.ranking[0].index == second.ranking[0].index
    assert same_class or not sure
    maps = [np.maximum(one.maps[0].values, 0).ravel() for one in (first, second)]
    assert np.corrcoef(*maps)[0, 1] > 0.995 or not same_class


def real(data: Path) -> tuple[Explainer, list[bytes]]:
    spec = ModelSpec(
        "mobilenetv2_100",
        checkpoint=str(data / "weights" / "mobilenetv2_100.safetensors"),
        args={"pad_type": "same"},
        preprocessing=PreprocessingOptions(mean=(0.5,), std=(0.5,), interpolation="bilinear", crop_pct=0.875),
    )
    paths = sorted((data / "photos").glob("*.png"))[:6]
    return Explainer(load_model(spec), ExplainOptions(device="cpu")), [photo(path, 2403, 1797) for path in paths]
