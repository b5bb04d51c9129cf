"""Frames, bands and arrays: files that hold more than one image of three colours."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cam_cli.errors import CamxError, UnreadableImage
from cam_cli.images.decode import Reading, count_frames, decode_pixels
from cam_cli.images.geometry import Preprocessing
from cam_cli.images.listing import Source
from cam_cli.images.options import PixelOptions
from cam_cli.images.picture import Picture, load, prepare
from cam_cli.models.catalog import load_model
from cam_cli.models.options import ModelSpec, PreprocessingOptions

from .conftest import TINY, picture
from .test_decode import encoded
from .test_pixels import QUICK, read, rows_of, said

Camx = Callable[..., int]
FOUR = ("--model-arg", "in_chans=4", "--mean", "0.5", "--std", "0.25")


def npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def stack(path: Path, count: int = 3) -> Path:
    frames = [picture(40, 30, seed) for seed in range(count)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    return path


@pytest.mark.parametrize("name", ["a.tif", "a.gif", "a.webp", "a.png"])
def test_frames_of_every_format(tmp_path: Path, name: str) -> None:
    data = stack(tmp_path / name).read_bytes()
    assert count_frames(data) == read(data).facts.frames == 3
    shown = [np.asarray(read(data, frame=number).image) for number in (0, 1, 2, 3)]
    assert np.array_equal(shown[0], shown[1])
    for number in (1, 2, 3):
        assert np.abs(shown[number].astype(int) - np.asarray(picture(40, 30, number - 1))).mean() < 8, number
    with pytest.raises(UnreadableImage, match="it has 3 frames, and none with the number 4"):
        read(data, frame=4)


def test_every_frame_is_a_row_of_its_own(camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "a.tif"
    stack(tmp_path / name)
    picture(40, 30, 9).save(tmp_path / "b.jpg")
    assert camx("explain", tmp_path, *QUICK) == 0
    # 0.1.0 explained the first one without a note.
    assert "1 file has several frames, but only the first is explained. --frames all" in said(capsys)
    first = rows_of()
    assert first[name]["pixels"]["frames"] == 3
    assert camx("explain", tmp_path, *QUICK, "--frames", "all") == 0
    rows = rows_of()
    table = [line.split(",")[0] for line in Path("camx-out/predictions.csv").read_text("utf-8").splitlines()[1:]]
    assert table == [f"{name}#1", f"{name}#2", f"{name}#3", "b.jpg"]
    assert [rows[f"{name}#{number}"]["pixels"]["frame"] for number in (1, 2, 3)] == [1, 2, 3]
    assert rows[f"{name}#1"]["top"] == first[name]["top"]
    assert rows[f"{name}#2"]["top"] != rows[f"{name}#3"]["top"]
    assert Path(f"camx-out/overlays/{name}#2.png").is_file()
    assert "several frames" not in said(capsys)


def test_one_frame_by_its_number(camx: Camx, tmp_path: Path) -> None:
    stack(tmp_path / "a.tif")
    picture(40, 30, 9).save(tmp_path / "b.jpg")
    assert camx("explain", tmp_path, *QUICK, "--frames", 2) == 1
    rows = rows_of()
    assert rows["a.tif#2"]["status"] == "ok"
    assert rows["b.jpg#2"]["error"] == "it has 1 frame, and none with the number 2 (frames)"
    assert camx("explain", tmp_path, *TINY, "--frames", 0) == 2


def test_pages_that_are_smaller_copies_are_no_frames() -> None:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    tags = ImageFileDirectory_v2()
    tags[254] = 1
    small = picture(20, 15)
    small.encoderinfo = {"tiffinfo": tags}
    data = encoded(picture(40, 30), "TIFF", save_all=True, append_images=[small, picture(40, 30, 2)])
    assert read(data).facts.frames == 2
    assert read(data, frame=2).image.tobytes() == picture(40, 30, 2).tobytes()


def test_frames_have_the_labels_of_their_file_and_a_broken_file_is_one_image(camx: Camx, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.gif").write_bytes(b"GIF89a nothing")
    stack(tmp_path / "images" / "b.gif")
    stack(tmp_path / "images" / "c.tif")
    (tmp_path / "l.csv").write_text("image,label\nb.gif,3\nc.tif#2,5\n")
    options = ("--frames", "all", "--labels", tmp_path / "l.csv")
    assert camx("explain", tmp_path / "images", *QUICK, *options) == 1
    assert {key: (row["status"], row["label"]) for key, row in rows_of().items()} == {
        "a.gif": ("failed", ""),
        **{f"b.gif#{number}": ("ok", "3") for number in (1, 2, 3)},
        **{f"c.tif#{number}": ("ok", "5" * (number == 2)) for number in (1, 2, 3)},
    }


def test_bands_are_given_in_the_order_asked_for() -> None:
    bands = [Image.new("L", (4, 4), level) for level in (10, 20, 30, 40)]
    data = encoded(Image.merge("RGBA", bands))
    assert read(data, bands=(4, 3, 2)).image.getpixel((0, 0)) == (40, 30, 20)
    assert read(data, bands=(4,)).image.getpixel((0, 0)) == (40, 40, 40)
    assert read(data, bands=(4, 3, 2)).facts.bands == (4, 3, 2)
    assert [band.getpixel((0, 0)) for band in read(data, channels=4).bands] == [10, 20, 30, 40]
    assert [band.getpixel((0, 0)) for band in read(data, channels=2, bands=(4, 1)).bands] == [40, 10]
    with pytest.raises(UnreadableImage, match=r"it has 4 bands, but no number 5"):
        read(data, bands=(5, 1, 1))
    with pytest.raises(UnreadableImage, match=r"it has 3 bands, but the network takes 4: choose them \(bands\)"):
        read(encoded(picture()), channels=4)


@pytest.mark.parametrize(
    ("shape", "channels", "expected"),
    [
        ((6, 8), 1, (8, 6)),
        ((6, 8, 4), 4, (8, 6)),
        ((4, 6, 8), 4, (8, 6)),
        ((40, 50, 7), 3, (50, 40)),
        ((7, 40, 50), 3, (50, 40)),
        ((3, 5, 3), 3, None),
        ((40, 50, 60), 3, None),
    ],
)
def test_axes_of_an_array_by_evidence(shape: tuple[int, ...], channels: int, expected: tuple[int, int] | None) -> None:
    data = npy(np.arange(np.prod(shape), dtype=np.uint8).reshape(shape))
    bands = (1,) * channels
    if expected is None:
        with pytest.raises(UnreadableImage, match=r"may be rows × columns × bands or bands .*\(array_layout\)"):
            read(data, channels, bands=bands)
        assert read(data, channels, bands=bands, array_layout="chw").image.size == shape[:0:-1]
        assert read(data, channels, bands=bands, array_layout="hwc").image.size == shape[1::-1]
    else:
        assert read(data, channels, bands=bands).image.size == expected


def test_all_bands_of_an_array_have_the_same_levels() -> None:
    values = np.zeros((6, 8, 4), np.uint16)
    values[...] = [0, 1000, 2047, 4095]
    found = read(npy(values), channels=4)
    assert [band.getpixel((0, 0)) for band in found.bands] == [0, 62, 127, 255]
    assert (found.facts.levels, found.facts.mode, found.facts.bands) == ((0, 4095), "uint16 6×8×4", (1, 2, 3, 4))
    # An unused band has no influence.
    assert read(npy(values), bands=(1, 2, 2), array_layout="hwc").facts.levels == (0, 1023)


@pytest.mark.extras
def test_tiff_files_of_five_bands() -> None:
    tifffile = pytest.importorskip("tifffile")
    values = np.arange(5 * 6 * 8, dtype=np.uint16).reshape(5, 6, 8)
    for planar in ("separate", "contig"):
        buffer = io.BytesIO()
        stored = values if planar == "separate" else values.transpose(1, 2, 0)
        tifffile.imwrite(buffer, stored, photometric="minisblack", planarconfig=planar, metadata=None)
        found = decode_pixels(buffer.getvalue(), Reading(PixelOptions(), 5))
        assert [band.size for band in found.bands] == [(8, 6)] * 5
        assert np.array_equal(np.asarray(found.bands[4]), values[4].astype(np.uint8))
        assert read(buffer.getvalue(), bands=(5, 3, 1)).image.getpixel((7, 5)) == (239, 143, 47)
        with pytest.raises(UnreadableImage, match=r"a TIFF file of a kind.*bands.*camx\[tiff\]|it has|choose"):
            read(buffer.getvalue())


def test_without_tifffile_the_row_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(UnreadableImage, match=r"pip install 'camx\[tiff\]'"):
        read(encoded(picture(), "TIFF"), channels=5)


def test_a_network_of_four_channels_gets_each_band_as_it_is(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (90, 120, 4), np.uint8)
    (tmp_path / "a.npy").write_bytes(npy(values))
    how = Preprocessing((32, 48), (36, 54), "center", "bicubic", (0.5,) * 4, (0.25,) * 4)
    loaded = load(Source("a", str(tmp_path / "a.npy")), how)
    assert isinstance(loaded, Picture)
    assert loaded.input.shape == (32, 48, 4)
    alone = Preprocessing((32, 48), (36, 54), "center", "bicubic", (0.5,), (0.25,))
    for band in range(4):
        grey = prepare(Image.fromarray(np.ascontiguousarray(values[..., band])).convert("RGB"), Source("", ""), alone)
        assert np.array_equal(loaded.input[..., band], grey.input[..., 0])
    assert np.array_equal(loaded.canvas, values[..., :3])


def test_a_network_of_four_channels_end_to_end(camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.npy").write_bytes(npy(np.random.default_rng(0).integers(0, 256, (60, 80, 4), np.uint8)))
    picture(40, 30).convert("RGBA").save(tmp_path / "b.png")
    picture(40, 30).save(tmp_path / "c.png")
    argv = ("explain", tmp_path, "--include", "*.npy", "--include", "*.png", *QUICK)
    # 0.1.0: "camx explains colour (3) and grey (1) pictures".
    assert camx(*argv, *FOUR) == 1
    rows = rows_of()
    assert rows["a.npy"]["pixels"] == {"mode": "uint8 60×80×4", "bands": [1, 2, 3, 4]}
    assert (rows["a.npy"]["status"], rows["b.png"]["status"]) == ("ok", "ok")
    assert rows["c.png"]["error"] == "it has 3 bands, but the network takes 4: choose them (bands)"
    assert json.loads(Path("camx-out/run.json").read_text("utf-8"))["fingerprint"]["preprocessing"]["mean"] == [0.5] * 4
    said(capsys)
    assert camx(*argv, "--model-arg", "in_chans=4", "-o", "unknown") == 2
    assert "takes 4 channels, but their --mean and --std are unknown" in said(capsys)
    assert camx(*argv, *FOUR, "--bands", "3,2,1", "-o", "wrong") == 2
    assert "--bands names 3 bands, but the network takes 4 channels" in said(capsys)
    assert camx("activations", tmp_path / "b.png", *TINY, *FOUR, "-o", "maps") == 0


def test_mean_for_other_channels_than_the_network_has() -> None:
    spec = ModelSpec("test_resnet", pretrained=False, preprocessing=PreprocessingOptions(mean=(0.1, 0.2)))
    with pytest.raises(CamxError, match="`mean` has 2 values, but the network takes 3 channels"):
        load_model(spec)
