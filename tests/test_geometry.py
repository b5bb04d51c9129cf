"""Preprocessing equals the libraries' own, bit by bit, and maps return to the place that the network saw."""

from __future__ import annotations

import base64
import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform
from torchvision.models import get_model_weights

from cam_cli.cams.engine.batches import Runner
from cam_cli.cams.engine.explainer import Explainer
from cam_cli.images.decode import decode
from cam_cli.images.geometry import Frame, Preprocessing, fitted, scaled_for_crop
from cam_cli.images.listing import Source
from cam_cli.images.options import CanvasSize, CropMode
from cam_cli.images.picture import Picture, canvas_size, load, prepare
from cam_cli.maps.heatmap import normalised, pixels_inside, placed
from cam_cli.maps.measures import measured, on_raster
from cam_cli.maps.sketch import decode as decoded
from cam_cli.maps.sketch import sketched

from .conftest import picture
from .networks import RedDetector, network

SIZES = [(64, 48), (301, 200), (199, 333), (224, 224), (50, 40), (640, 427), (40, 400)]


def preprocessing(
    mode: CropMode, size: tuple[int, int] = (64, 64), crop_pct: float = 0.875, interpolation: str = "bicubic"
) -> Preprocessing:
    resize = scaled_for_crop(size, crop_pct)
    return Preprocessing(size, resize, mode, interpolation, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("crop_pct", [0.875, 0.95, 1.0])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(64, 64), (96, 64)])
def test_pixels_are_those_of_timm(mode: CropMode, crop_pct: float, interpolation: str, size: tuple[int, int]) -> None:
    theirs = create_transform(
        (3, *size), interpolation=interpolation, crop_pct=crop_pct, crop_mode=mode, normalize=False
    )
    for seed, (width, height) in enumerate(SIZES if mode != "border" else SIZES[:-1]):
        image = picture(width, height, seed)
        ours, _ = preprocessing(mode, size, crop_pct, interpolation).apply(image)
        assert np.array_equal(ours, np.asarray(theirs(image)).transpose(1, 2, 0)), (width, height)


@pytest.mark.parametrize("size", [(64, 64), (96, 64)])
def test_the_network_sees_what_timm_would_give_it(size: tuple[int, int]) -> None:
    """Normalisation included, bit by bit, for any images in the batch."""
    own = preprocessing("center", size)
    theirs = create_transform((3, *size), interpolation="bicubic", crop_pct=0.875, mean=own.mean, std=own.std)
    images = [picture(width, height, seed) for seed, (width, height) in enumerate(SIZES)]
    inputs = Runner(network(RedDetector(), own), "cpu").inputs([prepare(one, Source("", ""), own) for one in images])
    assert torch.equal(inputs, torch.stack([theirs(one) for one in images]))
    assert inputs.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["squeezenet1_0", "resnet50", "vit_b_16"])
def test_pixels_are_those_of_torchvision(name: str) -> None:
    from cam_cli.models.libraries import TorchvisionModel
    from cam_cli.models.preprocessing import PreprocessingOptions

    preset = get_model_weights(name).DEFAULT.transforms()
    own = TorchvisionModel(name).preprocessing(RedDetector(), PreprocessingOptions(), {})
    mean, std = np.array(own.mean, np.float32), np.array(own.std, np.float32)
    for seed, (width, height) in enumerate(SIZES):
        image = picture(width, height, seed)
        ours = (own.apply(image)[0].astype(np.float32) / 255 - mean) / std
        assert np.abs(ours - preset(image).numpy().transpose(1, 2, 0)).max() < 1e-6


