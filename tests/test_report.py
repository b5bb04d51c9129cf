"""The report as files: its content, left-out parts, and the time of writing."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cam_cli.errors import CamxError
from cam_cli.report import build, build_report, comparison, patterns
from cam_cli.report.chunks import script_safe
from cam_cli.report.page import SCRIPTS, STYLES, _joined, policy
from cam_cli.report.pictures import link

from .conftest import TINY, picture
from .report_support import OUT, PAGE, content, row, written

Camx = Callable[..., int]


def test_every_run_ends_with_one_file_that_holds_all(camx: Camx, images: Path) -> None:
    assert camx("explain", images, *TINY, "-q") == 0
    text, data = PAGE.read_text(), content()
    assert data["parts"]["rows-0"]["image"] == [f"cat/{n}" for n in ("0.jpg", "1.png", "2.jpg", "3.png")] + [
        f"dog/{n}" for n in ("4.jpg", "5.png", "6.jpg")
    ]
    details = data["parts"]["more-0"]
    assert all(one["picture"].startswith("data:image/jpeg;base64,") for one in details)
    assert not (OUT / "report" / "data").exists()
    assert not re.search(r"""(?:src|href)=["'](?!data:|#|\.\./predictions\.csv)""", text), (
        "nothing is loaded from elsewhere"
    )
    assert camx("report", OUT) == 0
    assert content() == data, "the journal alone gives the same report"


def test_the_page_is_small(camx: Camx, images: Path) -> None:
    assert camx("explain", images, *TINY, "-q") == 0
    text = PAGE.read_text()
    data = text[text.index('id="data">') : text.index("</script>")]
    assert len(text.encode()) - len(data.encode()) < 150_000


def test_a_policy_lets_only_the_own_script_and_style_run(tmp_path: Path) -> None:
    page = Path(build_report(str(written(tmp_path / "out", [row("a.jpg")]))))
    text = page.read_text()
    rules = html.unescape(re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1])  # type: ignore[index]
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in rules
    assert "default-src 'none'" in rules
    assert "unsafe" not in rules
    assert "http" not in rules
    assert not re.search(r"\son\w+=", text[: text.index('id="data"')]), "no handlers in the markup"
    assert "strict-dynamic" not in rules
    assert "'strict-dynamic'" in policy("", "", inside=False)


def test_the_script_never_makes_markup_of_text() -> None:
    script = _joined("scripts", ".js", SCRIPTS)
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert word not in script


def test_the_script_and_the_style_are_small_files_joined_as_they_are(tmp_path: Path) -> None:
    folder = Path(build.__file__).parent / "page"
    text = Path(build_report(str(written(tmp_path / "out", [row("a.jpg")])))).read_text()
    for tag, part, suffix, names in (("script", "scripts", ".js", SCRIPTS), ("style", "styles", ".css", STYLES)):
        files = [folder / part / f"{name}{suffix}" for name in names]
        assert len({*files}) == len(files)
        others = (
            [*comparison.SCRIPTS, *patterns.SCRIPTS]
            if tag == "script"
            else [*comparison.STYLES, *patterns.STYLES, "evaluation"]
        )
        there = {path.relative_to(folder / part).with_suffix("").as_posix() for path in (folder / part).rglob("*.*")}
        assert {*names, *others} == there, "every file has its place in a page"
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert inside == "\n".join(file.read_text() for file in files), "comments and spaces included"
        for file in (folder / part).rglob("*.*"):
            lines = file.read_text().splitlines()
            assert len(lines) <= 150, file.name
            assert max(map(len, lines)) <= 120, file.name


