"""The package holds every folder, and the documents agree with the code."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from cli.main import run

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_package_list_is_the_folders() -> None:
    folders = {"cam_cli", "cam_cli.cli", "camx"}
    files = [*(ROOT / "cam_cli").rglob("__init__.py"), *(ROOT / "cam_cli" / "report" / "page").rglob("*.*")]
    folders |= {".".join(p.parent.relative_to(ROOT).parts) for p in files}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == folders


def test_no_file_spells_the_installed_name_of_the_command_line() -> None:
    for path in [*(ROOT / "cli").glob("*.py"), *(ROOT / "cam_cli").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        if path != Path(__file__):
            assert "cam_cli" + ".cli" not in path.read_text(), path


def test_the_documents_name_every_flag(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    readme = (ROOT / "README.md").read_text() + (ROOT / "docs" / "methods.md").read_text()
    run(["explain", "--help"])
    for flag in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}:
        assert f"`{flag}" in readme or f" {flag}" in readme, flag


def test_links_in_the_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), (document.name, target)