def test_a_very_long_image_is_resized_only_where_it_is_seen() -> None:
    image = picture(7, 900)
    pixels, frame = preprocessing("center").apply(image)
    whole = create_transform((3, 64, 64), interpolation="bicubic", crop_pct=0.875, normalize=False)(image)
    assert np.abs(pixels.astype(int) - np.asarray(whole).transpose(1, 2, 0)).max() <= 2
    assert frame.bottom - frame.top == pytest.approx(64 * 900 / 9385)
    assert preprocessing("center").apply(Image.new("RGB", (1, 65_537), "red"))[0].shape == (64, 64, 3)
    assert preprocessing("border").apply(Image.new("RGB", (65_537, 1), "red"))[0].shape == (64, 64, 3)


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("upright", [(120, 90), (90, 120), (200, 60), (64, 64)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_peak_lies_on_the_evidence(mode: CropMode, upright: tuple[int, int], orientation: int) -> None:
    """A red spot at a known place: the peak of the map is within one grid cell of it, in pixels of the image."""
    width, height = upright
    how = preprocessing(mode, (64, 64), crop_pct=1.0 if mode == "border" else 0.9)
    explainer = Explainer(network(RedDetector(), how))
    _, frame = how.apply(Image.new("RGB", upright))
    cell = ((frame.right - frame.left) / 8, (frame.bottom - frame.top) / 8)
    for across, down in [(0.3, 0.4), (0.6, 0.55), (0.5, 0.7)]:
        x = max(frame.left, 0) + across * (min(frame.right, width) - max(frame.left, 0))
        y = max(frame.top, 0) + down * (min(frame.bottom, height) - max(frame.top, 0))
        shown = prepare(decode(stored(upright, (x, y), cell, orientation)), Source("spot", ""), how)
        assert (shown.width, shown.height) == upright
        (explanation,) = explainer.explain([shown])
        heat = normalised(explanation.maps[0].values)
        assert heat is not None
        assert explanation.maps[0].prediction.index == 0
        peak_y, peak_x = np.unravel_index(placed(heat, shown.frame, width, height).argmax(), (height, width))
        assert abs(peak_x + 0.5 - x) <= cell[0]
        assert abs(peak_y + 0.5 - y) <= cell[1]


def stored(upright: tuple[int, int], centre: tuple[float, float], half: tuple[float, float], orientation: int) -> bytes:
    """A file with a red spot on green, stored turned as by a camera, with its EXIF orientation."""
    rows, columns = np.mgrid[: upright[1], : upright[0]]
    inside = (abs(columns + 0.5 - centre[0]) < half[0]) & (abs(rows + 0.5 - centre[1]) < half[1])
    pixels = np.where(inside[..., None], np.uint8([255, 0, 0]), np.uint8([0, 255, 0]))
    turned = {1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1]}.get(orientation)
    if turned is None:
        across = pixels.transpose(1, 0, 2)
        turned = {5: across, 6: across[::-1], 7: across[::-1, ::-1], 8: across[:, ::-1]}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(turned)).save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


def test_frames_in_image_pixels() -> None:
    _, cut = preprocessing("center", crop_pct=1.0).apply(Image.new("RGB", (200, 100)))
    assert cut == pytest.approx((50, 0, 150, 100))
    _, padded = preprocessing("border", crop_pct=1.0).apply(Image.new("RGB", (200, 100)))
    assert padded == pytest.approx((0, -50, 200, 150))
    _, squashed = preprocessing("squash", crop_pct=1.0).apply(Image.new("RGB", (200, 100)))
    assert squashed == pytest.approx((0, 0, 200, 100))


def test_enlarging_keeps_values_at_cell_centres_and_stays_in_range() -> None:
    heat = np.random.default_rng(0).random((5, 7), dtype=np.float32)
    large = placed(heat, Frame(0, 0, 70, 50), 70, 50)
    centres = (large[4::10, 4::10] + large[5::10, 5::10] + large[4::10, 5::10] + large[5::10, 4::10]) / 4
    assert np.abs(centres - heat).max() < 0.02
    assert large.min() >= 0
    assert large.max() <= 2
    constant = placed(np.ones((3, 3), np.float32), Frame(0, 0, 20, 20), 20, 20)
    assert np.allclose(constant, 1), "no dark rim"


def test_enlarging_agrees_with_pillow() -> None:
    heat = np.random.default_rng(1).random((7, 7), dtype=np.float32)
    theirs = np.clip(np.asarray(Image.fromarray(heat).resize((56, 56), Image.Resampling.BICUBIC)), 0, 1)
    inner = (slice(12, -12), slice(12, -12))
    assert np.abs(placed(heat, Frame(0, 0, 56, 56), 56, 56)[inner] - theirs[inner]).max() < 1e-5


def test_outside_the_frame_there_is_no_heat() -> None:
    large = placed(np.ones((4, 4), np.float32), Frame(10.4, 0, 30.5, 20), 40, 20)
    rows, columns = pixels_inside(Frame(10.4, 0, 30.5, 20), 40, 20)
    assert (rows, columns) == (slice(0, 20), slice(10, 30))
    assert large[:, columns].min() == pytest.approx(1, abs=1e-5)
    assert large[:, :10].max() == large[:, 30:].max() == 0


