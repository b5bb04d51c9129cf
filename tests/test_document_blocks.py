"""Blocks of the documents that need a run or another package: results.md, recipes.md, CONTRIBUTING.md, README.md."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from cli.bind import flags_of
from cli.main import run

ROOT = Path(__file__).parents[1]
DIGITS = re.compile(r"\d[\d.,]*")


def blocks(page: str, language: str) -> list[str]:
    """The blocks of a page in one language; "" for plain ones."""
    text = (ROOT / page).read_text("utf-8")
    return [
        block for name, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE) if name == language
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images in the class folders of `images/`, and their run in `camx-out/` with heatmaps and COCO boxes."""
    path = tmp_path_factory.mktemp("documents")
    for name in ("cat", "dog"):
        (path / "images" / name).mkdir(parents=True)
        shutil.copy(ROOT / "sample_images" / f"{name}.jpg", path / "images" / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        assert (
            run(["explain", "images", "--model", "demo", "--save", "overlay,heatmap", "--labels", "folder", "-q"]) == 0
        )
        assert run(["export", "camx-out", "--format", "coco", "-q"]) == 0
    return path


def test_the_reader_of_results_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    (block,) = blocks("docs/results.md", "python")
    exec(compile(block, "results.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == [
        "explain finished True 0",
        "cat/cat.jpg ok ['overlays/cat/cat.jpg.png']",
        "dog/dog.jpg ok ['overlays/dog/dog.jpg.png']",
    ]


def test_the_lines_for_fiftyone_name_files_that_a_run_leaves(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without FiftyOne: stand-ins for its objects look for the files."""
    saved: list[str] = []

    class Sample(dict[str, Any]):
        def __init__(self, path: Path) -> None:
            super().__init__()
            self.filepath = str(path)

        def save(self) -> None:
            saved.append(self["heatmap"])

    def dataset(*, dataset_type: str, data_path: str, labels_path: str) -> list[Sample]:
        content = yaml.safe_load(Path(labels_path).read_text())
        assert dataset_type == "coco"
        assert content["annotations"]
        return [Sample(Path(data_path, image["file_name"]).resolve(strict=True)) for image in content["images"]]

    def heatmap(*, map_path: str) -> str:
        assert Path(map_path).exists()
        return map_path

    fiftyone = SimpleNamespace(
        Dataset=SimpleNamespace(from_dir=dataset),
        types=SimpleNamespace(COCODetectionDataset="coco"),
        Heatmap=heatmap,
        launch_app=lambda shown: saved.append(f"{len(shown)} shown"),
    )
    monkeypatch.setitem(sys.modules, "fiftyone", fiftyone)  # type: ignore[arg-type] - a stand-in
    monkeypatch.chdir(folder)
    (block,) = blocks("docs/recipes.md", "python")
    exec(compile(block, "recipes.md", "exec"), {})
    assert saved == ["camx-out/heatmaps/cat/cat.jpg.png", "camx-out/heatmaps/dog/dog.jpg.png", "2 shown"]


def test_the_command_of_the_guide_for_contributors_runs(folder: Path, tmp_path: Path) -> None:
    (block,) = blocks("CONTRIBUTING.md", "python")
    file = tmp_path / "shortened_audit.py"
    file.write_text(block)
    spec = importlib.util.spec_from_file_location("cli.shortened_audit", file)
    assert spec
    assert spec.loader
    module: ModuleType = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)
        spec.loader.exec_module(module)
        names = {option.name for option in flags_of(module.COMMAND.run)}
        assert {"output", "by", "fail-if", "junit", "config", "json"} <= names
        assert module.audit(module.AuditJob(str(folder / "camx-out"), junit=str(tmp_path / "gates.xml"))) == 0
    assert (folder / "camx-out" / "audit" / "groups.csv").exists()


def test_the_readme_shows_what_its_first_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Except figures and labels of paths: seconds differ, and only a terminal gets labels."""
    (tmp_path / "sample_images").symlink_to(ROOT / "sample_images")
    monkeypatch.chdir(tmp_path)
    assert run(["explain", "sample_images", "--model", "demo"]) == 0
    captured = capfd.readouterr()
    printed = " ".join(DIGITS.sub("0", captured.err + captured.out).split())
    shown, files = blocks("README.md", "")
    for line in shown.replace("with\ngradient", "with gradient").splitlines():
        text = re.sub(r"^(table|report): +", "", line)
        text = re.sub(r"bottleneck: \w+", "bottleneck:", text)
        assert DIGITS.sub("0", text) in printed, line
    for line in files.splitlines():
        assert next(tmp_path.glob(f"camx-out/{line.split()[0].replace('…', '*')}")), line


def test_the_job_of_github_gives_the_action_what_it_takes() -> None:
    inputs = set(yaml.safe_load((ROOT / "action.yml").read_text())["inputs"])
    (job,) = (yaml.safe_load(block) for block in blocks("docs/recipes.md", "yaml"))
    (step,) = (one for one in job if one["uses"].startswith("OWNER"))
    assert {"sources", "model"} <= set(step["with"]) <= inputs


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
)
def test_blocks_are_of_known_kinds_and_yaml_parses(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    assert set(re.findall(r"^```(\w+)$", text, re.MULTILINE)) <= {"bash", "console", "python", "yaml"}
    for block in blocks(page, "yaml"):
        assert yaml.safe_load(block)
