"""A run in shards: equal rows, a merge of the parts, and nothing lost or doubled."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cam_cli.distributed import merge
from cam_cli.errors import CamxError
from cam_cli.images.scheduler import chosen_shard
from cam_cli.images.shard import Shard
from cam_cli.outputs.shards import locked_shard_folder, merge_rows, parts_in
from cam_cli.pipeline.task import AnyTask

from .conftest import TINY, picture

Camx = Callable[..., int]

SLURM = {"SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "7", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_STEP": "2"}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("2/8", {"RANK": "0", "WORLD_SIZE": "3"}, Shard(2, 8)),
        ("auto", {"RANK": "0", "WORLD_SIZE": "3"}, Shard(1, 3)),
        ("auto", {**SLURM, "SLURM_ARRAY_TASK_ID": "5"}, Shard(3, 4)),
        ("auto/6", {"JOB_COMPLETION_INDEX": "5"}, Shard(6, 6)),
        ("auto", {"CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "2"}, Shard(1, 2)),
        ("auto", {"CI_NODE_INDEX": "2", "CI_NODE_TOTAL": "2", "RANK": "1", "WORLD_SIZE": "2"}, Shard(2, 2)),
        (None, {"RANK": "0", "WORLD_SIZE": "3"}, None),
    ],
)
def test_the_shard_is_given_or_taken_from_the_scheduler(
    text: str | None, environment: dict[str, str], expected: Shard | None
) -> None:
    assert chosen_shard(text, environment) == expected


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("0/8", {}, "no shard 0/8"),
        ("9/8", {}, "no shard 9/8"),
        ("some", {}, "Give i/n"),
        ("auto/x", {}, "auto/8"),
        ("auto", {}, "none of RANK"),
        ("auto", {"RANK": "0"}, "WORLD_SIZE is ''"),
        ("auto", {"JOB_COMPLETION_INDEX": "0"}, "auto/n"),
        ("auto/3", {"JOB_COMPLETION_INDEX": "3"}, "not one of 3"),
        ("auto", {**SLURM, "SLURM_ARRAY_TASK_ID": "4"}, "not one of 4"),
        ("auto", {"RANK": "0", "WORLD_SIZE": "2", "CI_NODE_INDEX": "1", "CI_NODE_TOTAL": "3"}, "1/2 by torchrun, 1/3"),
    ],
)
def test_a_shard_that_cannot_be_determined_is_an_error(text: str, environment: dict[str, str], message: str) -> None:
    with pytest.raises(CamxError, match=message):
        chosen_shard(text, environment)


@pytest.mark.parametrize(
    ("words", "device"),
    [
        (("--shard", "auto"), "cuda:1"),
        (("--shard", "auto", "--device", "cpu"), "cpu"),
        # Without `auto`, camx reads no shard from the environment.
        (("--shard", "1/3"), "auto"),
        ((), "auto"),
    ],
)
@pytest.mark.parametrize("command", ["explain", "activations"])
def test_under_torchrun_each_process_takes_its_device(
    command: str, words: tuple[str, ...], device: str, camx: Camx, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []

    def run_task(task: AnyTask, *_: object) -> None:
        taken.append(task.device)
        raise CamxError("enough")

    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.setattr(sys.modules["cam_cli.distributed.run"], "run_task", run_task)
    for name, value in {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "5"}.items():
        monkeypatch.setenv(name, value)
    assert camx(command, "pictures", "--model", "test_resnet", "--no-pretrained", *words) == 2
    assert taken == [device]


def test_a_shard_that_cannot_start_leaves_no_folder(camx: Camx, images: Path) -> None:
    words = ("explain", images, "--model", "test_resnet", "--no-pretrained", "--layer", "gone", "--shard", "1/2")
    assert camx(*words, "-o", "out") == 2
    assert not Path("out").exists()
    # A folder of the user and another part stay.
    Path("own").mkdir()
    assert camx(*words, "-o", "own") == 2
    assert list(Path("own").iterdir()) == []
    assert camx("explain", images, *TINY, "--shard", "2/2", "-o", "out") == 0
    rows = Path("out/parts/2-of-2/manifest.jsonl").read_bytes()
    assert camx(*words, "-o", "out") == 2
    assert Path("out/parts/2-of-2/manifest.jsonl").read_bytes() == rows


def test_every_image_has_one_shard_that_no_other_image_moves() -> None:
    keys = [f"a/{n}.jpg" for n in range(3000)] + ["\udcff.jpg"]
    shards = [Shard(number, 3) for number in (1, 2, 3)]
    held = Counter(str(shard) for key in keys for shard in shards if shard.holds(key))
    assert held.total() == len(keys)
    assert all(900 < count < 1100 for count in held.values())
    # Fixed values: a later version must not move images.
    assert [number for number in range(9) if Shard(1, 3).holds(f"a/{number}.jpg")] == [1, 2, 3, 4, 5, 6]


@pytest.fixture
def sharded(camx: Camx, images: Path) -> Callable[..., int]:
    """`camx explain` of the images in three shards."""

    def call(number: int, *argv: object, count: int = 3) -> int:
        return camx("explain", images, *TINY, "--labels", "folder", "--shard", f"{number}/{count}", *argv)

    return call


def lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_shards_merged_are_the_run_as_a_whole(sharded: Callable[..., int], camx: Camx, images: Path) -> None:
    (images / "broken.jpg").write_bytes(b"nothing")
    assert camx("explain", images, *TINY, "--labels", "folder", "-b", 1, "-o", "whole") == 1
    codes = [sharded(number, "-b", 1) for number in (2, 3, 1)]
    assert sorted(codes) == [0, 0, 1]
    assert Path("camx-out/predictions.csv").read_bytes() == Path("whole/predictions.csv").read_bytes()
    files = {name: {str(p.relative_to(name)) for p in Path(name).rglob("*")} for name in ("camx-out", "whole")}
    assert files["camx-out"] == files["whole"]
    totals = [json.loads(Path(name, "run.json").read_text()) for name in ("camx-out", "whole")]
    for key in ("state", "images", "ok", "failed", "blank", "labelled", "accuracy", "fingerprint"):
        assert totals[0][key] == totals[1][key], key
    assert [shard["shard"] for shard in totals[0]["shards"]] == ["1/3", "2/3", "3/3"]
    # No work is left, neither for a run without shards nor for the merge.
    before = Path("camx-out/manifest.jsonl").read_bytes()
    assert camx("explain", images, *TINY, "--labels", "folder", "--max-failures", "1") == 0
    assert camx("merge", "camx-out") == 0
    assert Path("camx-out/manifest.jsonl").read_bytes().startswith(before)


def test_shards_of_feature_maps_merged_are_the_run_as_a_whole(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("activations", images, *TINY, "--max-channels", "3", "-b", "1", "-q")
    assert camx(*words, "-o", "whole") == 0
    assert camx(*words, "-o", "out", "--shard", "2/2") == 0
    assert camx("merge", "out") == 1
    told = capsys.readouterr()
    assert "1/2 missing" in told.err
    assert "images read, 0 failed" in told.out
    assert told.out.endswith("out/activations.csv\n")
    assert not Path("out/predictions.csv").exists()
    assert camx(*words, "-o", "out", "--shard", "1/2") == 0
    assert Path("out/activations.csv").read_bytes() == Path("whole/activations.csv").read_bytes()
    files = [{str(p.relative_to(name)) for p in Path(name).rglob("*")} for name in ("out", "whole")]
    assert files[0] == files[1]
    assert json.loads(Path("out/run.json").read_text())["state"] == "finished"


def test_a_missing_shard_is_named(
    sharded: Callable[..., int], camx: Camx, capsys: pytest.CaptureFixture[str], images: Path
) -> None:
    assert sharded(1) == 0
    assert sharded(3) == 0
    assert camx("merge", "camx-out") == 1
    assert "2/3 missing" in capsys.readouterr().err
    rows = Path("camx-out/predictions.csv").read_text().splitlines()[1:]
    assert 0 < len(rows) < 7
    assert json.loads(Path("camx-out/run.json").read_text())["state"] == "incomplete"
    assert sharded(2) == 0
    assert len(Path("camx-out/predictions.csv").read_text().splitlines()[1:]) == 7
    assert not Path("camx-out/parts").exists()


def merged(sharded: Callable[..., int], count: int = 2) -> bytes:
    """A run in shards, merged; returns its table."""
    assert [sharded(number, count=count) for number in range(1, count + 1)] == [0] * count
    assert not Path("camx-out/parts").exists()
    return Path("camx-out/predictions.csv").read_bytes()


def test_a_shard_of_a_merged_run_that_is_given_again_loses_no_row(sharded: Callable[..., int], camx: Camx) -> None:
    table = merged(sharded)
    before = json.loads(Path("camx-out/run.json").read_text())
    assert sharded(1, count=2) == 0
    assert Path("camx-out/predictions.csv").read_bytes() == table
    record = json.loads(Path("camx-out/run.json").read_text())
    assert (record["state"], record["images"], record["ok"], record["skipped"]) == ("finished", 7, 7, 7)
    assert [one["shard"] for one in record["shards"]] == ["1/2", "2/2"]
    assert record["shards"][1] == before["shards"][1]
    assert not Path("camx-out/parts").exists()


def test_a_shard_of_a_run_that_was_whole_loses_no_row(sharded: Callable[..., int], camx: Camx, images: Path) -> None:
    assert camx("explain", images, *TINY, "--labels", "folder") == 0
    table = Path("camx-out/predictions.csv").read_bytes()
    assert sharded(2, count=3) == 0
    assert Path("camx-out/predictions.csv").read_bytes() == table
    assert json.loads(Path("camx-out/run.json").read_text())["state"] == "finished"


@pytest.mark.slow
def test_images_that_came_after_a_merge_are_missed(
    sharded: Callable[..., int], camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One more image in each shard, and one shard runs again: the rows of the other stay, and the error names it."""
    merged(sharded)
    for number in (1, 2):
        name = next(f"new{n}.png" for n in range(99) if Shard(number, 2).holds(f"new{n}.png"))
        picture(seed=9).save(images / name)
    # As many images as before: a count alone would miss the new image of the other shard.
    (images / next(p for p in ("dog/4.jpg", "dog/5.png", "dog/6.jpg") if Shard(2, 2).holds(p))).unlink()
    assert sharded(1, count=2) == 0
    capsys.readouterr()
    assert camx("merge", "camx-out") == 1
    assert "2/2 missing" in capsys.readouterr().err
    assert len(Path("camx-out/predictions.csv").read_text().splitlines()[1:]) == 8
    assert sharded(2, count=2) == 0
    assert len(Path("camx-out/predictions.csv").read_text().splitlines()[1:]) == 8
    assert json.loads(Path("camx-out/run.json").read_text())["state"] == "finished"