HOSTILE = [
    '"><img src=x onerror=alert(1)>.jpg',
    "</script><script>alert(1)</script>.jpg",
    "<!--<script>.jpg",
    "&lt;b&gt; '\" `.jpg",
    "\u2028\udcff.jpg",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text_wherever_they_stand(tmp_path: Path, name: str) -> None:
    failed = {"image": name, "index": 1, "status": "failed", "error": f"broken {name}", "label": name}
    page = Path(build_report(str(written(tmp_path / "out", [row("a.jpg", label=name), failed]))))
    text = page.read_text()
    assert text.count("<script") == 2
    assert text.count("</script") == 2
    assert "<img" not in text
    assert content(page)["parts"]["rows-0"]["image"] == ["a.jpg", name]
    assert content(page)["parts"]["rows-0"]["errors"] == {"1": f"broken {name}"}


def test_json_ends_no_script_element() -> None:
    assert not set(script_safe({"</script><!--": "&\u2028é"})) & set("<>&\u2028é")
    assert link('overlays/"><img>/a b#?.png') == "../overlays/%22%3E%3Cimg%3E/a%20b%23%3F.png"
    assert link("javascript:alert(1)").startswith("../")


def test_more_than_two_hundred_images_lie_beside_the_page(camx: Camx, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(201):
        picture(300, 200, index).save(folder / f"{index:03}.jpg")
    assert camx("explain", folder, *TINY, "-q") == 0
    data = content()
    assert data["parts"] == {}
    assert data["rows"] == 201
    files = sorted(p.name for p in (OUT / "report" / "data").iterdir())
    assert [re.sub("^[0-9a-f]{12}-", "", name) for name in files] == [
        "means.js",
        "more-0.js",
        "more-1.js",
        "more-2.js",
        "rows-0.js",
    ]
    part = (OUT / "report" / "data" / files[1]).read_text()
    details = json.loads(part.removeprefix('camxPart("more-0",').removesuffix(");\n"))
    assert details[7]["picture"] == "../report/thumbs/007.jpg.jpg"
    with Image.open(OUT / "report" / "thumbs" / "007.jpg.jpg") as thumb:
        assert thumb.size == (256, 171)
    (OUT / "report" / "data" / "mine.txt").write_text("")
    (OUT / "report" / "data" / f"{'0' * 12}-rows-0.js").write_text("of an earlier page")
    build_report(str(OUT))
    assert sorted(p.name for p in (OUT / "report" / "data").iterdir()) == sorted([*files, "mine.txt"])


def test_without_a_report_nothing_of_it_is_made(camx: Camx, images: Path) -> None:
    assert camx("explain", images, *TINY, "-q", "--no-report") == 0
    assert not (OUT / "report").exists()
    journal = (OUT / "manifest.jsonl").read_text()
    assert "thumb" not in journal
    assert camx("explain", images, *TINY, "-q") == 0, "the report is no part of the fingerprint"
    assert (OUT / "manifest.jsonl").read_text() == journal
    shown = content()["parts"]["more-0"][0]
    assert shown["kind"] == "overlay", "without a thumbnail the overlay stands in"
    assert shown["picture"].startswith("data:image/jpeg")


def test_a_thumbnail_is_a_file_of_its_row(camx: Camx, images: Path) -> None:
    assert camx("explain", images, *TINY, "-q") == 0
    thumb = OUT / "report" / "thumbs" / "cat" / "0.jpg.jpg"
    thumb.unlink()
    assert camx("explain", images, *TINY, "-q") == 0
    assert thumb.exists(), "an image with a file missing is explained again"
    assert camx("explain", images / "dog", *TINY, "-q", "--overwrite") == 0
    assert not thumb.exists()
    assert content()["rows"] == 3


def test_a_report_that_cannot_be_written_is_a_warning(camx: Camx, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(build, "page", broken)
    assert camx("explain", images, *TINY) == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert len(warnings) == 1
    assert "No space left on device" in warnings[0]
    assert "camx report camx-out" in warnings[0]
    assert (OUT / "predictions.csv").exists()


def test_an_interrupted_run_has_a_report_too(camx: Camx, images: Path) -> None:
    (images / "cat" / "0.jpg").write_text("no image")
    assert camx("explain", images, *TINY, "-q", "-b", 1, "-j", 1, "--fail-fast") == 1
    data = content()
    assert 1 <= data["rows"] < 7
    assert 'class="tag">stopped' in PAGE.read_text()


def test_a_report_needs_no_torch(tmp_path: Path) -> None:
    written(tmp_path / "out", [row("a.jpg")])
    code = "import sys; from cli.main import run; assert run(['report', sys.argv[1]]) == 0; print('torch' in sys.modules, 'timm' in sys.modules)"
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "out"], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [os.path.join(tmp_path, "out", "report/index.html"), "False False"]


@pytest.mark.parametrize(
    ("make", "said"), [(False, "There is no folder"), (True, "holds no results of `camx explain`")]
)
def test_a_folder_without_a_run_is_refused(tmp_path: Path, make: bool, said: str) -> None:
    if make:
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "run.json").write_text("{}")
    with pytest.raises(CamxError, match=said):
        build_report(str(tmp_path / "x"))


def test_trainings_and_feature_maps_have_reports(camx: Camx, images: Path) -> None:
    assert camx("train-gap", images, *TINY, "--epochs", 2, "--log-cams", 2, "-o", "gap", "-q") == 0
    assert camx("report", "gap") == 0
    page = Path("gap/report/index.html")
    data = content(page)
    assert [m["epoch"] for m in data["metrics"]] == [1, 2]
    assert np.sum(data["confusion"]) == sum(map(sum, data["confusion"])) > 0
    assert [sorted(epochs) for _, epochs in data["samples"]["cams"]] == [["1", "2"]] * 2
    assert page.read_text().count("<polyline") == 4
    Path("gap/run.json").unlink()
    assert camx("report", "gap") == 0, "killed before the end"
    assert 'class="tag">interrupted' in page.read_text()
    assert camx("train-gap", images, *TINY, "--epochs", 1, "-o", "gap", "-q", "--overwrite", "--no-report") == 0
    assert not page.exists(), "the page of the replaced training"
    assert camx("activations", images, *TINY, "-o", "maps", "-q") == 0
    assert camx("report", "maps") == 0
    details = content(Path("maps/report/index.html"))["parts"]["more-0"]
    assert {one["kind"] for one in details} == {"sheet"}
    assert details[0]["maps"][0]["files"] == {"sheet": "../activations/cat/0.jpg.png"}


def test_a_page_that_is_no_longer_so_goes(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ("explain", images, *TINY)
    assert camx(*argv, "--limit", 3) == 0
    page = Path("camx-out/report/index.html")
    assert page.exists()
    assert capsys.readouterr().out.splitlines()[-2:] == ["camx-out/predictions.csv", str(page)]
    assert camx(*argv, "--limit", 5, "--no-report") == 0
    assert not page.exists()
    assert capsys.readouterr().out.splitlines()[-1] == "camx-out/predictions.csv"


def test_a_file_is_no_output_folder(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("taken").write_text("")
    assert camx("explain", images, *TINY, "-o", "taken") == 2
    assert "'taken' is not a folder. Choose another --output." in capsys.readouterr().err
