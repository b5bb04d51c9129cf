"""Inputs that are no squares: `--image-size HxW` from the flag to the overlay."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform

from cam_cli.cams.engine.explainer import Explainer
from cam_cli.errors import CamxError
from cam_cli.images.listing import Source
from cam_cli.images.picture import prepare
from cam_cli.maps.heatmap import normalised, placed
from cam_cli.models.catalog import load_model
from cam_cli.models.options import ModelSpec, PreprocessingOptions
from cam_cli.parsers import sides

from .conftest import picture
from .networks import RedDetector, network
from .test_pixels import QUICK, rows_of, said

Camx = Callable[..., int]


def loaded(name: str, size: Any, **options: Any) -> Any:
    preprocessing = PreprocessingOptions(image_size=size)
    return load_model(ModelSpec(name, pretrained=False, preprocessing=preprocessing, **options))


def test_a_size_is_a_number_or_height_and_width() -> None:
    assert [sides(text) for text in ("224", "224x448", "224×448", "224,448", "96X96")] == [
        224, (224, 448), (224, 448), (224, 448), 96,
    ]  # fmt: skip
    for wrong in ("", "x224", "1x2x3", "a", "-4", "22.5"):
        with pytest.raises(ValueError, match="HxW"):
            sides(wrong)
    with pytest.raises(CamxError, match="out of range"):
        PreprocessingOptions(image_size=(8, 96))


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "torchvision/squeezenet1_1"])
def test_pixels_and_grid_of_a_rectangle(name: str) -> None:
    found = loaded(name, (96, 160))
    own = found.preprocessing
    assert own.input_size == (96, 160)
    assert own.resize[1] / own.resize[0] == pytest.approx(160 / 96, abs=0.02)
    image = picture(400, 300)
    shown = prepare(image, Source("", ""), own)
    if not name.startswith("torchvision"):
        crop_pct = found.module.pretrained_cfg["crop_pct"]
        theirs = create_transform((3, 96, 160), interpolation=own.interpolation, crop_pct=crop_pct, normalize=False)
        assert np.array_equal(shown.input, np.asarray(theirs(image)).transpose(1, 2, 0))
    explanation = Explainer(found)([image])[0]
    rows, columns = explanation.maps[0].values.shape
    assert columns / rows == pytest.approx(160 / 96, abs=0.25)
    assert columns > rows


def test_the_peak_lies_on_the_evidence_in_a_rectangle() -> None:
    own = loaded("test_resnet", (64, 128)).preprocessing
    explainer = Explainer(network(RedDetector(), own))
    for x, y in ((150, 60), (250, 120), (60, 90)):
        rows, columns = np.mgrid[:200, :300]
        spot = (abs(columns - x) < 12) & (abs(rows - y) < 12)
        pixels = np.where(spot[..., None], np.uint8([255, 0, 0]), np.uint8([0, 255, 0]))
        shown = prepare(Image.fromarray(pixels), Source("", ""), own)
        heat = normalised(explainer.explain([shown])[0].maps[0].values)
        assert heat is not None
        peak = np.unravel_index(placed(heat, shown.frame, 300, 200).argmax(), (200, 300))
        assert abs(peak[1] - x) < 20
        assert abs(peak[0] - y) < 20


def test_a_rectangle_end_to_end(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ("explain", images, *QUICK, "--save", "overlay,array")
    # 0.1.0: "give a whole number".
    assert camx(*argv, "--image-size", "64x128", "--size", "model") == 0
    assert "input 64×128" in said(capsys)
    record = json.loads(Path("camx-out/run.json").read_text("utf-8"))
    assert record["fingerprint"]["preprocessing"]["input_size"] == [64, 128]
    row = rows_of()["dog/6.jpg"]
    left, top, right, bottom = row["frame"]
    assert (right - left) / (bottom - top) == pytest.approx(2, abs=0.1)
    assert np.load(f"camx-out/{row['maps'][0]['array']}").shape == tuple(row["maps"][0]["grid"]) == (2, 4)
    # The same command continues, another rectangle is an error, and a square becomes one number.
    assert camx(*argv, "--image-size", "64x128", "--size", "model", "--json") == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 7
    assert camx(*argv, "--image-size", "128x64", "--size", "model") == 2
    assert camx(*argv, "--image-size", "64", "-o", "one") == camx(*argv, "--image-size", "64x64", "-o", "one") == 0
    Path("camx.toml").write_text('image-size = "64x128"\n')
    assert camx(*argv, "--size", "model", "--config", "camx.toml") == 0
    assert camx("layers", "test_resnet", "--image-size", "64x128", "--json") == 0


def test_networks_that_are_built_for_one_size() -> None:
    network = loaded("vit_tiny_patch16_224", (96, 160), args={"depth": 2, "embed_dim": 48, "num_heads": 3})
    assert network.args["img_size"] == (96, 160)
    assert Explainer(network)([picture(300, 200)])[0].maps[0].values.shape == (6, 10)
    with pytest.raises(CamxError, match="torchvision/vit_b_16 takes only square images, not 96×160"):
        loaded("torchvision/vit_b_16", (96, 160))


@pytest.mark.parametrize("size", [96, (96, 160)])
def test_weights_of_a_transformer_at_another_size(tmp_path: Path, size: Any) -> None:
    """Position embeddings of a checkpoint are resampled by timm's own filter, and one line says so."""
    args = {"depth": 2, "embed_dim": 48, "num_heads": 3, "num_classes": 5}
    trained = loaded("vit_tiny_patch16_224", 64, args=args)
    torch.save(trained.module.state_dict(), tmp_path / "w.pth")
    # 0.1.0: "does not fit timm/vit_tiny_patch16_224".
    found = loaded("vit_tiny_patch16_224", size, args=args, checkpoint=str(tmp_path / "w.pth"))
    assert found.preprocessing.input_size == (96, size[1] if isinstance(size, tuple) else 96)
    assert found.notes == ("pos_embed resampled to the size of the input, as timm does it",)
    whole = timm.create_model("vit_tiny_patch16_224", img_size=size, **args)
    filtered = timm.models.vision_transformer.checkpoint_filter_fn(trained.module.state_dict(), whole)
    assert torch.equal(found.module.state_dict()["pos_embed"], filtered["pos_embed"])
    same = loaded("vit_tiny_patch16_224", 64, args=args, checkpoint=str(tmp_path / "w.pth"))
    assert same.notes == ()