@pytest.mark.parametrize("list_too", [False, True])
def test_a_part_that_lost_its_journal_is_named_and_kept(
    list_too: bool, sharded: Callable[..., int], camx: Camx, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["cam_cli.distributed.run"], "may_be_complete", lambda *_: False)
        assert [sharded(number, count=2) for number in (1, 2)] == [0, 0]
    part = Path("camx-out/parts/1-of-2")
    own = len(lines(str(part / "manifest.jsonl")))
    (part / "manifest.jsonl").unlink()
    if list_too:
        (part / "inputs.jsonl").unlink()
    assert camx("merge", "camx-out") == 1
    assert f"1/2 finished, but without {own} of {own} row" in capsys.readouterr().err
    assert len(Path("camx-out/predictions.csv").read_text().splitlines()[1:]) == 7 - own
    record = json.loads(Path("camx-out/run.json").read_text())
    assert (record["state"], record["ok"]) == ("incomplete", 7 - own)
    assert (part / "run.json").exists()
    assert sharded(1, count=2) == 0
    assert len(Path("camx-out/predictions.csv").read_text().splitlines()[1:]) == 7
    assert json.loads(Path("camx-out/run.json").read_text())["state"] == "finished"


def test_a_shard_goes_on_where_it_was(sharded: Callable[..., int], images: Path) -> None:
    """Also after a merge, when its rows are in the journal of the whole run."""
    assert sharded(1) == 0
    mine = lines("camx-out/parts/1-of-3/manifest.jsonl")
    assert mine
    assert sharded(1) == 0
    assert lines("camx-out/parts/1-of-3/manifest.jsonl") == mine
    merge("camx-out")
    assert not Path("camx-out/parts/1-of-3/manifest.jsonl").exists()
    assert sharded(1) == 0
    assert lines("camx-out/parts/1-of-3/manifest.jsonl") == []
    added = next(f"cat/new{n}.png" for n in range(99) if Shard(1, 3).holds(f"cat/new{n}.png"))
    picture(seed=9).save(images / added)
    assert sharded(1) == 0
    # The indices of later images have grown by one; nothing else is new.
    written = [row["image"] for row in lines("camx-out/parts/1-of-3/manifest.jsonl")]
    assert written[-1] == added
    assert all(name > added for name in written[:-1])


