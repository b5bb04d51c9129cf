"""Spots: contributions of channels at the peaks of a map, in a file as safe as the journal."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cam_cli import Explainer, load_model
from cam_cli.maps.spots import LEVELS, NUMBERS, peaks, projection, quantised
from cam_cli.outputs.run_folder import RunFolder
from cam_cli.outputs.spots import MapSpots, packed_vectors, parse_spots, unpacked

from .conftest import TINY, picture
from .explain_support import Camx

SPOTS = Path("camx-out/spots.jsonl")
SAVE = (*TINY, "--save", "spots", "--no-report", "-q", "-j", 1)


def lines(path: Path = SPOTS) -> dict[str, Any]:
    return {row["image"]: row for row in map(json.loads, path.read_text().splitlines())}


def numbers(spots: MapSpots) -> np.ndarray:
    return unpacked(packed_vectors(spots))


def test_peaks_are_local_maxima_strongest_first() -> None:
    values = np.zeros((7, 7))
    values[1, 1], values[5, 5], values[5, 1], values[1, 5] = 1.0, 0.8, 0.6, 0.4
    found = peaks(values, (7, 7))
    assert [(one.x * 7, one.y * 7, one.strength) for one in found] == [(1.5, 1.5, 1.0), (5.5, 5.5, 0.8), (1.5, 5.5, 0.6)]  # fmt: skip
    assert [one.cell(7, 7) for one in found] == [(1, 1), (5, 5), (5, 1)]
    assert peaks(np.full((7, 7), np.nan), (7, 7)) == peaks(-np.ones((7, 7)), (7, 7)) == ()
    assert len(peaks(np.ones((7, 7)), (7, 7))) == 3, "a plateau has a few peaks, far from each other"


def test_a_peak_lies_between_cells_where_its_neighbours_say_so() -> None:
    column = np.array([0.0, 1.0, 3.0, 3.0, 1.0])
    (one,) = peaks(np.outer(np.array([0, 1.0, 0]), column), (3, 5))
    assert one.x * 5 == pytest.approx(3.0), "between the third and the fourth cell"
    assert one.y * 3 == 1.5


def test_pixels_are_averaged_over_the_cells_of_the_layer() -> None:
    values = np.zeros((40, 40))
    values[3, 3] = 9.0  # one pixel
    values[20:30, 30:40] = 1.0
    strongest = peaks(values, (4, 4))[0]
    assert strongest.cell(4, 4) == (2, 3)
    assert strongest.strength == pytest.approx(1.0)


def test_a_projection_keeps_angles() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(20, 1280))
    vectors[1] = vectors[0] + 0.5 * vectors[1]
    short = quantised(vectors @ projection(1280)).astype(float)
    assert short.shape == (20, NUMBERS)
    assert np.abs(short).max(axis=1).tolist() == [LEVELS] * 20

    def cosines(rows: np.ndarray) -> np.ndarray:
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return rows @ rows.T

    assert np.abs(cosines(vectors) - cosines(short)).max() < 0.2


def test_the_vector_is_that_of_the_definition(images: Path) -> None:
    """weight × (activation at the peak − its mean over the map), each channel alone, projected."""
    explainer = Explainer(load_model("demo"), spots=True)
    (explanation,) = explainer([str(images / "cat" / "0.jpg")])
    (one,) = explanation.maps
    assert one.spots
    picture_ = explanation.picture
    trace, _ = explainer.explain_tensor(explainer._runner.inputs([picture_]))
    weight = trace.gradients(torch.tensor([[one.prediction.index]]))[0, 0].mean(dim=(1, 2))
    features = trace.features[0]
    for spot in one.spots:
        row, column = spot.peak.cell(*features.shape[1:])
        contributions = weight * (features[:, row, column] - features.mean(dim=(1, 2)))
        wanted = contributions.numpy() @ projection(len(contributions))
        cosine = wanted @ spot.vector / np.linalg.norm(wanted) / np.linalg.norm(spot.vector)
        assert cosine > 0.98, "four bits"


def test_every_image_has_a_line_of_at_most_a_kilobyte(camx: Camx, images: Path) -> None:
    (images / "broken.png").write_text("no image")
    assert camx("explain", images, *SAVE, "--max-failures", 1) == 0
    rows = {row["image"]: row for row in RunFolder.read("camx-out").rows()}
    found = lines()
    assert found.keys() == {name for name, row in rows.items() if row["status"] == "ok"}
    assert "spots" not in rows["broken.png"]
    assert max(len(line) for line in SPOTS.read_bytes().splitlines()) <= 1024
    for name, row in found.items():
        (spots,) = row["maps"]
        assert 1 <= len(spots["x"]) <= 3
        assert numbers(spots).shape == (len(spots["x"]), NUMBERS)
        assert spots["strength"][0] == pytest.approx(rows[name]["maps"][0]["peak"], rel=1e-4)
    assert not Path("camx-out/overlays").exists()


def test_several_maps_have_spots_each(camx: Camx, images: Path) -> None:
    assert camx("explain", images, *SAVE, "--method", "gradcam", "--method", "eigencam", "--target", "top:2") == 0
    run = RunFolder.read("camx-out")
    for row, spots in run.with_spots(run.rows()):
        assert spots is not None
        assert len(spots["maps"]) == len(row["maps"]) > 2


def test_spots_go_with_classes_only(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("explain", images, *SAVE, "--method", "dff") == 2
    assert "of concepts" in capsys.readouterr().err


def test_the_same_command_makes_again_what_is_missing_or_damaged(camx: Camx, images: Path) -> None:
    assert camx("explain", images, *SAVE) == 0
    whole = lines()
    damaged = SPOTS.read_bytes().splitlines(keepends=True)
    damaged[0] = damaged[0].replace(b'"x":[0', b'"x":[7')
    damaged[2] = damaged[2].replace(b'"strength"', b'"strenght"')
    SPOTS.write_bytes(b"".join(damaged[:-1]) + damaged[-1][:40])  # a kill has torn the last one
    before = len(Path("camx-out/manifest.jsonl").read_text().splitlines())
    assert camx("explain", images, *SAVE) == 0
    assert len(Path("camx-out/manifest.jsonl").read_text().splitlines()) == before + 3
    again = [parse_spots(line) for line in SPOTS.read_bytes().splitlines()]
    assert {row["image"]: row for row in again if row is not None} == whole
    SPOTS.unlink()
    assert camx("explain", images, *SAVE) == 0
    assert lines() == whole


def test_a_kill_between_spots_and_row_loses_nothing(camx: Camx, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cam_cli.outputs import store

    class Killed(BaseException):
        pass

    class Dies(store.System):
        def write(self, descriptor: int, data: bytes) -> int:
            if data.startswith(b'{"image"') and b'"status"' in data and SPOTS.exists():
                super().write(descriptor, data[: len(data) // 2])
                raise Killed
            return super().write(descriptor, data)

    with monkeypatch.context() as patched:
        patched.setattr(store, "system", Dies())
        with pytest.raises(Killed):
            camx("explain", images, *SAVE, "-b", 2)
    assert SPOTS.stat().st_size, "they were first"
    assert camx("explain", images, *SAVE) == 0
    interrupted = lines()
    assert camx("explain", images, *SAVE, "-o", "whole") == 0
    assert interrupted == lines(Path("whole/spots.jsonl"))
    run = RunFolder.read("camx-out")
    assert all(spots is not None for _, spots in run.with_spots(run.rows()))


def test_shards_are_merged(camx: Camx, images: Path) -> None:
    assert camx("explain", images, *SAVE, "-o", "whole") == 0
    assert camx("explain", images, *SAVE, "--shard", "1/2") == 0
    assert (Path("camx-out/parts/1-of-2") / SPOTS.name).exists()
    run = RunFolder.read("camx-out")
    assert all(spots is not None for _, spots in run.with_spots(run.rows())), "read before they are merged"
    shutil.copytree("camx-out/parts/1-of-2", "copy")
    assert camx("explain", images, *SAVE, "--shard", "2/2") == 0
    assert camx("merge", "camx-out", "-q") == 0
    assert not Path("camx-out/parts").exists()
    assert lines() == lines(Path("whole/spots.jsonl"))
    # As after a kill during a merge: the lines have moved, the part still exists.
    size = SPOTS.stat().st_size
    os.makedirs("camx-out/parts")
    shutil.move("copy", "camx-out/parts/1-of-2")
    assert camx("merge", "camx-out", "-q") in (0, 1)
    assert SPOTS.stat().st_size == size
    assert lines() == lines(Path("whole/spots.jsonl"))


def test_overwrite_removes_them(camx: Camx, images: Path) -> None:
    assert camx("explain", images, *SAVE) == 0
    picture(50, 50, 50).save(images / "new.png")
    assert camx("explain", images / "new.png", *TINY, "--overwrite", "-q") == 0
    assert not SPOTS.exists()
