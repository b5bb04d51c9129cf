"""`camx patterns --check`: covers of the spots, beside covers elsewhere, with the network of the run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cam_cli.faithfulness.covering import _blurred, _cover, _elsewhere
from cam_cli.patterns.checking import RADIUS, with_checks
from cam_cli.patterns.find import find_patterns

from .conftest import TINY, picture
from .pattern_support import Camx, planted

SAVE = ("--save", "spots", "--no-report", "-q", "-j", 1)


def test_a_cover_is_a_disc_and_the_blur_keeps_the_mean() -> None:
    image = torch.arange(3 * 40 * 60, dtype=torch.float32).reshape(3, 40, 60)
    covered = _cover([(0.5, 0.25)], image)[0]
    ys, xs = np.nonzero(covered.numpy())
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (24, 35, 4, 15)
    assert covered.sum() == pytest.approx(np.pi * (RADIUS * 60) ** 2, rel=0.1)
    assert _blurred(image).shape == image.shape
    assert _blurred(torch.ones(3, 40, 60)).allclose(torch.ones(3, 40, 60))


def test_a_place_elsewhere_keeps_away_where_it_can() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        x, y = _elsewhere([(0.1, 0.1), (0.5, 0.5)], rng)
        assert min(max(abs(x - a), abs(y - a)) for a in (0.1, 0.5)) >= 2 * RADIUS
    everywhere = [(x, y) for x in np.linspace(0, 1, 9) for y in np.linspace(0, 1, 9)]
    assert all(RADIUS <= one <= 1 - RADIUS for one in _elsewhere(everywhere, rng))


def test_drops_have_an_interval(tmp_path: Path) -> None:
    found = find_patterns(str(planted(tmp_path / "out")))
    mark = max(found.patterns, key=lambda one: one.border)
    rng = np.random.default_rng(0)
    rows = []
    for noise in 0.05 * rng.normal(size=24):
        mean = {"drop_mean": 0.5 + noise, "elsewhere_mean": 0.1}
        blur = {"drop_blur": 0.1, "elsewhere_blur": 0.1 + noise}
        rows.append({"maps": [{"method": found.name(mark), "scores": {**mean, **blur}}]})
    checked = with_checks(found, [*rows, {"image": "lost.jpg", "status": "failed"}], seed=0)  # type: ignore[list-item]
    one = next(one for one in checked.patterns if one.number == mark.number and one.target == mark.target)
    assert one.checked is not None
    assert one.checked.images == 24
    drop, none = one.checked.drops["mean"], one.checked.drops["blur"]
    assert drop.spot == pytest.approx(0.5, abs=0.05)
    assert 0.3 < drop.low < drop.gain < drop.high < 0.5
    assert none.low < 0 < none.high
    assert "1 image could not be checked." in checked.notes
    assert sum(other.checked is not None for other in checked.patterns) == 1


def test_the_network_of_the_run_is_asked_again(camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(12):
        path = tmp_path / "images" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        picture(60, 50, number).save(path)
    assert camx("explain", "images", *TINY, *SAVE) == 0
    check = ("patterns", "camx-out", "--patterns", 1, "--min-images", 1, "--check", 5, "--json", "-q")
    assert camx(*check) == 0
    said = json.loads(capsys.readouterr().out)
    sizes = [min(5, one["images"]) for one in said["patterns"]]
    assert [one["check"]["images"] for one in said["patterns"]] == sizes
    with open("camx-out/patterns/check/checks.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == sum(sizes)
    for one in said["patterns"]:
        for fill in ("mean", "blur"):
            drop = one["check"][fill]
            assert drop["gain"] == pytest.approx(drop["spot"] - drop["elsewhere"], abs=1e-4)
            assert drop["low"] - 1e-6 <= drop["gain"] <= drop["high"] + 1e-6
    assert "spots covered" in Path("camx-out/patterns/index.html").read_text()
    assert camx(*check) == 0
    assert json.loads(capsys.readouterr().out)["patterns"] == said["patterns"], "seeded"


def test_other_weights_are_refused(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("explain", images, *TINY, *SAVE) == 0
    record = json.loads(Path("camx-out/run.json").read_text())
    record["fingerprint"]["weights"] = "another"
    Path("camx-out/run.json").write_text(json.dumps(record))
    assert camx("patterns", "camx-out", "--patterns", 1, "--min-images", 1, "--check", 2) == 2
    assert "are others than those that made the maps" in capsys.readouterr().err
    del record["job"]
    Path("camx-out/run.json").write_text(json.dumps(record))
    assert camx("patterns", "camx-out", "--patterns", 1, "--min-images", 1, "--check", 2) == 2
    assert "does not say which network" in capsys.readouterr().err
