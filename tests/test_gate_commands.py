"""`camx audit` and `camx compare` as commands: exit codes, streams, files, configuration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cam_cli.audit import metrics as audit_metrics
from cam_cli.compare import metrics as compare_metrics
from cam_cli.outputs.folder import locked_folder

from .run_folders import csv_file, failed_row, image_row, rights, run_folder

Camx = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with two sites, 99 % and 80 % right."""
    rows = [*rights(200, 198, "a", attributes={"site": "a"}), *rights(200, 160, "b", attributes={"site": "b"})]
    return run_folder(tmp_path / "run", rows, classes=["cat", "dog", "fish"])


def changed(tmp_path: Path, broke: int) -> tuple[Path, Path]:
    """Two runs of 200 images; `broke` of them break."""
    names = ["cat", "dog", "fish"]
    old = run_folder(tmp_path / "old", rights(200, 200, "i"), classes=names)
    return old, run_folder(tmp_path / "new", rights(200, 200 - broke, "i"), classes=names)


def test_a_gate_that_fails_is_exit_code_1(camx: Camx, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("audit", run, "--by", "site", "--fail-if", "accuracy_gap > 0.04") == 1
    captured = capsys.readouterr()
    assert "FAIL accuracy_gap > 0.04 by site: accuracy by site: a 99.0 % (n = 200), b 80.0 % (n = 200)" in captured.out
    assert captured.err.strip().endswith("report/index.html")
    assert (run / "audit" / "groups.csv").is_file()


def test_a_gate_that_passes_or_warns_is_exit_code_0(camx: Camx, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("audit", run, "--fail-if", "accuracy_gap > 0.15", "--fail-if", "accuracy_gap > 0.5") == 0
    out = capsys.readouterr().out
    assert "WARN accuracy_gap > 0.15" in out
    assert "PASS accuracy_gap > 0.5" in out


def test_impossible_options_are_exit_code_2_with_flags(
    camx: Camx, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unfinished = run_folder(tmp_path / "half", [image_row("a.jpg")], state="running")
    for argv, words in {
        (
            "audit",
            run,
            "--fail-if",
            "acuracy_gap > 0.04",
        ): "--fail-if 'acuracy_gap > 0.04': there is no metric 'acuracy_gap'. Did you mean accuracy_gap",
        ("audit", run, "--by", "stie"): "no attribute 'stie'. Did you mean size, site",
        ("audit", run, "--positive", "cta"): "--positive 'cta'",
        ("audit", run, "--metric", "recal"): "--metric: there is no metric 'recal'",
        ("audit", run, "--bins", "site"): "--bins 'site' is invalid",
        ("audit", unfinished): "--partial",
        ("audit", run, "--prove", "nothing"): "--prove 'nothing'",
        ("audit", run, "--confidence", "95"): "confidence",
        ("audit", tmp_path): "no results",
        ("compare", run, unfinished): "is not finished (running)",
        ("compare", run, run, "--on", "nothing"): "--on 'nothing' is unknown",
        ("compare", run, run, "--fail-if", "flips > 0.1"): "'flips > 10%'",
        ("compare", run): "Missing argument",
    }.items():
        assert camx(*argv) == 2, argv
        captured = capsys.readouterr()
        assert words in " ".join(captured.err.split()), (argv, captured.err)
        assert captured.out == ""


def test_json_is_the_summary_and_quiet_is_silent(camx: Camx, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("audit", run, "--json", "--fail-if", "accuracy_gap > 0.04 by site") == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((run / "audit" / "summary.json").read_text())
    assert printed["gates"][0]["groups"] == ["a", "b"]
    assert camx("audit", run, "-q", "--fail-if", "accuracy_gap > 0.04 by site") == 1
    assert capsys.readouterr().out == ""


def test_junit_and_the_summary_of_a_github_job(
    camx: Camx, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert camx("audit", run, "-q", "--fail-if", "accuracy_gap > 0.04", "--junit", "a/gates.xml") == 1
    assert camx("compare", run, run, "-q", "--fail-if", "flips > 0", "--junit", "b.xml") == 0
    text = (tmp_path / "summary.md").read_text()
    assert "## camx audit: fail" in text
    assert "## camx compare: pass" in text
    assert 'failures="1"' in (tmp_path / "a" / "gates.xml").read_text()
    assert 'failures="0"' in (tmp_path / "b.xml").read_text()


def test_options_come_from_a_file_too(
    camx: Camx, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "audit.toml"
    config.write_text('by = "site"\nfail-if = ["accuracy_gap > 0.04", "accuracy < 0.5"]\nmin-group = 50\n')
    assert camx("audit", run, "--config", config) == 1
    out = capsys.readouterr().out
    assert "FAIL accuracy_gap > 0.04 by site" in out
    assert "PASS accuracy < 0.5" in out


def test_the_preset_works_as_it_stands(camx: Camx, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preset = Path(__file__).parents[1] / "configs" / "audit.toml"
    assert camx("audit", run, "--config", preset) == 1
    assert "FAIL accuracy_gap > 5% by site" in capsys.readouterr().out


def test_groups_bins_and_clusters_by_flags(camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_folder(tmp_path / "run", [image_row(f"{i}.jpg", 0, int(i % 10 == 0)) for i in range(100)])
    table = csv_file(tmp_path / "g.csv", [("image", "age", "patient"), *((f"{i}.jpg", i, i // 10) for i in range(100))])
    argv = ("audit", run, "--groups", table, "--bins", "age=30,60", "--by", "age", "--cluster", "patient")
    assert camx(*argv, "--min-group", "5", "--reference", "< 30", "--fail-if", "accuracy_gap > 0.5") == 0
    out = capsys.readouterr().out
    assert "30 – < 60" in out
    assert "PASS accuracy_gap > 0.5 by age" in out


def test_compare_writes_into_the_new_run_or_into_output(
    camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = changed(tmp_path, broke=20)
    assert camx("compare", old, new, "--fail-if", "accuracy_drop > 0.01") == 1
    out = capsys.readouterr().out
    assert "accuracy A 100.00%, B 90.00%: -10.00 points" in out
    assert (new / "compare" / "images.csv").is_file()
    assert camx("compare", old, new, "-o", tmp_path / "elsewhere", "--json") == 0
    assert json.loads(capsys.readouterr().out)["flips"]["broke"] == 20
    assert (tmp_path / "elsewhere" / "summary.json").is_file()
    assert not (old / "compare").exists()


def test_equivalence_that_is_not_shown_is_exit_code_1(camx: Camx, tmp_path: Path) -> None:
    old, new = changed(tmp_path, broke=2)
    assert camx("compare", old, new, "-q", "--equivalent-within", "0.05") == 0
    assert camx("compare", old, new, "-q", "--equivalent-within", "0.01") == 1


def test_an_audit_changes_no_row_and_continues_to_work(camx: Camx, run: Path) -> None:
    before = (run / "manifest.jsonl").read_bytes(), (run / "run.json").read_bytes()
    assert camx("audit", run, "-q") == 0
    assert camx("audit", run, "-q") == 0
    assert before == ((run / "manifest.jsonl").read_bytes(), (run / "run.json").read_bytes())


def test_shards_that_are_not_merged_are_read_and_a_missing_one_is_refused(
    camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run_folder(tmp_path / "out", [], state="running")
    for number in (1, 2):
        run_folder(out / "parts" / f"{number}-of-2", rights(60, 50, f"{number}"))
    assert camx("audit", out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["images"] == 120
    run_folder(out / "parts" / "2-of-2", [failed_row("x.jpg")], state="interrupted")
    assert camx("audit", out) == 2


def test_overwriting_a_run_removes_what_was_derived_from_its_rows(camx: Camx, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with locked_folder(str(out)) as folder:
        folder.begin({"command": "explain"})
        folder.append([image_row(f"{i}.jpg") for i in range(3)])
        folder.record({"fingerprint": {"command": "explain"}, "state": "finished"})
    assert camx("audit", out, "-q") == 0
    assert camx("compare", out, out, "-q") == 0
    (out / "audit" / "mine.txt").write_text("kept")
    with locked_folder(str(out)) as folder:
        folder.begin({"command": "explain", "seed": 1}, overwrite=True)
    left = sorted(path.relative_to(out).as_posix() for name in ("audit", "compare") for path in (out / name).rglob("*"))
    assert left == ["audit/mine.txt"]


def test_a_link_in_place_of_a_folder_is_not_followed(camx: Camx, run: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (run / "audit").symlink_to(elsewhere)
    assert camx("audit", run, "-q") == 2
    assert not list(elsewhere.iterdir())


def test_the_docs_list_every_metric_of_the_tables() -> None:
    text = (Path(__file__).parents[1] / "docs" / "audit.md").read_text()
    assert not [name for name in (*audit_metrics.METRICS, *compare_metrics.METRICS) if f"`{name}`" not in text]
