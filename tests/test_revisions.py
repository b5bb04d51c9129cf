"""A folder that versions of camx fill with different drawing or arithmetic names the difference."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cam_cli.images.shard import Shard
from cam_cli.outputs import revisions
from cam_cli.outputs.revisions import FIRST, NEWEST, REVISIONS, changes_since

from .conftest import TINY, picture
from .test_old_folders import COMMANDS, old  # noqa: F401 - a fixture

Camx = Callable[..., int]
OLDER = "Some results were made by a camx before"


def record(out: str = "camx-out") -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(out, "run.json").read_text())
    return content


def test_the_table_is_in_order() -> None:
    numbers = [one.number for one in REVISIONS]
    assert numbers == list(range(FIRST + 1, NEWEST + 1))
    versions = [tuple(map(int, one.version.split("."))) for one in REVISIONS]
    assert versions == sorted(versions)
    assert versions[0] > (0, 1, 0)


def test_changes_are_those_of_the_command() -> None:
    explain, both = {"command": "explain", "evidence": "for"}, {"command": "explain", "evidence": "both"}
    assert "two signs" not in changes_since(FIRST, explain)[0]
    assert "two signs" in changes_since(FIRST, both)[0]
    assert changes_since(2, both)[0].count("since then") == 0
    assert changes_since(2, explain) == []
    assert changes_since(NEWEST, both) == []


def test_a_run_warns_that_it_adds_to_results_of_an_earlier_camx(
    old: Camx,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert old(*COMMANDS["killed"]) == 1
    said = capsys.readouterr().err
    assert f"{OLDER} 0.2.0. Since then the network sees transparent images as" in said
    assert "They are kept. --overwrite explains all images again." in said
    assert record("killed")["revision"] == FIRST
    assert old(*COMMANDS["killed"]) == 1
    assert OLDER in capsys.readouterr().err, "the old rows are still there"
    assert old(*COMMANDS["killed"], "--overwrite") == 1
    assert OLDER not in capsys.readouterr().err
    assert (record("killed")["revision"], record("killed")["skipped"]) == (NEWEST, 0)


def test_a_run_of_one_version_has_no_note(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert camx("explain", images, *TINY) == 0
        assert OLDER not in capsys.readouterr().err
        assert record()["revision"] == NEWEST
        assert record()["versions"]["camx"]


def test_the_version_stands_in_the_record_from_the_beginning(
    camx: Camx, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr("cam_cli.pipeline.loop.Loop.run", lambda *_: seen.append(record()))
    assert camx("explain", images, *TINY, "-q") == 0
    (one,) = seen
    assert one.keys() == {"schema", "fingerprint", "state", "versions", "revision"}
    assert one["versions"].keys() >= {"camx", "torch", "timm"}


@pytest.mark.slow
def test_overwrite_redoes_an_unfinished_run_of_an_earlier_camx(
    camx: Camx, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of the present version continues."""
    for revision, skipped in ((NEWEST, 7), (FIRST, 0)):
        assert camx("explain", images, *TINY, "-q") == 0
        content = {**record(), "state": "interrupted", "revision": revision}
        Path("camx-out/run.json").write_text(json.dumps(content))
        assert camx("explain", images, *TINY, "-q", "--overwrite") == 0
        assert (record()["skipped"], record()["revision"]) == (skipped, NEWEST)


def test_a_merge_warns_of_parts_of_two_versions(
    camx: Camx, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Written on two machines and copied together."""
    argv = ("explain", images, *TINY, "--no-report", "--shard")
    assert camx(*argv, "1/2") == 0
    path = Path("camx-out/parts/1-of-2/run.json")
    content = json.loads(path.read_text())
    del content["revision"]
    path.write_text(json.dumps(content))
    assert camx(*argv, "2/2", "--device", "cpu") == 0
    assert OLDER in capsys.readouterr().err
    assert record()["state"] == "finished"
    assert record()["revision"] == FIRST


def test_a_shard_prints_it_too(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ("explain", images, *TINY, "--no-report", "--shard", "1/2")
    assert camx(*argv) == 0
    for path in (Path("camx-out/parts/1-of-2/run.json"), Path("camx-out/run.json")):
        content = json.loads(path.read_text())
        del content["revision"]
        path.write_text(json.dumps(content))
    name = next(f"new{n}.png" for n in range(99) if Shard(1, 2).holds(f"new{n}.png"))
    picture().save(images / name)
    capsys.readouterr()
    assert camx(*argv) == 0
    assert OLDER in capsys.readouterr().err
    assert record("camx-out/parts/1-of-2")["revision"] == FIRST


def test_a_new_line_of_the_table_is_seen(
    camx: Camx, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert camx("explain", images, *TINY) == 0
    later = (*REVISIONS, revisions.Revision(NEWEST + 1, "9.0.0", "maps are upside down"))
    monkeypatch.setattr(revisions, "REVISIONS", later)
    monkeypatch.setattr(revisions, "NEWEST", NEWEST + 1)
    picture().save(images / "new.png")
    assert camx("explain", images, *TINY) == 0
    assert f"{OLDER} 9.0.0. Since then maps are upside down." in capsys.readouterr().err
