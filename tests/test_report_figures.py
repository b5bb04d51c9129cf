"""Figures and files of the report: rounding, originals, colour maps, single files of many images."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from PIL import Image

from cam_cli.errors import CamxError
from cam_cli.maps.colormaps import COLORMAPS
from cam_cli.report import build, build_report
from cam_cli.report.originals import Originals
from cam_cli.report.rounding import number, percent

from .report_support import content, row, written


@pytest.mark.parametrize(
    ("share", "words"),
    [(0, "0.0"), (1, "100.0"), (0.8125, "81.2"), (0.8175, "81.8"), (0.35, "35.0"), (0.0004, "<0.1"), (0.0006, "0.1"), (0.99997, ">99.9"), (0.99949, "99.9")],
)  # fmt: skip
def test_shares_have_one_decimal_and_are_never_rounded_to_all_or_nothing(share: float, words: str) -> None:
    assert percent(share) == f"{words}\u202f%"


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (1, "1"), (1234.5, "1230"), (0.3125, "0.313"), (-0.00001234, "-0.0000123"), (1.5e-7, "1.5e-7"), (2e22, "2e+22"), (99.96, "100"), (12, "12")],
)  # fmt: skip
def test_numbers_have_three_significant_digits(value: float, words: str) -> None:
    assert number(value) == words


def test_what_is_missing_is_a_dash() -> None:
    assert [percent(None), percent(float("nan")), number(None), number(float("nan"))] == ["–"] * 4


@pytest.mark.parametrize(
    "key",
    ["../secret", "a/../../secret", "/etc/hostname", "a\\..\\..\\secret", "pipe", "gone.jpg", "folder", "a\0b", ""],
)
def test_only_a_file_of_the_images_folder_is_linked(tmp_path: Path, key: str) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "in" / "folder").mkdir(parents=True)
    (tmp_path / "in" / 'a "b" #?.jpg').write_text("x")
    os.mkfifo(tmp_path / "in" / "pipe")
    originals = Originals(str(tmp_path / "in"), str(tmp_path / "out" / "report"))
    assert originals.link(key) == ""
    assert originals.link('a "b" #?.jpg') == "../../in/a%20%22b%22%20%23%3F.jpg"


def test_the_page_links_the_originals_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_text("x")
    out = written(tmp_path / "out", [row("a.jpg"), row("b.jpg", index=1)])
    record = json.loads((out / "run.json").read_text())
    record["fingerprint"]["inputs"] = str(tmp_path / "in")
    (out / "run.json").write_text(json.dumps(record))
    data = content(Path(build_report(str(out))))
    assert [one.get("original") for one in data["parts"]["more-0"]] == ["../../in/a.jpg", None]
    assert data["inputs"] == str(tmp_path / "in")


def test_every_colour_map_can_be_chosen_and_dimming_is_counted(tmp_path: Path) -> None:
    rows = [
        row("a.jpg", seen=[0.0, 0.1, 1.0, 0.9]),
        row("b.jpg", index=1, seen=[0.0, 0.0, 1.0, 1.0]),
        row("c.jpg", index=2),
    ]
    data = content(Path(build_report(str(written(tmp_path / "out", rows)))))
    assert sorted(data["colormaps"]) == sorted(COLORMAPS)
    assert data["dimmed"] == 1


def of_many(folder: Path, count: int) -> Path:
    out = written(folder, [row(f"{k}.jpg", index=k, thumb="report/thumbs/x.jpg") for k in range(count)])
    (folder / "report" / "thumbs").mkdir(parents=True)
    Image.new("RGB", (256, 200), (200, 30, 60)).save(folder / "report" / "thumbs" / "x.jpg")
    return out


def test_one_file_holds_any_number_of_images(tmp_path: Path) -> None:
    out = of_many(tmp_path / "out", 250)
    page = Path(build_report(str(out)))
    assert (out / "report" / "data").is_dir()
    assert build_report(str(out), single_file=True) == str(page)
    assert not any((out / "report").glob("data/*")), "the files of the page before it"
    text = page.read_text()
    parts = dict(re.findall(r'<script type="application/json" data-part="([\w-]+)">(.*?)</script>', text, re.DOTALL))
    assert {"rows-0", "more-0", "more-1", "more-2", "means"} <= {*parts}
    assert len(json.loads(parts["rows-0"])["image"]) == 250
    assert all(one["picture"].startswith("data:image/jpeg;base64,") for one in json.loads(parts["more-2"]))
    assert "img-src data:;" in text, "it loads nothing"


def test_a_single_file_that_no_browser_could_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = of_many(tmp_path / "out", 250)
    monkeypatch.setattr(build, "SINGLE_FILE_LIMIT", 50_000)
    with pytest.raises(CamxError, match=r"A single file of 250 images would take \d+ MB, more than the limit of 0 MB"):
        build_report(str(out), single_file=True)
