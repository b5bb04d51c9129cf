"""Options of a project: the file that camx finds, the keys that each command reads, and `camx config`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cam_cli.options import Option
from cli import discovery
from cli.bind import flags_of
from cli.discovery import discovered
from cli.main import COMMANDS

Camx = Callable[..., int]
Shown = Callable[..., dict[str, dict[str, Any]]]
ROOT = Path(__file__).parents[1]
PROJECT = '[project]\nname = "x"\n[tool.camx]\nalpha = 0.25\n'


@pytest.fixture
def shown(camx: Camx, capsys: pytest.CaptureFixture[str]) -> Shown:
    """Returns the output of `camx config show … --json --changed`."""

    def call(*argv: object) -> dict[str, dict[str, Any]]:
        code = camx("config", "show", *argv, "--json", "--changed")
        heard = capsys.readouterr()
        assert code == 0, heard.err
        found: dict[str, dict[str, Any]] = json.loads(heard.out)
        return found

    return call


def test_flags_read_the_file_of_the_project_from_the_folder_upwards(
    shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    assert shown() == {"alpha": {"value": "0.25", "origin": "pyproject.toml, line 4"}}
    (tmp_path / "camx.toml").write_text("alpha = 0.5\n")
    assert shown() == {"alpha": {"value": "0.5", "origin": "camx.toml, line 1"}}
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert shown()["alpha"]["origin"] == f"{tmp_path / 'camx.toml'}, line 1"
    monkeypatch.setenv("CAMX_ALPHA", "0.75")
    assert shown() == {"alpha": {"value": "0.75", "origin": "CAMX_ALPHA"}}
    monkeypatch.delenv("CAMX_ALPHA")
    assert shown("--isolated") == {}
    (tmp_path / "a" / ".git").mkdir()
    assert shown() == {}, "a repository is not told by what lies around it"


def test_a_named_file_is_the_only_one(shown: Shown, tmp_path: Path) -> None:
    (tmp_path / "camx.toml").write_text("alpha = 0.5\n")
    (tmp_path / "other.toml").write_text("top-k = 2\n")
    assert shown("--config", "other.toml") == {"top-k": {"value": "2", "origin": "other.toml, line 1"}}


def test_files_without_options_of_camx_and_those_of_others_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    for text in ("[tool.ruff]\n", "no toml", "tool = 3\n"):
        (tmp_path / "pyproject.toml").write_text(text)
        assert discovered(str(tmp_path)) is None
    os.mkfifo(tmp_path / "camx.toml")
    assert discovered(str(tmp_path)) is None
    (tmp_path / "camx.toml").unlink()
    (tmp_path / "camx.toml").write_text("alpha = 0.5\n")
    assert discovered(str(tmp_path)) == "camx.toml"
    monkeypatch.setattr(discovery.os, "geteuid", lambda: os.stat(tmp_path).st_uid + 1)
    owned = os.stat(tmp_path).st_uid == 0  # root's files are trusted
    assert discovered(str(tmp_path)) == ("camx.toml" if owned else None)


def test_one_file_serves_all_commands(
    camx: Camx, shown: Shown, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "camx.toml"
    file.write_text('model = "demo"\nby = ["class"]\n[explain]\ntop-k = 2\n[audit]\nmin-group = 3\n')
    assert {name: one["value"] for name, one in shown().items()} == {"model": "demo", "top-k": "2"}
    assert {name: one["value"] for name, one in shown("audit").items()} == {"by": "class", "min-group": "3"}
    file.write_text("top-kk = 2\n")
    for argv in (["config", "show"], ["explain", "x", "--model", "demo"], ["audit", "x"]):
        assert camx(*argv) == 2
        assert "unknown key 'top-kk'. Did you mean top-k" in capsys.readouterr().err
    file.write_text("[audit]\nalpha = 0.5\n")
    assert camx("audit", "x") == 2
    assert "unknown key 'alpha'" in capsys.readouterr().err


def test_a_run_names_the_config_file_that_it_reads(
    camx: Camx, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "camx.toml").write_text('model = "test_resnet"\nno-pretrained = true\nlimit = 1\n')
    assert camx("explain", images) == 0
    assert "loading test_resnet, options of camx.toml …" in capsys.readouterr().err


def test_config_prints_lines_that_a_config_file_may_hold(
    camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert camx("config", "show", "audit") == 0
    text = capsys.readouterr().out
    assert 'min-group = "30"' in text, "numbers are as they are typed"
    (tmp_path / "again.toml").write_text("\n".join(line for line in text.splitlines() if '= ""' not in line))
    assert camx("config", "show", "audit", "--config", "again.toml") == 0
    assert camx("config", "show", "audits") == 2
    assert "Did you mean audit" in capsys.readouterr().err


def schema(camx: Camx, capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    assert camx("config", "schema", *argv) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_schema_has_every_option_with_its_range(camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    of_explain = schema(camx, capsys, "explain")["properties"]
    declared: list[Option] = [
        one for one in flags_of(COMMANDS["explain"].run) if one.name not in ("config", "isolated")
    ]
    assert {one.name for one in declared} <= {*of_explain}
    assert of_explain["top-k"] == {
        "type": "integer", "minimum": 1, "default": 5, "description": "Classes per image in the table.",
    }  # fmt: skip
    assert of_explain["colormap"]["enum"][0] == "turbo"
    assert of_explain["no-pretrained"]["type"] == "boolean"
    assert {"const": "auto"} in of_explain["batch-size"]["anyOf"]
    whole = schema(camx, capsys)["properties"]
    assert whole["explain"]["properties"].keys() == of_explain.keys()
    assert {"model", "by", "audit"} <= {*whole}


@pytest.mark.extras
def test_every_preset_fits_the_schema(camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="checks the schema with another program")
    from cli.config import read_config

    whole = schema(camx, capsys)
    jsonschema.Draft202012Validator.check_schema(whole)
    validator = jsonschema.Draft202012Validator(whole)
    for path in sorted((ROOT / "configs").glob("*.toml")):
        assert not [error.message for error in validator.iter_errors(read_config(str(path)))], path.name
    wrong: list[dict[str, Any]] = [{"top-k": 0}, {"top-kk": 3}, {"colormap": "hot"}, {"explain": {"by": ["x"]}}]
    assert all(list(validator.iter_errors(one)) for one in wrong)
