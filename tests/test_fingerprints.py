"""Golden fingerprints: each command line has exactly the `fingerprint` that camx 0.1.0 wrote into `run.json`.

Another fingerprint for the same command line means that camx refuses to continue the folders of 0.1.0. Therefore no line
of `tests/golden/fingerprints.json` is ever changed. After adding a case to a table below, add its line with

    UPDATE_GOLDEN=1 python -m pytest tests/test_fingerprints.py

A run takes half a second, so most lines are compared by a dry run in a folder whose `run.json` holds the golden
fingerprint: it fails unless the fingerprints agree. Lines of `WRITTEN` are compared with what a run writes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import picture

Camx = Callable[..., int]
GOLDEN = Path(__file__).parent / "golden" / "fingerprints.json"
OLD = Path(__file__).parent / "fixtures" / "0.1.0"

TIMM = (
    "--model timm/test_convnext --model-arg dims=(4,4,4,8) --model-arg num_classes=2 --checkpoint backbone.safetensors"
)
EXPLAIN = [
    "",
    "--method gradcam --method layercam --method gradcam++ --method gradcam --layer backbone.layer2 --layer auto",
    "--method cam --method saliency --seed 7 --top-k 3",
    "--target predicted --target top:3 --target cat --target 5 --target label --target cat --labels folder",
    "--evidence against --smooth flip",
    "--evidence both --smooth aug --colormap gray",
    "--multi-label --threshold 0.3",
    "--threshold 0.3 --class-names names.txt",
    "--save overlay,array,heatmap --size original --colormap viridis --alpha 0.25 --format webp",
    "--save heatmap --size model --format jpg",
    "--decode draft --size 300",
    "--precision bf16",
    "--image-size 96 --mean 0.5 --std 0.25,0.3,0.35 --crop-pct 0.8 --crop-mode border --interpolation bilinear",
    "--crop-mode squash",
    f"{TIMM} --image-size 64",
    "--model trained --method cam",
]
ACTIVATIONS = [
    "",
    "--sort index --max-channels 2 --layer backbone.layer1 --seed 7",
    "--decode draft --precision bf16 --image-size 96",
    f"{TIMM} --image-size 64",
]
LINES = [f"explain {words}".strip() for words in EXPLAIN] + [f"activations {words}".strip() for words in ACTIVATIONS]
WRITTEN = ["explain", "explain --decode draft --size 300", "activations"]
#: Other tests compare the command and the folder; names of classes are rendering.
UNCOUNTED = ("command", "inputs", "class_names")
#: Flags that no result depends on, each with a value other than its default.
WITHOUT_EFFECT = (
    "--limit 1 --exclude none.jpg --include *.png --labels folder --no-report --batch-size 2 --workers 2 --fail-fast "
    "--max-failures 1 --max-pixels 9999 --image-timeout 20 --no-color --quiet --json --shard 1/2"
)


@pytest.fixture
def here(camx: Camx) -> Path:
    """The working folder, with one image and the files of the command lines."""
    path = Path("images/cat/0.png")
    path.parent.mkdir(parents=True)
    picture().save(path)
    Path("names.txt").write_text("".join(f"class {number}\n" for number in range(12)))
    for name in ("backbone.safetensors", "trained/model.safetensors", "trained/training-state.pt"):
        Path(name).parent.mkdir(exist_ok=True)
        shutil.copy(OLD / name, name)
    return Path.cwd()


def call(camx: Camx, line: str, *more: str) -> int:
    command, *words = line.split()
    model = () if "--model" in words else ("--model", "demo")
    return camx(command, "images", *model, "--device", "cpu", "-o", "out", *words, *more)


def written(camx: Camx, line: str, here: Path) -> dict[str, Any]:
    """The fingerprint of a run without `inputs`, the folder of the images."""
    assert call(camx, line, "--workers", "1", "--quiet") == 0
    fingerprint: dict[str, Any] = json.loads(Path("out/run.json").read_text("utf-8"))["fingerprint"]
    assert fingerprint.pop("inputs") == str(here / "images")
    return fingerprint


def golden() -> dict[str, dict[str, Any]]:
    return json.loads(GOLDEN.read_text("utf-8")) if GOLDEN.exists() else {}


def put_into_folder(fingerprint: dict[str, Any], here: Path) -> None:
    """Makes `out` a folder of results with this fingerprint."""
    (here / "out").mkdir()
    record = {"fingerprint": {**fingerprint, "inputs": str(here / "images")}, "state": "running"}
    (here / "out" / "run.json").write_text(json.dumps(record), "utf-8")


@pytest.mark.parametrize("line", LINES)
def test_a_folder_with_the_golden_fingerprint_is_continued(camx: Camx, here: Path, line: str) -> None:
    if line not in golden() and os.environ.get("UPDATE_GOLDEN"):
        lines = {**golden(), line: written(camx, line, here)}
        text = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in sorted(lines.items()))
        GOLDEN.write_text(f"{{\n{text}\n}}\n", "utf-8")
        shutil.rmtree("out")
    put_into_folder(golden()[line], here)
    assert call(camx, line, "--dry-run") == 0


@pytest.mark.parametrize("line", WRITTEN)
def test_a_run_writes_the_golden_fingerprint(camx: Camx, here: Path, line: str) -> None:
    assert written(camx, line, here) == golden()[line]


def test_another_fingerprint_is_refused(camx: Camx, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise the dry runs above would compare nothing: every key of every golden line counts."""
    other = {list: ["other"], int: 99}
    before = golden()["explain"]
    changed = {key: other.get(type(before[key]), "other") for key in before if key not in UNCOUNTED}
    put_into_folder({**golden()["explain"], **changed}, here)
    assert call(camx, "explain", "--dry-run") == 2
    message = capsys.readouterr().err
    assert {key for key in changed if f"{key} (" in message or f"{key}." in message} == changed.keys()


def test_every_golden_line_is_tested() -> None:
    assert sorted(golden()) == sorted(LINES)


def test_flags_without_effect_on_results_are_not_in_the_fingerprint(camx: Camx, here: Path) -> None:
    put_into_folder(golden()["explain"], here)
    assert call(camx, f"explain {WITHOUT_EFFECT}", "--dry-run") == 0
