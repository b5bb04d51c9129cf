"""A merge proves its counts: rows per shard, no image twice, none missing; its error names the incomplete shard."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from cam_cli.images.shard import Shard

from .conftest import TINY

Camx = Callable[..., int]


@pytest.fixture
def shard(camx: Camx, images: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], int]:
    """`camx explain` of one of two shards, without a merge at its end."""
    monkeypatch.setattr(import_module("cam_cli.distributed.run"), "may_be_complete", lambda *_: False)
    return lambda number: camx("explain", images, *TINY, "-q", "--no-report", "--shard", f"{number}/2")


def record() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path("camx-out/run.json").read_text())
    return content


def table() -> list[str]:
    return [line.partition(",")[0] for line in Path("camx-out/predictions.csv").read_text().splitlines()[1:]]


def test_rows_of_each_shard_are_counted(shard: Callable[[int], int], camx: Camx, images: Path) -> None:
    assert [shard(1), shard(2), camx("merge", "camx-out")] == [0, 0, 0]
    keys = [path.relative_to(images).as_posix() for path in images.rglob("*.*")]
    own = [sum(Shard(number, 2).holds(key) for key in keys) for number in (1, 2)]
    assert [(one["rows"], one["images"]) for one in record()["shards"]] == [(count, count) for count in own]


def test_a_shard_that_saw_fewer_images_is_named(
    shard: Callable[[int], int], camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on another machine with an incomplete copy of the images."""
    gone = next(path for path in images.rglob("*.*") if Shard(2, 2).holds(path.relative_to(images).as_posix()))
    assert shard(1) == 0
    away = images.parent / gone.name
    shutil.move(gone, away)
    assert shard(2) == 0
    assert camx("merge", "camx-out") == 1
    assert (
        "2/2 finished for an input of 6 images, where shard 1/2 had 7 (give both the same sources)"
        in capsys.readouterr().err
    )
    assert record()["state"] == "incomplete"
    assert Path("camx-out/parts/2-of-2/run.json").exists()
    shutil.move(away, gone)
    assert [shard(2), camx("merge", "camx-out")] == [0, 0]
    assert len(table()) == 7


def test_a_shard_that_saw_other_images_is_named(
    shard: Callable[[int], int], camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = next(path for path in images.rglob("*.*") if Shard(1, 2).holds(path.relative_to(images).as_posix()))
    assert shard(1) == 0
    first.rename(
        first.with_name(next(f"n{n}.png" for n in range(99) if Shard(1, 2).holds(f"{first.parent.name}/n{n}.png")))
    )
    assert shard(2) == 0
    assert camx("merge", "camx-out") == 1
    assert "finished for an input of 7 images, where shard 1/2 had as many others" in capsys.readouterr().err


def test_a_copy_of_another_part_is_no_shard(
    shard: Callable[[int], int], camx: Camx, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [shard(1), shard(2)] == [0, 0]
    parts = Path("camx-out/parts")
    count = json.loads((parts / "1-of-2/run.json").read_text())["images"]
    shutil.rmtree(parts / "2-of-2")
    shutil.copytree(parts / "1-of-2", parts / "2-of-2")
    assert camx("merge", "camx-out") == 1
    assert f"2/2 finished, but without {count} of {count} rows" in capsys.readouterr().err
    assert len(table()) == len(set(table())) == count
    assert [shard(2), camx("merge", "camx-out")] == [0, 0]
    assert len(table()) == len(set(table())) == 7
