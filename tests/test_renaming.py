"""Names of classes are rendering: new names on a finished folder need no forward of an image."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cam_cli.cams.engine.explainer import Explainer

from .conftest import TINY
from .test_class_names import class_folders
from .test_pixels import rows_of

Camx = Callable[..., int]
THREE = (*TINY, "--model-arg", "num_classes=3", "--size", 48, "--workers", 1, "--no-report")


@pytest.fixture
def explained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images that the network has explained."""
    seen: list[str] = []
    real = Explainer.explain

    def counted(self: Explainer, images: Sequence[Any]) -> Any:
        seen.extend(image.source.key for image in images)
        return real(self, images)

    monkeypatch.setattr(Explainer, "explain", counted)
    return seen


def names(*words: str) -> Path:
    path = Path("-".join(words) + ".txt")
    path.write_text("\n".join(words) + "\n")
    return path


def pictures() -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in Path("camx-out/overlays").rglob("*.png")}


def test_names_are_added_and_changed_without_a_forward(
    camx: Camx, tmp_path: Path, explained: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = class_folders(tmp_path / "data", "cat", "dog", "owl", "9")
    argv = ("explain", folder, *THREE, "--labels", "folder")
    assert camx(*argv) == 0
    assert len(explained) == 4
    before, drawn = rows_of(), pictures()
    assert all(one["name"] == str(one["index"]) for row in before.values() for one in row["top"])
    assert "label_index" not in before["cat/0.png"]
    explained.clear()
    # 0.1.0: "holds results of another run; different are class_names".
    assert camx(*argv, "--class-names", names("cat", "dog", "owl")) == 0
    assert explained == []
    now = rows_of()
    for key, row in now.items():
        assert [one["name"] for one in row["top"]] == [("cat", "dog", "owl")[one["index"]] for one in row["top"]]
        assert row["maps"][0]["target_name"] == ("cat", "dog", "owl")[row["maps"][0]["target_index"]]
        assert [one["prob"] for one in row["top"]] == [one["prob"] for one in before[key]["top"]]
        assert {k: v for k, v in row["maps"][0].items() if k != "target_name"} == {
            k: v for k, v in before[key]["maps"][0].items() if k != "target_name"
        }
    # Labels that name classes now are compared.
    assert [now[f"{name}/{place}.png"]["label_index"] for place, name in enumerate(("cat", "dog", "owl"))] == [0, 1, 2]
    assert all(
        row["correct"] == (row["top"][0]["index"] == row["label_index"]) for row in now.values() if "correct" in row
    )
    assert "correct" not in now["9/3.png"]
    assert pictures() == drawn
    record = json.loads(Path("camx-out/run.json").read_text("utf-8"))
    assert (record["classes"], record["skipped"], record["labelled"]) == (["cat", "dog", "owl"], 4, 3)
    assert "owl" in Path("camx-out/predictions.csv").read_text("utf-8")
    assert camx(*argv, "--class-names", names("owl", "cat", "dog")) == 0
    assert rows_of()["cat/0.png"]["label_index"] == 1
    assert explained == []
    size = Path("camx-out/manifest.jsonl").stat().st_size
    assert camx(*argv, "--class-names", names("owl", "cat", "dog")) == 0
    assert Path("camx-out/manifest.jsonl").stat().st_size == size
    assert camx(*argv) == 0
    assert explained == []
    rest = ("label", "correct", "label_index", "label_prob", "label_rank")
    assert [{k: v for k, v in row.items() if k not in rest} for row in rows_of().values()] == [
        {k: v for k, v in row.items() if k not in rest} for row in before.values()
    ]


def test_images_whose_map_another_class_would_have_now_are_explained_again(
    camx: Camx, tmp_path: Path, explained: list[str]
) -> None:
    folder = class_folders(tmp_path / "data", "cat", "dog")
    argv = ("explain", folder, *THREE, "--class-names")
    for more in (("--labels", "folder", "--target", "label"), ("--target", "cat")):
        out = ("-o", more[-1])
        assert camx(*argv, names("cat", "dog", "owl"), *more, *out) == 0
        explained.clear()
        # Only a class without a map gets a new name.
        assert camx(*argv, names("cat", "dog", "bat"), *more, *out) == 0
        assert explained == []
        assert camx(*argv, names("dog", "cat", "bat"), *more, *out) == 0
        assert len(explained) == 2
        assert {row["maps"][0]["target_name"] for row in rows_of(out[1]).values()} <= {"cat", "dog"}
        assert {row["maps"][0]["target_index"] for row in rows_of(out[1]).values()} == (
            {0, 1} if len(more) > 2 else {1}
        )


def test_several_predicted_classes_are_compared_with_new_labels(
    camx: Camx, tmp_path: Path, explained: list[str]
) -> None:
    folder = class_folders(tmp_path / "data", "cat", "dog", "owl")
    several = ("--labels", "folder", "--multi-label", "--threshold", 0.5)
    argv = ("explain", folder, *THREE, *several)
    assert camx(*argv) == 0
    explained.clear()
    named = ("--class-names", names("cat", "dog", "owl"))
    assert camx(*argv, *named) == 0
    assert explained == []
    assert camx(*argv, *named, "-o", "new") == 0
    for key, row in rows_of("new").items():
        assert {name: rows_of()[key].get(name) for name in ("label", "label_index", "correct")} == {
            name: row.get(name) for name in ("label", "label_index", "correct")
        }
    # If the row has too few classes to decide, the image is explained again.
    assert camx(*argv, "--top-k", 1, "-o", "few") == 0
    explained.clear()
    assert camx(*argv, "--top-k", 1, *named, "-o", "few") == 0
    unknown = {
        key for key, row in rows_of("few").items() if row["top"][0]["prob"] >= 0.5 and row.get("label_rank") != 1
    }
    assert set(explained) == unknown
    assert {key: row["correct"] for key, row in rows_of("few").items()} == {
        key: row["correct"] for key, row in rows_of("new").items()
    }


def named(word: str | list[str], out: str = "camx-out") -> bool:
    """Whether every row of a folder names the classes by the letters of a word."""
    rows = rows_of(out).values()
    return len(rows) == 7 and all(one["name"] == word[one["index"]] for row in rows for one in row["top"])


def test_shards_take_other_names_without_a_forward(
    camx: Camx, images: Path, explained: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ("explain", images, *THREE, "--labels", "folder", "--class-names")
    assert camx(*argv, names("a", "b", "c"), "--shard", "1/2") == 0
    assert camx(*argv, names("a", "b", "d"), "--shard", "2/2") == 0
    assert "shard 1/2 is with other class names (run it again: it only renames)" in " ".join(
        capsys.readouterr().err.split()
    )
    assert camx("merge", "camx-out") == 1
    explained.clear()
    assert camx(*argv, names("a", "b", "d"), "--shard", "1/2") == 0
    assert named("abd")
    # A merged folder: each shard writes the names into its own rows.
    assert camx(*argv, names("dog", "b", "cat"), "--shard", "1/2") == 0
    record = json.loads(Path("camx-out/run.json").read_text("utf-8"))
    assert record["state"] == "running"
    assert camx("merge", "camx-out") == 1
    assert "2/2 with other class names" in " ".join(capsys.readouterr().err.split())
    assert camx(*argv, names("dog", "b", "cat"), "--shard", "2/2") == 0
    assert named(["dog", "b", "cat"])
    record = json.loads(Path("camx-out/run.json").read_text("utf-8"))
    assert (record["state"], record["classes"], record["labelled"]) == ("finished", ["dog", "b", "cat"], 7)
    assert rows_of()["cat/0.jpg"]["label_index"] == 2
    # A run without shards takes over parts with any names.
    assert camx(*argv, names("a", "b", "c"), "--shard", "1/2") == 0
    assert camx(*argv, names("x", "b", "y")) == 0
    assert named("xby")
    assert explained == []


@pytest.mark.long
def test_several_devices_take_other_names(camx: Camx, images: Path) -> None:
    argv = ("explain", images, *THREE, "--device", "cpu,cpu", "--class-names")
    assert camx(*argv, names("a", "b", "c")) == 0
    before = pictures()
    assert camx(*argv, names("a", "b", "d")) == 0
    assert named("abd")
    assert pictures() == before


@pytest.mark.extras
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")
def test_a_run_on_ray_takes_other_names_and_labels(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    argv = ("explain", images, *THREE, "--engine", "ray", "--class-names")
    assert camx(*argv, names("a", "b", "c")) == 0
    before = pictures()
    capsys.readouterr()
    assert camx(*argv, names("dog", "b", "cat"), "--labels", "folder", "--json") == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 7
    assert named(["dog", "b", "cat"])
    assert rows_of()["cat/0.jpg"]["label_index"] == 2
    assert pictures() == before
