"""A tracker gets the figures of an audit and a comparison from their files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cam_cli.outputs.run_folder import RunFolder
from cam_cli.tracking.derived_log import derived_log
from cam_cli.tracking.tracker import Table

from .run_folders import NAMES, rights, run_folder
from .wandb_reader import read_run

Camx = Callable[..., int]
ROOT = Path(__file__).parents[1]


@pytest.fixture
def pair(camx: Camx, tmp_path: Path) -> tuple[Path, Path]:
    """Two runs, of which the new one has been audited and compared with the old one."""
    rows = {"=1": (100, 90), "10": (100, 70)}
    old, new = (
        run_folder(
            tmp_path / name,
            [row for site, right in rows.items() for row in rights(100, right[side], site, attributes={"site": site})],
            classes=list(NAMES),
        )
        for side, name in enumerate(("old", "new"))
    )
    assert camx("audit", new, "-q", "--fail-if", "accuracy_gap > 0.05 by site") == 1
    assert camx("compare", old, new, "-q", "--fail-if", "broke > 100") == 0
    return old, new


def test_tables_and_summary(pair: tuple[Path, Path]) -> None:
    values, summary, words = derived_log(RunFolder.read(str(pair[1])))
    assert words == []
    groups, gates, flips = values["audit/groups"], values["audit/gates"], values["compare/images"]
    assert isinstance(groups, Table)
    assert isinstance(gates, Table)
    assert isinstance(flips, Table)
    assert [row[:3] for row in groups.rows][:2] == [["site", "10", 100.0], ["site", "=1", 100.0]]
    assert gates.rows[0][:2] == ["accuracy_gap > 0.05 by site", "fail"]
    place = flips.columns.index("flip")
    assert [row[place] for row in flips.rows] == ["broke"] * 40
    assert summary["audit/verdict"] == "fail"
    assert summary["audit/accuracy"] == pytest.approx(0.8)
    assert (summary["compare/broke"], summary["compare/fixed"], summary["compare/verdict"]) == (40, 0, "pass")
    assert summary["compare/accuracy_a"] == 1.0
    assert summary["compare/map_iou_all"] == 1.0


def test_a_folder_without_them_logs_nothing_of_them(pair: tuple[Path, Path]) -> None:
    assert derived_log(RunFolder.read(str(pair[0]))) == ({}, {}, [])


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"overall": 3, "gates": []}', '{"overall": {}, "gates": {}, "verdict": 1}']
)
def test_a_damaged_summary_is_left_out_with_a_warning(pair: tuple[Path, Path], text: str) -> None:
    (pair[1] / "audit" / "summary.json").write_text(text)
    values, summary, words = derived_log(RunFolder.read(str(pair[1])))
    if '"verdict": 1' not in text:
        assert len(words) == 1
        assert "audit/" in words[0]
        assert not any(key.startswith("audit/") for key in (*values, *summary))
    assert "compare/gates" in values


@pytest.mark.slow
def test_push_logs_them_to_wandb(pair: tuple[Path, Path], tmp_path: Path) -> None:
    own = {"WANDB_CONFIG_DIR": str(tmp_path / "settings"), "NETRC": str(tmp_path / "netrc"), "WANDB_MODE": "offline"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")} | own
    argv = ["push", str(pair[1]), "--wandb", "--wandb-project", "p", "-q"]
    code = "import sys; from cli.main import run; sys.exit(run(sys.argv[1:]))"
    subprocess.run([sys.executable, "-c", code, *argv], cwd=ROOT, env=environment, check=True)
    (folder,) = (pair[1] / "wandb").glob("offline-run-*")
    logged = read_run(folder)
    assert logged.summary["audit/verdict"] == "fail"
    assert logged.summary["compare/broke"] == 40
    assert logged.exit_code == 0
    assert {"audit/groups.csv", "compare/images.csv"} <= {*logged.files("results")}
