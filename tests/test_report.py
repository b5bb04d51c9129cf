"""The report as files: what it holds, what it leaves out, and that nothing in it is ever run but its own script."""

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
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cam_cli.errors import CamxError
from cam_cli.outputs.folder import locked_folder
from cam_cli.outputs.run_folder import RunFolder
from cam_cli.report import build, build_report, comparison
from cam_cli.report.chart import charts
from cam_cli.report.chunks import script_safe
from cam_cli.report.classes import CELLS, Classes, MeanMaps, areas
from cam_cli.report.failures import LISTED, Failures
from cam_cli.report.page import SCRIPTS, STYLES, _joined, policy
from cam_cli.report.pictures import _BUDGET, embedded, link

from .conftest import TINY, picture

Camx = Callable[..., int]
OUT = Path("camx-out")
PAGE = OUT / "report" / "index.html"


def content(page: Path = PAGE) -> dict[str, Any]:
    """The data of a page."""
    text = page.read_text()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def written(folder: Path, rows: list[dict[str, Any]], command: str = "explain") -> Path:
    """A finished run with these rows."""
    with locked_folder(str(folder)) as out:
        out.begin({"command": command})
        out.append(rows)
    return folder


def row(image: str, **more: Any) -> dict[str, Any]:
    values = base64.b64encode(bytes([0, 255, 0, 0])).decode()
    shown = {"method": "gradcam", "layer": "l", "target_index": 3, "target_name": "cat", "target_prob": 0.5, "peak": 1.0, "area": 0.25,
             "center_x": 0.5, "center_y": 0.5, "border": 0.1, "entropy": 0.5, "box": [0, 0, 1, 1], "sketch": {"width": 2, "height": 2, "values": values}}  # fmt: skip
    top = [{"index": 3, "name": "cat", "prob": 0.5}]
    return {
        "image": image,
        "index": 0,
        "status": "ok",
        "error": "",
        "label": "",
        "width": 4,
        "height": 4,
        "top": top,
        "maps": [shown],
        **more,
    }


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
    assert len(text.encode()) - len(data.encode()) < 100_000


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
        of_both = {*names, *(comparison.SCRIPTS if tag == "script" else comparison.STYLES)}
        there = {path.relative_to(folder / part).with_suffix("").as_posix() for path in (folder / part).rglob("*.*")}
        assert of_both == there, "every file has its place in a page"
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


def test_classes_and_what_labels_mean() -> None:
    classes = Classes()
    assert [
        classes.place(7, "crane"),
        classes.place(9, "crane"),
        classes.place(7, "crane"),
        classes.place(2, "tabby, tabby cat"),
    ] == [0, 1, 0, 2]
    right = row("a", label="Vogel", correct=False, label_index=9)
    labels = ["", "tabby cat", "7", "unknown", "tabby cat"]
    assert [classes.label(row("x", label=text)) for text in labels] + [classes.label(right)] == [-1, 0, 1, 2, 0, 3]
    tables = classes.tables()
    assert tables["classes"] == ["crane (7)", "crane (9)", "tabby, tabby cat", "unknown"]
    assert tables["labels"] == [2, 0, 3, 1]


