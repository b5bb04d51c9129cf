"""JPEG files decoded on the device, and folders that keep one way of decoding."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cam_cli import Explainer, ExplainOptions, load_model
from cam_cli.cams.engine import device_decoding as decoding
from cam_cli.cams.engine.device_decoding import Decoded, JpegDecoder
from cam_cli.images.geometry import Preprocessing
from cam_cli.images.options import CanvasSize, CropMode
from cam_cli.images.picture import Encoded, Picture, Unreadable
from cam_cli.pipeline.memory import InFlightMemory

from .conftest import TINY, picture
from .decoding_support import ROOT, SAMPLES, SMALL, close, jpeg, loaded, photo, real, same


def on_device(data: bytes, how: Preprocessing = SMALL, canvas: CanvasSize = 48) -> Picture:
    """A file as the lane of a network on the CPU decodes it."""
    file = loaded(data, "device", how, canvas)
    assert isinstance(file, Encoded)
    (decoded,) = JpegDecoder(how, torch.device("cpu"))([file])
    assert isinstance(decoded, Decoded)
    assert np.array_equal(decoded.input.numpy(), decoded.picture.input)
    assert file.nbytes == len(data) + decoded.picture.nbytes
    return decoded.picture


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_device_makes_what_a_worker_makes(
    mode: CropMode, interpolation: str, channels: int, orientation: int
) -> None:
    """Colours and grey, larger and smaller than the input; no value differs by more than one level."""
    how = replace(SMALL, crop_mode=mode, input_size=(32, 24), resize=(36, 30), interpolation=interpolation)
    how = replace(how, mean=(0.4, 0.5, 0.6)[:channels], std=(0.5,) * channels)
    for size, colours in (((401, 301), "RGB"), ((21, 33), "RGB"), ((200, 301), "L")):
        data = jpeg(picture(*size, seed=3).convert(colours), orientation)
        exact, other = loaded(data, "exact", how), on_device(data, how)
        assert (exact.width, exact.height, exact.frame) == (other.width, other.height, other.frame)
        for one, two in ((exact.input, other.input), (exact.canvas, other.canvas)):
            assert one.shape == two.shape
            assert np.abs(one.astype(int) - two).max() <= 1


@pytest.mark.parametrize("name", SAMPLES)
def test_a_device_is_within_the_tolerance_on_a_photo(name: str) -> None:
    network = load_model("demo")
    data = photo(ROOT / "sample_images" / f"{name}.jpg", 2403, 1797)
    exact, other = loaded(data, "exact", network.preprocessing, 256), on_device(data, network.preprocessing, 256)
    close(exact, other, Explainer(network, ExplainOptions(device="cpu")))


@pytest.mark.long
def test_a_device_is_within_the_tolerance_on_a_real_photo(data: Path) -> None:
    explainer, photos = real(data)
    for one in photos:
        how = explainer.network.preprocessing
        close(loaded(one, "exact", how, 256), on_device(one, how, 256), explainer)


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({"format": "PNG"}, {}),
        ({"format": "MPO", "save_all": True, "append_images": [picture(80, 60)]}, {}),
        ({"mode": "CMYK"}, {}),
        ({"progressive": True}, {}),
        ({"keep_rgb": True}, {}),
        ({}, {"interpolation": "lanczos"}),
        ({"size": (16, 4000)}, {}),
        ({"size": (2400, 640)}, {"input_size": (16, 16), "resize": (16, 16), "crop_mode": "squash"}),
    ],
)
def test_what_a_device_might_read_otherwise_is_decoded_exactly(
    options: dict[str, Any], changed: dict[str, Any]
) -> None:
    how = replace(SMALL, **changed)
    image = picture(*options.pop("size", (300, 200))).convert(options.pop("mode", "RGB"))
    data = jpeg(image, **options)
    exact, other = loaded(data, "exact", how), loaded(data, "device", how)
    assert isinstance(other, Picture)
    assert same(exact, other)


def test_a_file_is_checked_before_a_device_has_it() -> None:
    data = jpeg(picture(300, 200))
    assert isinstance(loaded(data, "device"), Encoded)
    assert "over the limit" in loaded(data, "device", max_pixels=59_999).reason
    for broken in (data[: len(data) // 2], data[:-2], data[:150], b"\xff\xd8" + data[30:]):
        exact, other = loaded(broken, "exact"), loaded(broken, "device")
        assert type(exact) is type(other)
        assert not isinstance(exact, Unreadable) or exact.reason == other.reason


def hollow(data: bytes) -> bytes:
    """A file with a whole header whose pixels cannot be decoded: its quantisation tables are missing."""
    return data.replace(b"\xff\xdb", b"\xff\xec")


def test_a_file_that_cannot_be_decoded_is_its_own_failure(
    camx: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One batch of files and images with a broken file: all others succeed."""
    folder = large_photos(tmp_path / "in", 4)
    (folder / "1.jpg").write_bytes(hollow((folder / "1.jpg").read_bytes()))
    picture(60, 50, 7).save(folder / "9.png")
    sizes: list[int] = []
    batch = Explainer.explain_batch

    def counted(self: Explainer, pictures: Sequence[Picture], inputs: torch.Tensor, **more: Any) -> Any:
        sizes.append(len(pictures))
        return batch(self, pictures, inputs, **more)

    monkeypatch.setattr(Explainer, "explain_batch", counted)
    assert camx("explain", folder, *TINY, "-b", 5, "-q", "--decode", "device", "--max-failures", 1) == 0
    assert sizes == [4]
    rows = rows_of("camx-out")
    assert {name: row["status"] for name, row in rows.items()} == {
        "0.jpg": "ok", "1.jpg": "failed", "2.jpg": "ok", "3.jpg": "ok", "9.png": "ok",
    }  # fmt: skip
    assert rows["1.jpg"]["error"].startswith("broken image: ")
    assert camx("explain", folder, *TINY, "-q", "-o", "exact", "--max-failures", 1) == 0
    for name, row in rows_of("exact").items():
        assert rows[name]["status"] == row["status"]
        if row["status"] == "ok":
            assert (rows[name]["width"], rows[name]["height"], rows[name]["seen"]) == (
                row["width"],
                row["height"],
                row["seen"],
            )
            assert abs(rows[name]["top"][0]["prob"] - row["top"][0]["prob"]) < 0.01


