"""JPEG files decoded at a smaller scale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cam_cli import Explainer, ExplainOptions, load_model
from cam_cli.cams.engine.device_decoding import Decoded, JpegDecoder
from cam_cli.images.decode import decode
from cam_cli.images.draft import decode_draft
from cam_cli.images.options import CanvasSize, CropMode
from cam_cli.images.picture import Encoded, Picture, TooLarge, Unreadable

from .conftest import picture
from .decoding_support import ROOT, SAMPLES, SMALL, close, jpeg, levels, loaded, photo, real, same


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

    pixels, extent = decode_draft(data, needed)
    assert pixels.image.size == (decoded[::-1] if turned else decoded)
    assert asked == [(size[::-1] if turned else size)] == [extent[:2]]


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_draft_lies_where_the_image_does(mode: CropMode, orientation: int) -> None:
    """Sides of eight blocks and a pixel: the decoded image ends with a row and a column of an eighth."""
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


@pytest.mark.parametrize("way", ["draft", "device"])
def test_other_formats_are_not_asked_before_they_are_decoded(way: str) -> None:
    """A PNG decodes to read its EXIF data, and a TIFF is upright once it is decoded."""
    png = jpeg(picture(300, 200), format="PNG")
    assert loaded(png[: len(png) // 2], way).reason == loaded(png[: len(png) // 2], "exact").reason
    turned = jpeg(picture(300, 200), 6, format="TIFF")
    exact, other = loaded(turned, "exact"), loaded(turned, way)
    assert (other.width, other.height) == (200, 300)
    assert same(exact, other)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", ["draft", "device"])
def test_odd_and_broken_files_are_what_they_are_to_the_exact_way(data: Path, way: str) -> None:
    compared = 0
    for path in sorted((data / "badfiles").iterdir()):
        exact, other = loaded(path.read_bytes(), "exact"), loaded(path.read_bytes(), way)
        if isinstance(other, Encoded):
            (decoded,) = JpegDecoder(SMALL, torch.device("cpu"))([other])
            assert isinstance(decoded, Decoded) == isinstance(exact, Picture), path.name
            continue
        assert type(exact) is type(other), path.name
        if isinstance(exact, Unreadable):
            assert exact.reason == other.reason, path.name
        else:
            assert (exact.width, exact.height, exact.frame) == (other.width, other.height, other.frame), path.name
        compared += 1
    assert compared > 250


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
    assert isinstance(loaded(data, "exact", unreserved=1_000_000), TooLarge)
    assert isinstance(loaded(data, "draft", unreserved=1_000_000), Picture)
    asked = loaded(jpeg(picture(801, 641), progressive=True), "draft", unreserved=1_000_000)
    assert asked == TooLarge(101 * 81 * 16 + 801 * 641 * 6)