def test_mean_maps_average_over_relative_positions() -> None:
    for cells in (1, 5, 18, 24):
        assert np.allclose(areas(cells).sum(1), 1)
        assert np.allclose(areas(cells) @ np.ones(cells), 1)
    means = MeanMaps()
    for width, height, correct in ((24, 12, True), (12, 24, False), (6, 6, None)):
        sketch = np.zeros((height, width), np.uint8)
        sketch[: height // 2, : width // 2] = 255
        values = base64.b64encode(sketch.tobytes()).decode()
        means.add({"method": "m", "sketch": {"width": width, "height": height, "values": values}}, 4, correct)
    means.add({"method": "m"}, 4, True)
    part = means.as_part()["m"]
    assert part["4"] == part["-1"]
    for (count, peak, packed, signed), expected in zip(part["4"], (3, 1, 1)):
        assert (count, peak, signed) == (expected, 1.0, False)
        cells = np.frombuffer(base64.b64decode(packed), np.uint8).reshape(CELLS, CELLS)
        assert (cells[:12, :12] == 255).all()
        assert cells.sum() == 144 * 255


def sketch(*values: int, signed: bool = False) -> dict[str, Any]:
    """A sketch of one line of cells."""
    packed = base64.b64encode(bytes(values)).decode()
    return {"width": len(values), "height": 1, "values": packed} | ({"signed": True} if signed else {})


def test_mean_maps_keep_signs_unless_a_sketch_has_none() -> None:
    means = MeanMaps()
    means.add({"method": "m", "sketch": sketch(1, 255, signed=True)}, 4, True)
    means.add({"method": "m", "sketch": sketch(1, 128, signed=True)}, 4, False)
    means.add({"method": "m", "sketch": sketch(255, 0)}, 5, False)
    part = means.as_part()["m"]

    def mean(target: int, group: int) -> tuple[int, float, list[int], bool]:
        count, peak, packed, signed = part[str(target)][group]
        cells = np.frombuffer(base64.b64decode(packed), np.uint8).reshape(CELLS, CELLS)
        return count, peak, [int(cells[0, 0]), int(cells[0, -1])], signed

    assert mean(4, 0) == (2, -1.0, [1, round(128 + 127 / 2)], True), "half of the peak speaks for the class"
    assert mean(4, 1) == (1, -1.0, [1, 255], True)
    assert mean(5, 0) == (1, 1.0, [255, 0], False)
    assert mean(-1, 0) == (3, 1.0, [255, round(255 / 3)], False), "strengths, since the signs of one are not known"
    assert mean(-1, 1) == (1, -1.0, [1, 255], True)


def test_a_page_knows_which_maps_have_signs(tmp_path: Path) -> None:
    two_sided = row("b.jpg", index=1)
    two_sided["maps"] = [{**two_sided["maps"][0], "sketch": sketch(1, 255, signed=True)}]
    data = content(Path(build_report(str(written(tmp_path / "out", [row("a.jpg"), two_sided])))))
    assert data["signs"] == {"strength": 1, "signed": 1}
    assert data["parts"]["more-0"][1]["maps"][0]["sketch"]["signed"] is True
    assert len(base64.b64decode(data["twoSided"])) == 768


def test_failures_are_counted_by_reason() -> None:
    failures = Failures()
    for index in range(LISTED + 5):
        failures.add("truncated", str(index))
    failures.add("empty", "x")
    assert [(reason, count, len(names)) for reason, count, names in failures] == [
        ("truncated", LISTED + 5, LISTED),
        ("empty", 1, 1),
    ]


def test_pictures_are_made_to_fit_one_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.jpg", quality=95)
    names = []
    for index in range(60):
        os.link(tmp_path / "noise.jpg", tmp_path / f"{index}.jpg")
        names.append(f"{index}.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    assert (tmp_path / "noise.jpg").stat().st_size * 60 > _BUDGET
    addresses = embedded(RunFolder(str(tmp_path), "explain", {}), [*names, "broken.jpg", "missing.jpg"], 512)
    assert sorted(addresses) == sorted(names)
    assert sum(map(len, addresses.values())) < _BUDGET * 1.35


def test_curves_have_round_axes() -> None:
    metrics: list[Any] = [
        {"epoch": e, "train_loss": 2 / e, "val_loss": 3 / e, "train_accuracy": 0.7 + e / 50, "val_accuracy": 0.7}
        for e in (1, 2, 3)
    ]
    del metrics[1]["val_loss"]
    loss, accuracy = charts(metrics, 10, 3)
    assert [text for _, text in loss.x] == [str(e) for e in range(1, 11)]
    assert [epoch for _, _, epoch, _ in loss.lines["validation"]] == [1, 3]
    assert loss.lines["training"][1][3] == "1"
    assert accuracy.y[0][1] == "70 %"
    assert loss.best == loss.lines["training"][2][0]
    assert charts([], 10, None) == []


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
    assert camx("train-gap", images, *TINY, "--epochs", 1, "-o", "gap", "-q", "--overwrite") == 0
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
    assert capsys.readouterr().out.splitlines()[-1] == str(page)
    assert camx(*argv, "--limit", 5, "--no-report") == 0
    assert not page.exists()
    assert capsys.readouterr().out.splitlines()[-1] == "camx-out/predictions.csv"


def test_a_file_is_no_output_folder(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("taken").write_text("")
    assert camx("explain", images, *TINY, "-o", "taken") == 2
    assert "'taken' is not a folder. Choose another --output." in capsys.readouterr().err