def rows_of(out: str) -> dict[str, Any]:
    lines = Path(out, "manifest.jsonl").read_text().splitlines()
    return {row["image"]: row for row in map(json.loads, lines)}


@pytest.mark.parametrize("command", ["explain", "activations"])
def test_what_a_file_took_of_the_room_is_given_back(
    camx: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    folder = large_photos(tmp_path / "in", 5)
    (folder / "3.jpg").write_bytes(hollow((folder / "3.jpg").read_bytes()))
    taken: list[int] = []
    take = InFlightMemory.take
    monkeypatch.setattr(InFlightMemory, "take", lambda self, size: (taken.append(size), take(self, size))[1])
    argv = (command, folder, *TINY, "-b", 2, "--decode", "device", "-q", "--max-failures", 1)
    assert camx(*argv) == 0
    assert len(taken) == 10
    assert sum(taken) == 0


def test_files_are_decoded_within_a_bound_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    whole = decoding._decode_files
    monkeypatch.setattr(decoding, "_AT_ONCE", 3 * 2 * 300 * 200)
    monkeypatch.setattr(
        decoding, "_decode_files", lambda files, device: (sizes.append(len(files)), whole(files, device))[1]
    )
    widths = (300, 300, 300, 900, 20)
    files = [loaded(jpeg(picture(width, 200, width)), "device") for width in widths]
    decoded = JpegDecoder(SMALL, torch.device("cpu"))(files)
    assert sizes == [2, 1, 1, 1]
    assert [one.picture.width for one in decoded if isinstance(one, Decoded)] == list(widths)


def test_a_batch_of_files_that_does_not_fit_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory may run out while files are decoded; no file fails for it."""
    decode_jpeg = decoding._decode_jpeg

    def short(files: list[torch.Tensor], device: torch.device) -> list[torch.Tensor]:
        if len(files) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return decode_jpeg(files, device)

    monkeypatch.setattr(decoding, "_decode_jpeg", short)
    explainer = Explainer(load_model("demo"), ExplainOptions(device="cpu"))
    files = [loaded(jpeg(picture(300, 200, seed)), "device", explainer.network.preprocessing) for seed in range(3)]
    most = 1
    assert not any(one.problem for one in explainer.explain(files))
    most = 0
    for one in explainer.explain(files):
        assert one.problem == "not enough memory on cpu for one image"


def test_a_torchvision_without_a_decoder_is_refused_at_the_start(
    camx: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(*_: object) -> None:
        raise RuntimeError("decode_jpegs_cuda: torchvision not compiled with nvJPEG support")

    large_photos(tmp_path / "in", 1)
    monkeypatch.setattr(decoding, "_decode_jpeg", gone)
    assert camx("explain", "in", *TINY, "--decode", "device") == 2
    assert "not compiled with nvJPEG support. Use --decode draft" in capsys.readouterr().err
    assert not Path("camx-out/manifest.jsonl").exists()


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
    assert "Differences: decode" in capsys.readouterr().err
    assert camx(command, "in", *TINY, "-o", "other", "--decode", "draft", "-q") == 0
    assert json.loads(Path("other/run.json").read_text())["fingerprint"]["decode"] == "draft"


def test_an_unknown_way_of_decoding_is_refused(camx: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("explain", ".", *TINY, "--decode", "drafts") == 2
    assert "Did you mean draft?" in capsys.readouterr().err
