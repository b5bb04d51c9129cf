"""Statistics and sheets of feature maps, and the command that writes them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from cam_cli import CamxError, load_model
from cam_cli.features.layer import find_map_layer, maps_at
from cam_cli.features.maps import LARGEST_MAP, feature_maps
from cam_cli.features.options import ChannelChoice, ReadOptions
from cam_cli.features.reader import FeatureReader
from cam_cli.features.sheet import draw_sheet
from cam_cli.images.listing import Source
from cam_cli.images.picture import Picture, load
from cam_cli.models.catalog import Network
from cam_cli.models.options import ModelSpec
from cli.main import run

from .activations_support import TwoBranches, activations

FLAGS = ("--model", "test_resnet", "--no-pretrained", "--device", "cpu", "-j", "1", "-q")


HEADER = "image,status,error,layer,channel,mean,maximum,energy,dead,tile,sheet"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for index, name in enumerate(("a.png", "b.jpg", "sub/c.png")):
        pixels = np.random.default_rng(index).integers(0, 256, (6, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((90, 60)).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def resnet() -> Network:
    return load_model(ModelSpec("test_resnet", pretrained=False))


def table(out: Path) -> list[dict[str, str]]:
    with open(out / "activations.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def pictures(folder: Path, network: Network) -> list[Picture]:
    loaded = [load(Source(path.name, str(path)), network.preprocessing) for path in sorted(folder.rglob("*.*"))]
    return [one for one in loaded if isinstance(one, Picture)]


def test_numbers_follow_the_slow_definition() -> None:
    maps = torch.tensor([[[[0.0, -1.0], [3.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]], [[-4.0, -4.0], [-4.0, -4.0]]]])
    (found,) = feature_maps(maps, "layer", ChannelChoice("energy", 2))
    channels = found.channels
    assert channels.mean.tolist() == [1.0, 0.0, -4.0]
    assert channels.maximum.tolist() == [3.0, 0.0, -4.0]
    assert channels.energy.tolist() == [3.5, 0.0, 16.0]
    assert channels.dead.tolist() == [0.5, 1.0, 1.0]
    assert found.shown.tolist() == [2, 0]
    assert found.peaks.tolist() == [4.0, 3.0]
    assert found.levels[0].tolist() == [[-255, -255], [-255, -255]]
    assert found.levels[1].tolist() == [[0, -85], [255, 170]]
    assert not found.blank


def test_numbers_of_random_maps_one_position_at_a_time() -> None:
    maps = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(1)).clamp_min(-0.3)
    for found, picture in zip(feature_maps(maps, "layer", ChannelChoice("index", 99)), maps.tolist(), strict=True):
        for channel, rows in enumerate(picture):
            values = [value for row in rows for value in row]
            assert found.channels.mean[channel] == pytest.approx(sum(values) / 12, abs=1e-6)
            assert found.channels.maximum[channel] == max(values)
            assert found.channels.energy[channel] == pytest.approx(sum(v * v for v in values) / 12, abs=1e-6)
            assert found.channels.dead[channel] == pytest.approx(sum(v <= 0 for v in values) / 12)
            assert found.peaks[channel] == max(map(abs, values))
        assert found.shown.tolist() == [0, 1, 2, 3, 4]


def test_equal_energies_keep_the_order_of_the_channels() -> None:
    (found,) = feature_maps(torch.ones(1, 40, 2, 2), "layer", ChannelChoice("energy", 40))
    assert found.shown.tolist() == list(range(40))


def test_maps_that_are_too_large_are_reduced_by_area() -> None:
    maps = torch.zeros(1, 1, 2 * LARGEST_MAP, 2 * LARGEST_MAP)
    maps[0, 0, 0, 0] = 8.0
    (found,) = feature_maps(maps, "layer", ChannelChoice())
    assert found.levels.shape == (1, LARGEST_MAP, LARGEST_MAP)
    assert found.levels[0, 0, 0] == 64
    assert found.peaks.tolist() == [8.0]


def test_zero_and_nan_maps_are_blank_and_concern_their_own_image() -> None:
    maps = torch.ones(3, 2, 2, 2)
    maps[1] = 0
    maps[2, 0, 0, 0] = torch.nan
    assert [(found.blank, found.finite) for found in feature_maps(maps, "layer", ChannelChoice())] == [
        (False, True),
        (True, True),
        (True, False),
    ]


def test_the_first_convolution_is_the_one_that_runs_first(photos: Path, resnet: Network) -> None:
    reader = FeatureReader(resnet, ReadOptions())
    assert reader.layer.name == "conv1.0"
    read = reader.read(pictures(photos, resnet))
    inputs = torch.from_numpy(np.stack([one.picture.input for one in read])).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (resnet.preprocessing.mean, resnet.preprocessing.std))
    conv = resnet.module.get_submodule("conv1.0")
    with torch.no_grad():
        expected = conv((inputs - mean) / std)
    for one, maps in zip(read, expected, strict=True):
        assert one.maps is not None
        np.testing.assert_allclose(one.maps.channels.mean, maps.mean((1, 2)), atol=1e-5)
        np.testing.assert_allclose(one.maps.channels.maximum, maps.amax((1, 2)), rtol=1e-5)


def test_order_of_execution_counts_and_the_map_is_that_before_work_in_place() -> None:
    model, inputs = TwoBranches(), torch.randn(2, 3, 8, 8)
    layer = find_map_layer(model, inputs)
    assert layer.name == "early"
    assert bool((maps_at(model, inputs, layer) < 0).any())
    assert find_map_layer(model, inputs, "late").layout.channels == 6


def test_tokens_become_a_grid_without_the_class_token() -> None:
    network = load_model(ModelSpec("test_vit", pretrained=False))
    height, width = network.preprocessing.input_size
    inputs = torch.randn(2, 3, height, width)
    layer = find_map_layer(network.module, inputs, "blocks.0")
    seen: list[Tensor] = []
    handle = network.module.get_submodule("blocks.0").register_forward_hook(lambda _m, _i, out: seen.append(out))
    with torch.no_grad():
        network.module(inputs)
    handle.remove()
    maps = maps_at(network.module, inputs, layer)
    assert maps.shape == (2, 64, 10, 10)
    assert torch.equal(maps[1, :, 2, 3], seen[0][1, 1 + 2 * 10 + 3])


@pytest.mark.parametrize(("wanted", "words"), [("conv9", "no layer 'conv9'"), ("fc", "no map with several positions")])
def test_a_layer_that_cannot_be_shown_is_refused(resnet: Network, wanted: str, words: str) -> None:
    with pytest.raises(CamxError, match=words):
        FeatureReader(resnet, ReadOptions(layer=wanted))


def test_the_sheet_holds_the_image_and_every_map_in_order() -> None:
    maps = torch.full((1, 5, 8, 8), -1.0)
    maps[0, 3] = 2.0
    (found,) = feature_maps(maps, "stem", ChannelChoice("energy", 64))
    picture = np.full((32, 32, 3), (10, 200, 30), np.uint8)
    sheet = np.asarray(draw_sheet(found, picture))
    # 8 by 8 positions are drawn 14 times as large: tiles of 112, 4 apart, 3 in a row, captions of 15 below.
    assert sheet.shape == (10 + 26 + 2 * (112 + 15 + 4) - 4 + 5, 2 * 10 + 3 * 116 - 4, 3)
    tiles = [sheet[36 + 131 * row + 56, 10 + 116 * column + 56].tolist() for row in range(2) for column in range(3)]
    assert tiles[0] == [10, 200, 30]
    red, blue = tiles[1], tiles[2]
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert tiles[3:] == [blue] * 3


def test_a_grey_image_and_a_tall_map_fit() -> None:
    (found,) = feature_maps(torch.rand(1, 3, 40, 10), "stem", ChannelChoice())
    with_picture = draw_sheet(found, np.zeros((80, 20, 1), np.uint8))
    assert with_picture.size[0] > draw_sheet(found).size[0] or with_picture.size[1] > draw_sheet(found).size[1]


def test_a_run_leaves_sheets_table_journal_and_record(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert activations(photos, *FLAGS, "--max-channels", 5, "-o", out) == 0
    assert (out / "activations.csv").read_text("utf-8").splitlines()[0] == HEADER
    rows = table(out)
    count = len({row["channel"] for row in rows})
    assert [row["image"] for row in rows] == [key for key in ("a.png", "b.jpg", "sub/c.png") for _ in range(count)]
    first = [row for row in rows if row["image"] == "a.png"]
    shown = sorted((row for row in first if row["tile"]), key=lambda row: int(row["tile"]))
    energies = [float(row["energy"]) for row in first]
    assert [float(row["energy"]) for row in shown] == sorted(energies, reverse=True)[:5]
    assert {row["sheet"] for row in rows} == {f"activations/{k}.png" for k in ("a.png", "b.jpg", "sub/c.png")}
    with Image.open(out / "activations/sub/c.png.png") as sheet:
        assert sheet.mode == "RGB"
    journal = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert {row["status"] for row in journal} == {"ok"}
    assert len(journal[0]["maps"][0]["channels"]["dead"]) == count
    record = json.loads((out / "run.json").read_text())
    assert (record["state"], record["ok"], record["layer"]) == ("finished", 3, "conv1.0")


def test_channels_in_order(photos: Path, tmp_path: Path) -> None:
    assert activations(photos / "a.png", *FLAGS, "--sort", "index", "--max-channels", 3, "-o", tmp_path / "out") == 0
    assert [row["tile"] for row in table(tmp_path / "out")][:5] == ["1", "2", "3", "", ""]


def test_a_bad_file_has_its_row_and_is_tried_again(photos: Path, tmp_path: Path) -> None:
    (photos / "b.jpg").write_bytes(b"nothing")
    out = tmp_path / "out"
    assert activations(photos, *FLAGS, "-o", out) == 1
    (bad,) = [row for row in table(out) if row["image"] == "b.jpg"]
    assert (bad["status"], bad["channel"], bad["mean"], bad["sheet"]) == ("failed", "", "", "")
    assert "not an image" in bad["error"]
    lines = (out / "manifest.jsonl").read_text().splitlines()
    Image.new("RGB", (40, 40), "red").save(photos / "b.jpg")
    assert activations(photos, *FLAGS, "-o", out) == 0
    again = (out / "manifest.jsonl").read_text().splitlines()
    assert again[:3] == lines
    assert [json.loads(line)["image"] for line in again[3:]] == ["b.jpg"]
    assert {row["status"] for row in table(out)} == {"ok"}


def test_a_missing_sheet_is_made_again(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert activations(photos, *FLAGS, "-o", out) == 0
    before = (out / "activations.csv").read_bytes()
    sheet = out / "activations" / "a.png.png"
    pixels = sheet.read_bytes()
    sheet.unlink()
    (out / "activations.csv").unlink()
    assert activations(photos, *FLAGS, "-o", out) == 0
    assert sheet.read_bytes() == pixels
    assert (out / "activations.csv").read_bytes() == before
    assert len((out / "manifest.jsonl").read_text().splitlines()) == 4


def test_another_layer_or_command_in_the_same_folder_is_refused(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert activations(photos, *FLAGS, "-o", out) == 0
    assert activations(photos, *FLAGS, "--layer", "layer1", "-o", out) == 2
    assert "layer (conv1.0 → layer1)" in capsys.readouterr().err
    assert run(["explain", str(photos), *FLAGS, "-o", str(out)]) == 2
    assert "holds results of `camx activations`" in capsys.readouterr().err
    assert activations(photos / "b.jpg", *FLAGS, "--layer", "layer1", "-o", out, "--overwrite") == 0
    assert [path.name for path in out.glob("activations/**/*.png")] == ["b.jpg.png"]


def test_a_network_of_zeros_gives_blank_rows_and_no_sheet(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def zeroed(spec: ModelSpec, _origins: object) -> Network:
        network = load_model(spec)
        nn.init.zeros_(network.module.get_submodule("conv1.0").weight)  # type: ignore[arg-type]
        return network

    monkeypatch.setattr("cam_cli.pipeline.activations.load_model", zeroed)
    out = tmp_path / "out"
    assert activations(photos / "a.png", *FLAGS, "-o", out) == 0
    row = table(out)[0]
    assert (row["status"], row["dead"], row["tile"], row["sheet"]) == ("blank", "1", "", "")
    assert not (out / "activations").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--sort", "enrgy"), "Did you mean energy?"),
        (("--layer", "conv9"), "no layer 'conv9'"),
        (("--precision", "fp64"), "is unknown"),
        (("--batch-size", "0"), "--batch-size 0 is out of range"),
    ],
)
def test_mistakes_are_one_sentence_and_code_2(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, str], message: str
) -> None:
    assert activations(photos, *FLAGS, "-o", tmp_path / "out", *words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_dry_run_writes_nothing(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [word for word in FLAGS if word != "-q"]
    assert activations(photos, *flags, "-n", "-o", tmp_path / "out") == 0
    assert "3 images would be read" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
