"""Packaging of camx: the GitHub action, step by step in a shell of this machine, and the Docker image."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import TINY

Camx = Callable[..., int]
ROOT = Path(__file__).parents[1]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS: dict[str, dict[str, Any]] = {step["name"]: step for step in ACTION["runs"]["steps"]}


def evaluated(text: str, inputs: dict[str, str]) -> str:
    """An expression `${{ inputs.NAME }}` with its value."""
    return re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: inputs[found[1]], text)


def explain_step(folder: Path, **given: str) -> subprocess.CompletedProcess[str]:
    """Runs the shell lines of the step like the runner, with the camx of this tree."""
    defaults = {name: str(spec.get("default", "")) for name, spec in ACTION["inputs"].items()}
    inputs = {**defaults, **{name.replace("_", "-"): value for name, value in given.items()}}
    program = folder / "bin" / "camx"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m cam_cli "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    step = STEPS["Explain"]
    variables = {name: evaluated(text, inputs) for name, text in step["env"].items()}
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=folder, env={**os.environ, **variables, "PATH": path, "GITHUB_OUTPUT": str(folder / "outputs")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_inputs_of_the_action_reach_no_shell_as_text() -> None:
    assert ACTION["runs"]["using"] == "composite"
    for step in STEPS.values():
        assert "${{" not in step.get("run", "")
        assert "run" not in step or step["shell"] == "bash"
    used = set(re.findall(r"inputs\.([\w-]+)", (ROOT / "action.yml").read_text()))
    assert used == {*ACTION["inputs"]}


@pytest.mark.slow
def test_the_action_explains_fails_and_goes_on(images: Path, tmp_path: Path) -> None:
    flags = "\n".join(["--no-pretrained", "--device cpu", "--no-report", "--exclude 6*"])
    done = explain_step(tmp_path, sources="images\n", model="test_resnet", args=flags)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "camx-out.summary.json").read_text())["ok"] == 6
    assert (tmp_path / "outputs").read_text().startswith("summary=camx-out.summary.json\nreport=")
    assert (tmp_path / "camx-out.junit.xml").exists()
    (images / "cat" / "bad $(touch owned).png").write_bytes(b"")
    gate = "cam_area < 2"
    done = explain_step(tmp_path, sources="images", model="test_resnet", args=flags, fail_if=gate)
    assert done.returncode == 1, done.stderr
    summary = json.loads((tmp_path / "camx-out.summary.json").read_text())
    assert (summary["skipped"], summary["failed"], summary["gates"][0]["verdict"]) == (6, 1, "fail")
    assert not (tmp_path / "owned").exists()


def test_the_preset_for_ci_goes_on(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["explain", images, *TINY, "--no-report", "--config", ROOT / "configs" / "ci.toml"]
    assert camx(*argv) == 0
    capsys.readouterr()
    assert camx(*argv) == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 7


def test_the_image_of_docker_holds_all_that_is_installed() -> None:
    text = (ROOT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (.+) /src", text, re.MULTILINE)
    sources = {name for line in copied for name in line.split()}
    assert {"pyproject.toml", "README.md", "LICENSE", "cam_cli", "camx", "cli"} == sources
    assert all((ROOT / name).exists() for name in sources)
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert let_in == sources
    needed = dict(re.findall(r'"(torch(?:vision)?)>=([\d.]+)"', (ROOT / "pyproject.toml").read_text()))
    assert dict(re.findall(r'"(torch(?:vision)?)>=([\d.]+)"', text)) == needed
