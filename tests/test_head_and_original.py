"""The new head compared with the network's own over the validation images, as in docs/train-gap.md."""

from __future__ import annotations

import csv
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from .training_support import make_data

ROOT = Path(__file__).parents[1]
MODEL = "--model test_resnet --checkpoint own.safetensors --image-size 64"


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images of two classes, and a network of three classes that knows both."""
    monkeypatch.chdir(tmp_path)
    Path("names.txt").write_text("blue\nred\ngreen\n")
    torch.manual_seed(0)
    save_file(timm.create_model("test_resnet", num_classes=3).state_dict(), "own.safetensors")
    return make_data(tmp_path / "photos", {"blue": 3, "red": 3}, {"blue": 2, "red": 2})


def test_the_documented_command_compares_both_heads(camx: Callable[..., int], photos: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert camx("train-gap", photos, *MODEL.split(), "--device", "cpu", "--epochs", 1) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "report: camx-gap/report/index.html"
    assert Path("camx-gap/report/index.html").exists()
    page = (ROOT / "docs" / "train-gap.md").read_text()
    (documented,) = re.findall(r"^(camx explain .* && camx compare .*)$", page, re.MULTILINE)
    for command in documented.replace("--model mobilenetv2_100", f"{MODEL} --class-names names.txt").split(" && "):
        words = shlex.split(command)[1:]
        device = ["--device", "cpu"] if words[0] == "explain" else []
        assert camx(*words, *device) == 0, command
    (found,) = Path().glob("*/compare/summary.json")
    assert json.loads(found.read_text())["images"] == 4
    with open(found.with_name("images.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} == {"blue", "red"}
    assert {row["flip"] for row in rows} <= {"same", "broke", "fixed", "changed"}
    shared = [float(row["map_iou20"]) for row in rows if row["map_iou20"]]  # empty if a map has nothing positive
    assert all(0 <= value <= 1 for value in shared)


def test_a_training_without_a_report_leaves_none(camx: Callable[..., int], photos: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert camx("train-gap", photos, *MODEL.split(), "--device", "cpu", "--epochs", 1, "--no-report") == 0
    assert "report" not in capsys.readouterr().out
    assert not Path("camx-gap/report").exists()
