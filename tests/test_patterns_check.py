"""`camx patterns --check`: covers spots and other places with the network of the run, and compares the scores."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cam_cli import Explainer, load_model
from cam_cli.cams.engine.inputs import as_pictures
from cam_cli.errors import CamxError
from cam_cli.faithfulness.covering import SpotChecker, _blurred, _cover, _elsewhere
from cam_cli.patterns.checking import RADIUS, Covered, covered_of, score_name, suspects, with_checks
from cam_cli.patterns.find import find_patterns, with_gates
from cam_cli.patterns.options import PatternsOptions
from cam_cli.patterns.records import DROP, FILLS, MEASURES, Pattern, Patterns

from .conftest import TINY, picture
from .pattern_support import Camx, planted
from .test_remote import packed

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


def measured(found: Patterns, pattern: Pattern, gains: np.ndarray) -> list[dict[str, Any]]:
    """Rows of a check with scores of 0.1, except the fall of probability, which is larger by the gain of the row."""
    rows = []
    for gain in gains.tolist():
        scores = {score_name(m, f, elsewhere=away): 0.1 for m in MEASURES for f in FILLS for away in (False, True)}
        scores[score_name(DROP, "mean")] += gain
        rows.append({"maps": [{"method": found.name(pattern), "target_prob": 0.9, "scores": scores}]})
    return rows


def test_drops_have_an_interval(tmp_path: Path) -> None:
    found = find_patterns(str(planted(tmp_path / "out")))
    mark = max(found.patterns, key=lambda one: one.border)
    gains = 0.4 + 0.05 * np.random.default_rng(0).normal(size=24)
    rows = [*measured(found, mark, gains), {"image": "lost.jpg", "status": "failed"}]
    checked = with_checks(found, rows, seed=0)  # type: ignore[arg-type]
    one = next(one for one in checked.patterns if one.number == mark.number and one.target == mark.target).checked
    assert one is not None
    assert (one.images, one.probability) == (24, pytest.approx(0.9))
    drop, none = one.drops[DROP]["mean"], one.drops[DROP]["blur"]
    assert drop.spot == pytest.approx(0.1 + gains.mean())
    assert drop.elsewhere == pytest.approx(0.1)
    assert drop.gain == pytest.approx(gains.mean())
    assert drop.gain - 0.03 < drop.low < drop.gain < drop.high < drop.gain + 0.03
    assert none.low <= 0 <= none.high
    assert not one.used, "the log-odds have not moved"
    assert "1 image could not be checked." in checked.notes
    assert sum(other.checked is not None for other in checked.patterns) == 1


@pytest.mark.parametrize(
    ("gate", "verdict"),
    [
        ("drop > 0.3 if same_place", "fail"),
        ("drop > 0.399 if same_place", "warn"),
        ("drop > 0.5 if same_place", "pass"),
        ("drop_blur > 0.1 if same_place", "pass"),
        ("logit_drop > 0.1 if same_place", "pass"),
        ("drop > 0.1 if one_class", "fail"),
    ],
)
def test_gates_on_drops(tmp_path: Path, gate: str, verdict: str) -> None:
    options = PatternsOptions(check=24, fail_if=(gate,))
    found = find_patterns(str(planted(tmp_path / "out")), options)
    assert [one.verdict for one in found.gates] == ["warn"], "nothing is covered yet"
    mark = max(found.patterns, key=lambda one: one.border)
    gains = 0.4 + 0.05 * np.linspace(-1, 1, 24)
    checked = with_gates(with_checks(found, measured(found, mark, gains), seed=0), options)  # type: ignore[arg-type]
    assert [one.verdict for one in checked.gates] == [verdict]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fail_if": ("drop > 0.1 if same_place",)}, "without a check there is no"),
        ({"fail_if": ("drop > 0.1",), "check": 5}, "only flagged patterns are covered"),
        ({"fail_if": ("dropp > 0.1",), "check": 5}, "drop"),
        ({"cover": ("cat 99",), "check": 5}, "is no pattern of"),
        ({"cover": ("all",)}, "Give `check`"),
    ],
)
def test_spots_that_cannot_be_covered_are_a_note(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    out = planted(tmp_path / "out")
    with pytest.raises(CamxError, match=message):
        find_patterns(str(out), PatternsOptions(**options))


def test_suspects(tmp_path: Path) -> None:
    found = find_patterns(str(planted(tmp_path / "out")))
    flagged, every = suspects(found, ("flagged",)), suspects(found, ("all", "flagged"))
    assert flagged == tuple(one for one in found.patterns if one.flags)
    assert set(map(found.name, every)) == {found.name(one) for one in found.patterns if not one.small}
    (one,) = suspects(found, ("dog 1",))
    assert found.name(one) == "dog 1"
    covers = covered_of(found, suspects(found, ("cat 1", "cat 2")), 3)
    assert sum(map(len, covers.values())) == 6
    for name, some in covers.items():
        place = found.spots.table.images.index(name)
        assert all(len(one.avoided) == (found.spots.owner == place).sum() for one in some)
        assert all(set(one.spots) <= set(one.avoided) for one in some)


def test_drops_are_those_of_the_definition() -> None:
    """Each variant alone: cover, and take the differences of probability and log-odds."""
    explainer = Explainer(load_model("demo"))
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (160, 160, 3), np.uint8) for _ in range(2)]
    pictures = as_pictures(images, explainer.network.preprocessing, [])
    keys = [one.source.key for one in pictures]
    spots = ((0.2, 0.3), (0.8, 0.7))
    wanted = {
        keys[0]: (Covered("a", 2, spots[:1], spots), Covered("b", 1, spots, spots), Covered("c", 0, spots[1:], spots)),
        keys[1]: (Covered("b", 1, spots, spots),),
    }
    checker = SpotChecker(explainer, wanted, seed=3)
    together, alone = checker.check(pictures), [checker.check([one])[0] for one in pictures]
    module = explainer.network.module.eval()

    def seen(image: torch.Tensor, target: int) -> np.ndarray:
        with torch.no_grad():
            scores = module(image[None]).double().softmax(1)[0, target]
        return np.array([float(scores), float(torch.logit(scores))])

    for shown, one, other in zip(pictures, together, alone):
        assert [found.method for found in one.maps] == [asked.name for asked in wanted[shown.source.key]]
        (image,) = explainer._runner.inputs([shown])
        for found, again, asked in zip(one.maps, other.maps, wanted[shown.source.key]):
            assert found.scores == pytest.approx(again.scores, abs=1e-4), "whatever is in the batch"
            assert found.prediction.index == asked.target
            covered = _cover(asked.spots, image)
            fill = image.mean(dim=(1, 2), keepdim=True).expand_as(image)
            drops = seen(image, asked.target) - seen(torch.where(covered, fill, image), asked.target)
            got = [found.scores[score_name(measure, "mean")] for measure in MEASURES]
            assert got == pytest.approx(drops.tolist(), abs=1e-3)
            for measure in MEASURES:
                assert np.isfinite(found.scores[score_name(measure, "blur", elsewhere=True)])


def test_the_network_of_the_run_is_asked_again(camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(12):
        path = tmp_path / "images" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        picture(60, 50, number).save(path)
    assert camx("explain", "images", *TINY, *SAVE) == 0
    check = ("patterns", "camx-out", "--patterns", 1, "--min-images", 1, "--check", 5, "--json", "-q")
    assert camx(*check, "--cover", "all", "--fail-if", "drop > 0.9") == 0
    said = json.loads(capsys.readouterr().out)
    sizes = [min(5, one["images"]) for one in said["patterns"]]
    assert [one["check"]["images"] for one in said["patterns"]] == sizes
    assert said["gates"][0]["verdict"] == "pass"
    with open("camx-out/patterns/check/checks.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(sizes)
    assert {row["status"] for row in rows} == {"ok"}
    record = json.loads(Path("camx-out/patterns/check/run.json").read_text())
    assert (record["state"], record["ok"]) == ("finished", len({row["image"] for row in rows}))
    assert record["command"].split()[0] == "camx"
    assert record["origins"]["check"] == "flag"
    for one in said["patterns"]:
        assert 0 < one["check"]["probability"] < 1
        for measure in MEASURES:
            for fill in FILLS:
                drop = one["check"][measure][fill]
                assert drop["gain"] == pytest.approx(drop["spot"] - drop["elsewhere"], abs=1e-4)
                assert drop["low"] - 1e-6 <= drop["gain"] <= drop["high"] + 1e-6
    with open("camx-out/patterns/patterns.csv", newline="") as file:
        for row, one in zip(csv.DictReader(file), said["patterns"]):
            assert row["covered"] == str(one["check"]["images"])
            assert float(row["drop_gain"]) == pytest.approx(one["check"]["drop"]["mean"]["gain"], rel=1e-4)
    assert "spots covered" in Path("camx-out/patterns/index.html").read_text()
    assert camx(*check, "--cover", "all") == 0
    assert json.loads(capsys.readouterr().out)["patterns"] == said["patterns"], "seeded"
    # As after a check that stopped before its last image.
    journal = Path("camx-out/patterns/check/manifest.jsonl")
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-1]))
    Path("camx-out/patterns/check/run.json").write_text(json.dumps({**record, "state": "interrupted"}))
    assert camx(*check, "--cover", "all") == 0
    assert json.loads(capsys.readouterr().out)["patterns"] == said["patterns"]
    again = json.loads(Path("camx-out/patterns/check/run.json").read_text())
    assert again["skipped"] == record["ok"] - 1


def test_members_of_tar_files_are_covered(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed(images, Path("a.tar"))
    assert camx("explain", "a.tar", *TINY, *SAVE) == 0
    check = ("patterns", "camx-out", "--patterns", 1, "--min-images", 1, "--no-report", "--check", 2, "--cover", "all")
    assert camx(*check) == 0
    assert "could not be checked" not in capsys.readouterr().out
    Path("a.tar").rename("gone.tar")
    assert camx(*check, "--seed", 1) == 0
    assert "could not be checked" in capsys.readouterr().out


def test_without_a_flag_nothing_is_covered(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("explain", images, *TINY, *SAVE) == 0
    assert camx("patterns", "camx-out", "--no-report", "--check", 5, "--fail-if", "drop > 0 if same_place") == 0
    assert "Nothing was covered" in capsys.readouterr().out
    assert not Path("camx-out/patterns/check").exists()


def test_other_weights_are_refused(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("explain", images, *TINY, *SAVE) == 0
    record = json.loads(Path("camx-out/run.json").read_text())
    record["fingerprint"]["weights"] = "another"
    Path("camx-out/run.json").write_text(json.dumps(record))
    assert camx("patterns", "camx-out", "--patterns", 1, "--min-images", 1, "--check", 2, "--cover", "all") == 2
    assert "differ from those of the run" in capsys.readouterr().err
    del record["job"]
    Path("camx-out/run.json").write_text(json.dumps(record))
    assert camx("patterns", "camx-out", "--patterns", 1, "--min-images", 1, "--check", 2, "--cover", "all") == 2
    assert "does not name the network" in capsys.readouterr().err
