"""`camx doctor`: facts for a bug report, without secrets."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from cam_cli import doctor

Camx = Callable[..., int]


def test_versions_devices_and_decoders_are_shown(camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("doctor") == 0
    shown = capsys.readouterr().out
    assert f"torch        {torch.__version__.partition('+')[0]}" in shown
    assert "  cpu" in shown
    assert "  PNG" in shown
    assert shown.endswith("No problems found.\n")


def test_scripts_read_the_same_as_json_without_secrets(
    camx: Camx, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert camx("doctor", "--json") == 0
    text = capsys.readouterr().out
    found = json.loads(text)
    assert found["problems"] == []
    assert found["W&B"]["mode"] == found["environment"]["WANDB_MODE"] == "offline"
    assert found["W&B"]["key"] == "WANDB_API_KEY is set"
    assert "0123456789abcdef" not in text
    assert "hf_secret" not in text


def test_a_package_that_cannot_be_imported_is_a_problem(
    camx: Camx, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.import_module

    def broken(name: str, package: str | None = None) -> ModuleType:
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist")
        return real(name, package)

    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    assert camx("doctor") == 1
    shown = capsys.readouterr().out
    assert "problem: torch, torchvision or timm cannot be imported (operator torchvision::nms does not exist)." in shown
    assert "No problem" not in shown


def test_extras_and_caches_say_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "models--a").mkdir()
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))
    monkeypatch.setattr(doctor, "EXTRAS", {"new": ("timm", "no-such-package")})
    sections = doctor.diagnose().sections
    assert sections["extras"] == {"new": "missing: no-such-package"}
    assert sections["caches"]["hub"] == f"{tmp_path / 'hub'} (1 entry)"
    assert sections["caches"]["torchvision"].endswith("(does not exist)")


def test_the_extras_are_those_of_the_package() -> None:
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    for name, parts in doctor.EXTRAS.items():
        line = next(line for line in text.splitlines() if line.startswith(f"{name} = ["))
        assert all(part in line for part in parts), name
