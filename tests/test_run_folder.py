"""The reader of run folders: rows and records of every command, or an error."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cam_cli.errors import CamxError
from cam_cli.outputs import epoch_rows
from cam_cli.outputs.record import SCHEMA
from cam_cli.outputs.rows import parse_row
from cam_cli.outputs.run_folder import RunFolder

from .conftest import TINY
from .damaged import DAMAGED, EXPLAINED, mapped, row, written
from .run_folder_support import ROOT

Camx = Callable[..., int]


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_line_counts_as_never_written(what: str, tmp_path: Path) -> None:
    lines = [row("b.jpg", index=5), DAMAGED[what], row("c.jpg", index=2)]
    run = RunFolder.read(str(written(tmp_path, lines, EXPLAINED)))
    assert [one["image"] for one in run.rows()] == ["c.jpg", "b.jpg"], "in input order"
    assert run.damaged == 1
    assert "1 damaged line is left out" in run.problems()[0]


def test_damage_leaves_the_earlier_row_of_an_image(tmp_path: Path) -> None:
    lines = [row(label="first"), row(label=7)]
    (found,) = RunFolder.read(str(written(tmp_path, lines, EXPLAINED))).rows()
    assert found["label"] == "first"


@pytest.mark.parametrize("name", ["20", "21", "23", "24", "25", "27", "28", "29", "31"])
def test_journals_that_broke_version_0_1_0(name: str, data: Path, tmp_path: Path) -> None:
    (path,) = (data / "faults").glob(f"{name}_*.jsonl")
    lines = path.read_text().splitlines()
    run = RunFolder.read(str(written(tmp_path, lines, EXPLAINED)))
    read = list(run.rows())
    assert len(read) + run.damaged == len(lines)
    assert run.damaged == (0 if name in ("20", "21") else 1)
    for one in read:
        assert not run.has(one["thumb"]), "there are no pictures here, wherever the names lead"


def test_a_torn_last_line_is_no_damage(tmp_path: Path) -> None:
    written(tmp_path, [row()], EXPLAINED)
    with open(tmp_path / "manifest.jsonl", "ab") as file:
        file.write(b'{"image": "b')
    run = RunFolder.read(str(tmp_path))
    assert [one["image"] for one in run.rows()] == ["a.jpg"]
    assert run.damaged == 0


def test_a_row_may_have_fields_of_a_later_version(tmp_path: Path) -> None:
    later = row(attributes={"site": "A"}, label_prob=0.25, label_rank=2, labels=["cat", "dog"], sha256="0" * 64, brightness=0.5,
                frame=[-3.5, 0, 7.5, 4], unheard_of={"x": 1})  # fmt: skip
    later["maps"][0] |= {"grid": [7, 7], "component": {"threshold": 0.5, "box": [0, 0, 1, 1]}, "signed": 3}
    later["maps"][0]["sketch"]["signed"] = True
    run = RunFolder.read(str(written(tmp_path, [later], EXPLAINED)))
    assert list(run.rows()) == [later]
    assert run.damaged == 0
    for wrong in ({"label_rank": 0}, {"sha256": "0"}, {"attributes": {"site": 1}}, {"brightness": 2}):
        assert parse_row(json.dumps({**later, **wrong}).encode()) is None, wrong


def test_rows_of_some_images(tmp_path: Path) -> None:
    lines = [row("a"), row("b"), row("a", label="again")]
    run = RunFolder.read(str(written(tmp_path, lines, EXPLAINED)))
    assert [(one["image"], one["label"]) for one in run.rows(["b", "none", "a"])] == [("b", ""), ("a", "again")]


def test_a_folder_of_every_command(camx: Camx, images: Path) -> None:
    assert camx("explain", images, *TINY, "-q") == 0
    run = RunFolder.read("camx-out")
    assert (run.command, run.state, run.complete, run.inputs) == ("explain", "finished", True, str(images))
    assert len(list(run.rows())) == len(run.images) == 7
    assert run.record["schema"] == SCHEMA == 1
    assert next(iter(json.loads(Path("camx-out/run.json").read_text()))) == "schema"
    assert all(run.has_picture(one["maps"][0]["overlay"]) for one in run.rows())
    assert camx("activations", images, *TINY, "-q", "-o", "maps") == 0
    assert RunFolder.read("maps").command == "activations"
    assert len(list(RunFolder.read("maps").rows())) == 7
    assert camx("train-gap", images, *TINY, "-q", "-o", "gap", "--epochs", 2) == 0
    gap = RunFolder.read("gap")
    assert (gap.command, gap.complete, [one["epoch"] for one in gap.metrics]) == ("train-gap", True, [1, 2])
    assert gap.metrics[0].keys() == epoch_rows.EpochRow.__annotations__.keys()
    assert gap.record["schema"] == SCHEMA
    for folder in (run, gap):
        assert folder.wrong_fields == ()
        assert folder.problems() == []


def test_a_folder_of_0_1_0_has_no_schema(tmp_path: Path) -> None:
    run = RunFolder.read(str(written(tmp_path, [row()], EXPLAINED)))
    assert "schema" not in run.record
    assert run.complete


@pytest.mark.parametrize(
    ("name", "command", "state", "images", "epochs"),
    [
        ("explain", "explain", "finished", 5, []),
        ("activations", "activations", "finished", 2, []),
        ("sharded", "explain", "finished", 9, []),
        ("killed", "explain", "running", 4, []),
        ("interrupted", "explain", "interrupted", 4, []),
        ("trained", "train-gap", "finished", 0, [1, 2]),
        ("half-trained", "train-gap", "interrupted", 0, [1]),
    ],
)
def test_folders_made_by_0_1_0(name: str, command: str, state: str, images: int, epochs: list[int]) -> None:
    run = RunFolder.read(str(ROOT / "tests" / "fixtures" / "0.1.0" / name))
    assert (run.command, run.state, run.complete) == (command, state, state == "finished")
    assert len(list(run.rows())) == len(run.images) == images
    assert [one["epoch"] for one in run.metrics] == epochs
    assert run.problems() == []
    for found in run.rows():
        for one in found.get("maps", ()):
            assert all(
                run.has(str(value)) for kind, value in one.items() if kind in ("overlay", "heatmap", "array", "sheet")
            )


def test_a_folder_of_a_later_version_is_refused(tmp_path: Path) -> None:
    written(tmp_path, [row()], {**EXPLAINED, "schema": 2})
    with pytest.raises(CamxError, match=r"written by a later camx \(schema 2; this one reads 1\).*pip install -U camx"):
        RunFolder.read(str(tmp_path))


@pytest.mark.parametrize(
    ("record", "command"),
    [
        (None, "explain"),
        ("{", "explain"),
        ("[]", "explain"),
        ({}, "explain"),
        ({"fingerprint": 7}, "explain"),
        ({"fingerprint": {"command": 7}}, "explain"),
        ("[" * 99999, "explain"),
    ],
)
def test_a_lost_record_is_no_lost_run(record: object, command: str, tmp_path: Path) -> None:
    run = RunFolder.read(str(written(tmp_path, [row()], record)))
    assert (run.command, run.state, run.complete) == (command, "interrupted", False)
    shown = mapped(channels={"mean": [1], "maximum": [1], "energy": [1], "dead": [1]})
    assert RunFolder.read(str(written(tmp_path, [shown], record))).command == "activations"


@pytest.mark.parametrize(
    ("make", "said"), [(False, "There is no folder"), (True, "holds no results of `camx explain`")]
)
def test_a_folder_without_a_run_is_refused(tmp_path: Path, make: bool, said: str) -> None:
    if make:
        written(tmp_path / "x", ["{}"], {})
    with pytest.raises(CamxError, match=said):
        RunFolder.read(str(tmp_path / "x"))


def test_wrong_fields_of_the_record_are_left_out_and_named(tmp_path: Path) -> None:
    record = {
        "fingerprint": {"command": "explain", "rendering": {"colormap": 7, "alpha": 0.5}, "top_k": 0, "kept": {"x": 1}},
        "state": "finished",
        "plan": {"model": 7, "layer": "l"},
        "seconds": "long",
        "stages": {"decode": {"seconds": "x", "images_per_second": None}},
        "confusion": [[1, 2]],
        "classes": ["a", "b"],
        "accuracy": None,
    }
    run = RunFolder.read(str(written(tmp_path, [row()], record)))
    assert run.record == {
        "fingerprint": {"command": "explain", "rendering": {"alpha": 0.5}, "kept": {"x": 1}},
        "state": "finished",
        "plan": {"layer": "l"},
        "classes": ["a", "b"],
        "accuracy": None,
    }
    wrong = ["fingerprint.rendering.colormap", "fingerprint.top_k", "plan.model", "seconds", "stages", "confusion"]
    assert list(run.wrong_fields) == wrong
    assert len(run.problems()) == len(wrong)


def test_the_rows_of_shards_are_one_run(camx: Camx, images: Path) -> None:
    assert camx("explain", images, *TINY, "-q", "-o", "whole") == 0
    assert camx("explain", images, *TINY, "-q", "--shard", "1/2") == 0
    half = RunFolder.read("camx-out")
    assert (half.command, half.complete) == ("explain", False)
    assert 0 < len(half.images) < 7
    shutil.copytree("camx-out", "other")
    assert camx("explain", images, *TINY, "-q", "--shard", "2/2", "-o", "other") == 0
    shutil.copytree("camx-out/parts/1-of-2", "other/parts/1-of-2", dirs_exist_ok=True)
    before = RunFolder.read("whole").images
    assert RunFolder.read("other").images == before
    # The row of an image is the last one in its part; without one, the last one in OUT.
    part = Path("camx-out/parts/1-of-2/manifest.jsonl")
    lines = [json.loads(line) for line in part.read_text().splitlines()]
    written(Path("camx-out"), [{**lines[0], "label": "of OUT"}, row("z.jpg", index=9)])
    read = {one["image"]: one for one in RunFolder.read("camx-out").rows()}
    assert read[lines[0]["image"]]["label"] == ""
    assert list(read)[-1] == "z.jpg"
    assert len(read) == len(lines) + 1


def test_a_run_in_shards_is_complete_when_all_of_them_are(tmp_path: Path) -> None:
    written(tmp_path, [], {**EXPLAINED, "state": "running"})
    for number, state in ((1, "finished"), (2, "interrupted")):
        written(tmp_path / "parts" / f"{number}-of-2", [row(str(number))], {**EXPLAINED, "state": state})
    assert not RunFolder.read(str(tmp_path)).complete
    written(tmp_path / "parts" / "2-of-2", [row("2")], EXPLAINED)
    assert RunFolder.read(str(tmp_path)).complete
    shutil.rmtree(tmp_path / "parts" / "1-of-2")
    assert not RunFolder.read(str(tmp_path)).complete


COLUMNS = "epoch,lr,train_loss,train_accuracy,val_loss,val_accuracy,seconds,best"


@pytest.mark.parametrize(
    ("text", "epochs", "damaged"),
    [
        (f"{COLUMNS}\n1,0.1,2,0.5,nan,0.25,1,1\n2,0.1,2,0.5,inf,0.25,1,0\n", [1, 2], 0),
        ("epoch,train_loss\nabc,def\n", [], 1),
        ("a,b\n1,2\n", [], 1),
        ("epoch,train_loss,val_loss,train_accuracy,val_accuracy\n-5,NaN,Infinity,1,1\n", [], 1),
        (f"{COLUMNS}\n1.5,0.1\n{'9' * 400},1\n3,0.1,,,1e300,7\n", [3], 2),
        (f"{COLUMNS}\n1,2,3,4,5,6,7,8,9,10\n", [1], 0),
        ("epoch\n\x00\n1\n", [1], 1),
        (f"epoch\n{'1' * 200_000}\n", [], 1),
        ("", [], 0),
    ],
)
def test_the_table_of_a_training(text: str, epochs: list[int], damaged: int, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    run = RunFolder.read(str(tmp_path))
    assert run.command == "train-gap"
    assert [one["epoch"] for one in run.metrics] == epochs
    assert run.damaged == damaged
    assert all(one.get("val_loss", 5) == 5 for one in run.metrics), "no nan, no inf, nothing out of its range"


def test_values_of_an_epoch(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(f"{COLUMNS}\n1,0.1,2,0.5,3,0.25,4,1\n")
    (one,) = RunFolder.read(str(tmp_path)).metrics
    assert one == {"epoch": 1, "lr": 0.1, "train_loss": 2, "train_accuracy": 0.5, "val_loss": 3, "val_accuracy": 0.25, "seconds": 4, "best": True}  # fmt: skip