def test_measures_with_a_pencil() -> None:
    heat = np.zeros((2, 2), np.float32)
    heat[0, 1] = 1
    corner = measured(on_raster(heat, Frame(0, 0, 100, 50), 100, 50))
    assert corner.center_x > 0.6
    assert corner.center_y < 0.4
    even = measured(on_raster(np.ones((2, 2), np.float32), Frame(0, 0, 100, 50), 100, 50))
    assert (even.area, even.center_x, even.center_y) == pytest.approx((1, 0.5, 0.5))
    assert even.border == pytest.approx(1 - 0.8 * 0.8)
    assert even.entropy == pytest.approx(1)
    half = measured(on_raster(np.ones((2, 2), np.float32), Frame(25, 0, 75, 50), 100, 50))
    assert half.area == pytest.approx(0.5), "what the network did not see counts as part of the picture"
    assert half.border == pytest.approx(0.2)
    assert half.box == pytest.approx((0.25, 0, 0.75, 1))
    assert even.box == (0, 0, 1, 1)
    assert corner.box[0] > 0.45
    assert corner.box[3] < 0.55


def test_a_sketch_keeps_the_mean_and_the_place() -> None:
    heat = np.zeros((8, 8), np.float32)
    heat[2, 6] = 1
    mass = on_raster(heat, Frame(20, 0, 70, 50), 100, 50)
    sketch = sketched(mass)
    assert (sketch.dtype, sketch.shape) == (np.uint8, (12, 24))
    assert sketch.mean() / 255 == pytest.approx(mass.mean(), abs=1 / 510)
    y, x = np.unravel_index(sketch.argmax(), sketch.shape)
    assert ((x + 0.5) / 24, (y + 0.5) / 12) == pytest.approx(((20 + 50 * 6.5 / 8) / 100, 2.5 / 8), abs=0.05)
    assert not sketch[:, :4].any(), "what the network did not see is empty"


def test_a_sketch_is_decoded_with_its_signs() -> None:
    record = {"width": 3, "height": 2, "values": base64.b64encode(bytes([0, 1, 128, 191, 255, 51])).decode()}
    assert decoded(record) == pytest.approx(np.array([[0, 1, 128], [191, 255, 51]]) / 255)
    signed = [[-1, -1, 0], [63 / 127, 1, -77 / 127]]
    assert decoded({**record, "signed": True}) == pytest.approx(np.array(signed))
    with pytest.raises(ValueError, match="reshape"):
        decoded({**record, "width": 4})


def test_a_sketch_of_both_signs_keeps_them() -> None:
    heat = np.zeros((8, 8), np.float32)
    heat[2, 6], heat[5, 1] = 1, -0.5
    raster = on_raster(heat, Frame(0, 0, 50, 50), 50, 50)
    sketch = sketched(raster, two_sided=True)
    values = base64.b64encode(sketch.tobytes()).decode()
    cells = decoded({"width": 24, "height": 24, "values": values, "signed": True})
    assert np.abs(cells - np.asarray(Image.fromarray(raster).resize((24, 24), Image.Resampling.BOX))).max() < 1 / 250
    assert np.unravel_index(cells.argmax(), cells.shape) == (7, 19)
    assert np.unravel_index(cells.argmin(), cells.shape) == (16, 4)
    assert sketch[0, 0] == 128


def test_nothing_to_show() -> None:
    assert normalised(np.zeros((2, 2), np.float32)) is None
    assert normalised(-np.ones((2, 2), np.float32)) is None
    assert normalised(np.array([[1, math.nan]], np.float32)) is None
    assert normalised(np.array([[1, math.inf]], np.float32)) is None
    heat = normalised(np.array([[-1, 2], [4, 0]], np.float32) * 1e-9)
    assert heat is not None
    assert heat.tolist() == [[0, 0.5], [1, 0]]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        *((512, (512, 384)), ("original", (1024, 768)), ("model", (97, 73)), (4096, (1024, 768))),
        *(("512!", (512, 384)), ("2048!", (2048, 1536))),
    ],
)
def test_sizes_of_the_overlay(size: CanvasSize, expected: tuple[int, int]) -> None:
    assert canvas_size(1024, 768, preprocessing("center"), size) == expected
    assert fitted(3, 5000, 100) == (1, 100)


def test_loading_a_file_or_its_reason(tmp_path: Path) -> None:
    picture(100, 50).save(tmp_path / "a.png")
    loaded = load(Source("a.png", str(tmp_path / "a.png")), preprocessing("center"), 64)
    assert isinstance(loaded, Picture)
    assert (loaded.width, loaded.height, loaded.canvas.shape) == (100, 50, (32, 64, 3))
    missing = load(Source("b.png", str(tmp_path / "b.png")), preprocessing("center"))
    assert not isinstance(missing, Picture)
    assert missing.reason == "No such file or directory"
