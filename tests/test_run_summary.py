"""The end of a run: failed images by name, JSON, and the summary and annotations of a GitHub job."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import TINY, picture

Camx = Callable[..., int]


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A good image, and twelve broken ones."""
    folder = tmp_path / "broken"
    folder.mkdir()
    picture(40, 30).save(folder / "good.png")
    for number in range(12):
        (folder / f"{number:02}%.png").write_bytes(b"no image")
    return folder


def test_the_first_ten_failed_images_are_named(camx: Camx, broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("explain", broken, *TINY) == 1
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("failed: ")]
    assert len(lines) == 10
    assert lines[0].startswith("failed: 00%.png: ")
    assert "not an image" in lines[0] or "cannot" in lines[0]
    assert "2 more failed: camx-out/predictions.csv" in err
    assert "failed: " not in out
    assert "1 of 13 images explained, 12 failed" in out


def test_quiet_prints_only_their_names(camx: Camx, broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("explain", broken, *TINY, "-q") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.partition(":")[0] for line in err.splitlines()] == [*["failed"] * 10, "2 more failed"]


def test_json_has_all_of_them_also_of_an_earlier_run(
    camx: Camx, broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        camx("explain", broken, *TINY, "--json")
        found = json.loads(capsys.readouterr().out)
        assert found["failed"] == 12
        assert sorted(one["image"] for one in found["failures"]) == [f"{number:02}%.png" for number in range(12)]
        assert all(one["reason"] for one in found["failures"])


def test_a_job_of_github_gets_annotations_and_a_summary(
    camx: Camx, broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    (broken / "a,b:c\n.png").write_bytes(b"")
    assert camx("explain", broken, *TINY) == 1
    err = capsys.readouterr().err
    assert sum(line.startswith("::error file=") for line in err.splitlines()) == 10
    # From the root of the repository, as GitHub knows the file.
    assert f"\n::error file={broken.name}/00%25.png,title=camx::" in err
    text = summary.read_text()
    assert text.startswith("## camx: 14 images\n\n* 1 of 14 images explained, 13 failed, 0 blank\n")
    assert "| failed image | reason |" in text
    assert text.count("\n| 0") + text.count("\n| a") == 10
    assert "3 more failed: camx-out/predictions.csv" in text


def test_names_cannot_end_an_annotation() -> None:
    from cli.run_summary import _annotation

    line = _annotation("a,b:c\n::error::x", "100 %\r\n::stop-commands::x")
    assert line == "::error file=a%2Cb%3Ac%0A%3A%3Aerror%3A%3Ax,title=camx::100 %25%0D%0A::stop-commands::x"


def test_a_summary_that_cannot_be_written_is_a_warning(
    camx: Camx, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "no" / "summary.md"))
    code = camx("explain", images, *TINY)
    assert "GITHUB_STEP_SUMMARY" in capsys.readouterr().err
    assert code in (0, 1)


def test_the_last_lines_are_the_paths_alone_unless_a_person_reads_them(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in 0.1.0: `$(camx explain … | tail -1)` is the page, also after lines of gates."""
    table, page = "camx-out/predictions.csv", "camx-out/report/index.html"
    argv = ("explain", images, *TINY, "--fail-if", "prob < 0")
    assert camx(*argv) == 0
    *before, gate, one, other = capsys.readouterr().out.splitlines()
    assert (one, other) == (table, page)
    assert gate.startswith("PASS prob < 0")
    assert len(before) == 2
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert camx(*argv) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [f"table:  {table}", f"report: {page}"]


def test_the_summary_goes_to_a_file_and_into_that_of_the_job(
    camx: Camx, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "step.md")
    (images / "cat" / "broken.jpg").write_bytes(b"")
    words = ("explain", images, *TINY, "--no-report", "--fail-if", "cam_area < 2", "--summary", "summary.md")
    assert camx(*words) == 1
    text = Path("summary.md").read_text("utf-8")
    assert text == Path("step.md").read_text("utf-8")
    lines = text.splitlines()
    assert lines[0] == "## camx: 8 images"
    assert any("broken" in line and "the file is empty" in line for line in lines)
    assert lines.index("| failed image | reason |") < next(n for n, line in enumerate(lines) if "❌ fail" in line)
    for command in (
        ("audit", "camx-out", "--by", "brightness", "--metric", "cam_area"),
        ("compare", "camx-out", "camx-out"),
    ):
        assert camx(*command, "--summary", "more.md") in (0, 1)
        text += Path("more.md").read_text("utf-8")
        assert Path("step.md").read_text("utf-8") == text


def test_a_condition_that_the_run_cannot_answer_comes_after_its_summary(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("explain", images, *TINY, "--no-report", "--fail-if", "accuracy < 0.9", "--summary", "summary.md")
    assert camx(*words) == 2
    out, err = capsys.readouterr()
    assert "7 of 7 images explained, 0 failed" in out
    assert "error: 'accuracy' needs labels that are classes of the network" in err
    assert "needs labels that are classes of the network" in Path("summary.md").read_text()
    assert camx(*words, "--json") == 2
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["skipped"]) == (7, 7)
    assert "'accuracy' needs labels" in found["error"]
