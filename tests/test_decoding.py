"""Other ways to decode than the exact one: how close they are to it, and what they leave alone."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cam_cli import Explainer, ExplainOptions, ModelSpec, load_model
from cam_cli.images.decode import decode
from cam_cli.images.draft import decode_draft
from cam_cli.images.geometry import CropMode, Preprocessing
from cam_cli.images.picture import CanvasSize, Fetched, Large, Picture, Unreadable, load
from cam_cli.images.sources import Source
from cam_cli.models.preprocessing import PreprocessingOptions

from .conftest import TINY, picture

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
    """A picture as a camera would give it: enlarged, with noise, 4:2:0."""
    with Image.open(path) as image:
        large = np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS), np.float32)
    noise = np.random.default_rng(0).normal(0, 6, (height, width, 1)).astype(np.float32)
    return jpeg(Image.fromarray((large + noise).clip(0, 255).astype(np.uint8)), subsampling=2)


def loaded(data: bytes, decoding: str, how: Preprocessing = SMALL, canvas: CanvasSize = 48, **options: Any) -> Any:
    return load(Fetched(Source("photo", ""), data), how, canvas, decoding=decoding, **options)


def both(
    data: bytes, decoding: str, how: Preprocessing = SMALL, canvas: CanvasSize = 48
) -> Iterator[tuple[Picture, Picture]]:
    yield loaded(data, "exact", how, canvas), loaded(data, decoding, how, canvas)


def levels(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """The mean and the 99th percentile of the difference."""
    assert one.shape == other.shape
    difference = np.abs(one.astype(int) - other)
    return float(difference.mean()), float(np.percentile(difference, 99))


def same(one: Picture, other: Picture) -> bool:
    return np.array_equal(one.input, other.input) and np.array_equal(one.canvas, other.canvas)


@pytest.mark.parametrize(
    ("size", "least", "decoded"),
    [
        ((800, 640), (50, 40), (100, 80)),
        ((799, 640), (50, 40), (100, 80)),
        ((792, 640), (50, 40), (198, 160)),
        ((400, 320), (50, 40), (100, 80)),
        ((200, 160), (50, 40), (100, 80)),
        ((190, 160), (50, 40), (190, 160)),
        ((800, 76), (50, 10), (400, 38)),
    ],
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_twice_the_pixels_that_are_needed_are_decoded(
    size: tuple[int, int], least: tuple[int, int], decoded: tuple[int, int], orientation: int
) -> None:
    turned = orientation == 6
    data = jpeg(picture(*size), orientation)
    asked: list[tuple[int, int]] = []

    def needed(width: int, height: int) -> tuple[int, int]:
        asked.append((width, height))
        return least[::-1] if turned else least

    image, extent = decode_draft(data, needed)
    assert image.size == (decoded[::-1] if turned else decoded)
    assert asked == [(size[::-1] if turned else size)] == [extent[:2]]


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_draft_lies_where_the_picture_does(mode: CropMode, orientation: int) -> None:
    """Sides of eight blocks and a pixel: what is decoded ends with a row and a column that are an eighth there."""
    data = jpeg(picture(801, 641, seed=3), orientation)
    how = replace(SMALL, crop_mode=mode, input_size=(32, 24), resize=(36, 30))
    exact, draft = loaded(data, "exact", how), loaded(data, "draft", how)
    assert exact.canvas.shape == draft.canvas.shape
    assert (exact.width, exact.height, exact.frame) == (draft.width, draft.height, draft.frame)
    for one, other in ((exact.input, draft.input), (exact.canvas, draft.canvas)):
        mean, most = levels(one, other)
        assert mean < 0.3
        assert most <= 2
    assert not same(exact, draft), "or it would not be a draft"


@pytest.mark.parametrize("name", SAMPLES)
def test_a_draft_of_a_photo_is_within_its_tolerance(name: str) -> None:
    network = load_model("demo")
    data = photo(ROOT / "sample_images" / f"{name}.jpg", 2403, 1797)
    exact, draft = loaded(data, "exact", network.preprocessing, 256), loaded(data, "draft", network.preprocessing, 256)
    close(exact, draft, Explainer(network, ExplainOptions(device="cpu")))


def close(exact: Picture, other: Picture, explainer: Explainer) -> None:
    """The tolerance of docs/decoding.md."""
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


def test_a_draft_of_a_real_photo_is_within_its_tolerance(data: Path) -> None:
    explainer, photos = real(data)
    for one in photos:
        exact, draft = (loaded(one, how, explainer.network.preprocessing, 256) for how in ("exact", "draft"))
        assert not same(exact, draft)
        close(exact, draft, explainer)


@pytest.mark.parametrize(
    ("image_format", "canvas", "size"),
    [("PNG", 48, (801, 641)), ("JPEG", "original", (801, 641)), ("JPEG", 48, (90, 80))],
)
def test_what_a_draft_leaves_alone_is_exact(image_format: str, canvas: CanvasSize, size: tuple[int, int]) -> None:
    data = jpeg(picture(*size), format=image_format)
    assert same(loaded(data, "exact", canvas=canvas), loaded(data, "draft", canvas=canvas))


@pytest.mark.parametrize("options", [{"mode": "CMYK"}, {"mode": "L"}, {"progressive": True}, {"format": "MPO"}])
def test_every_kind_of_jpeg_has_a_draft(options: dict[str, Any]) -> None:
    image = picture(801, 641).convert(options.pop("mode", "RGB"))
    if options.get("format") == "MPO":
        options |= {"save_all": True, "append_images": [picture(80, 60)]}
    data = jpeg(image, **options)
    exact, draft = loaded(data, "exact"), loaded(data, "draft")
    assert not same(exact, draft)
    assert levels(exact.input, draft.input) <= (0.5, 2)


def test_limits_are_those_of_the_file() -> None:
    data = jpeg(picture(801, 641))
    assert "801×641 pixels are over" in loaded(data, "draft", max_pixels=801 * 641 - 1).reason
    assert isinstance(loaded(data[: len(data) // 2], "draft"), Unreadable)
    assert decode(data).size == (801, 641)


def test_memory_is_asked_for_what_is_decoded() -> None:
    data = jpeg(picture(801, 641))
    assert isinstance(loaded(data, "exact", unasked=1_000_000), Large)
    assert isinstance(loaded(data, "draft", unasked=1_000_000), Picture)
    asked = loaded(jpeg(picture(801, 641), progressive=True), "draft", unasked=1_000_000)
    assert asked == Large(101 * 81 * 16 + 801 * 641 * 6)


def large_photos(folder: Path, count: int = 3) -> Path:
    folder.mkdir(exist_ok=True)
    for index in range(count):
        (folder / f"{index}.jpg").write_bytes(jpeg(picture(801, 641, index), 1 + index))
    return folder


@pytest.mark.parametrize("command", ["explain", "activations"])
def test_a_folder_holds_results_of_one_way_of_decoding(
    camx: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    large_photos(tmp_path / "in")
    argv = (command, "in", *TINY, "-o", "out")
    assert camx(*argv, "-q") == 0
    assert "decode" not in json.loads(Path("out/run.json").read_text())["fingerprint"], "as before there was a choice"
    capsys.readouterr()
    assert camx(*argv, "--decode", "exact", "--json") == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 3
    assert camx(*argv, "--decode", "draft") == 2
    assert "different are decode" in capsys.readouterr().err
    assert camx(command, "in", *TINY, "-o", "other", "--decode", "draft", "-q") == 0
    assert json.loads(Path("other/run.json").read_text())["fingerprint"]["decode"] == "draft"


def test_an_unknown_way_of_decoding_is_refused(camx: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("explain", ".", *TINY, "--decode", "drafts") == 2
    assert "Did you mean draft?" in capsys.readouterr().err