def test_a_run_as_a_whole_takes_over_what_shards_have_done(
    sharded: Callable[..., int], camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sharded(1) == 0
    done = len(lines("camx-out/parts/1-of-3/manifest.jsonl"))
    assert camx("explain", images, *TINY, "--labels", "folder") == 0
    assert f"{done} of them earlier" in capsys.readouterr().out
    assert len(lines("camx-out/manifest.jsonl")) == 7
    assert not Path("camx-out/parts").exists()


def test_the_same_rows_moved_twice_are_there_once(sharded: Callable[..., int]) -> None:
    """As after a kill between the two steps of moving."""
    assert sharded(1) == 0
    shutil.copy("camx-out/parts/1-of-3/manifest.jsonl", "copy")
    assert merge_rows("camx-out", parts_in("camx-out")) == []
    before = lines("camx-out/manifest.jsonl")
    shutil.copy("copy", "camx-out/parts/1-of-3/manifest.jsonl")
    assert merge_rows("camx-out", parts_in("camx-out")) == []
    assert lines("camx-out/manifest.jsonl") == before == lines("copy")


def test_shards_of_another_kind_are_refused(
    sharded: Callable[..., int], camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sharded(1) == 0
    for words, message in [
        (("--top-k", "2"), "top_k (5 → 2)"),
        (("--overwrite",), "--overwrite does not work with --shard"),
    ]:
        assert sharded(2, *words) == 2
        assert message in capsys.readouterr().err
    assert sharded(1, count=4) == 2
    assert "parts of a run in 3 shards, not 4" in capsys.readouterr().err
    assert [str(shard) for shard in parts_in("camx-out")] == ["1/3"]
    with locked_shard_folder("camx-out", Shard(2, 3)):
        assert sharded(2) == 2
        assert "is in use by another run" in capsys.readouterr().err
        assert camx("explain", images, *TINY, "--labels", "folder") == 2
        assert "Shard 2/3" in capsys.readouterr().err
        assert merge("camx-out").unfinished == {Shard(2, 3): "running", Shard(3, 3): "missing"}
    assert camx("merge", images) == 2


def test_parts_of_machines_without_a_shared_folder_are_put_together(
    sharded: Callable[..., int], camx: Camx, images: Path
) -> None:
    assert camx("explain", images, *TINY, "--labels", "folder", "-o", "whole") == 0
    for number in (1, 2):
        assert sharded(number, "-o", f"machine{number}", count=2) == 0
        shutil.copytree(f"machine{number}", "together", dirs_exist_ok=True)
    assert camx("merge", "together") == 0
    assert Path("together/predictions.csv").read_bytes() == Path("whole/predictions.csv").read_bytes()


def test_a_new_shard_waits_for_who_holds_the_folder(sharded: Callable[..., int]) -> None:
    from cam_cli.outputs.shards import locked_whole_folder

    assert sharded(1) == 0
    with locked_whole_folder("camx-out"), pytest.MonkeyPatch.context() as patch:
        patch.setattr("cam_cli.outputs.shards._PATIENCE", 0.1)
        assert sharded(2) == 2


def test_results_in_the_input_are_no_input_while_shards_run(sharded: Callable[..., int], images: Path) -> None:
    out = images / "out"
    assert [sharded(number, "-o", out) for number in (1, 2, 3)] == [0, 0, 0]
    assert len((out / "predictions.csv").read_text().splitlines()) == 8
