"""Spots and patterns of several devices, shards, a cluster and a store equal those of one run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cam_cli.images import remote
from cam_cli.outputs.run_folder import RunFolder

from .conftest import TINY
from .explain_support import Camx
from .test_remote import names, own_cache, s3_server, store

__all__ = ["own_cache", "s3_server", "store"]

SAVE = (*TINY, "--labels", "folder", "--save", "spots", "--no-report", "-q", "-j", 1)
PATTERNS = ("--patterns", 2, "--min-images", 1, "--no-report", "-q")


def lines(text: bytes) -> dict[str, Any]:
    return {row["image"]: row for row in map(json.loads, text.splitlines())}


def spots_of(folder: str) -> dict[str, Any]:
    run = RunFolder.read(folder)
    assert all(spots is not None for row, spots in run.with_spots(run.rows()) if row["status"] == "ok")
    return lines(Path(folder, "spots.jsonl").read_bytes())


def patterns_of(camx: Camx, folder: str) -> dict[str, bytes]:
    assert camx("patterns", folder, *PATTERNS) == 0
    return {name: Path(folder, "patterns", name).read_bytes() for name in ("patterns.csv", "images.csv")}


@pytest.fixture
def one(camx: Camx, images: Path) -> dict[str, bytes]:
    """The patterns of a run on one device, in the folder `one`."""
    assert camx("explain", images, *SAVE, "-o", "one") == 0
    return patterns_of(camx, "one")


@pytest.mark.long
def test_spots_of_several_devices(camx: Camx, images: Path, one: dict[str, bytes]) -> None:
    assert camx("explain", images, *SAVE, "-o", "two", "--device", "cpu,cpu", "-b", 2) == 0
    assert spots_of("two").keys() == spots_of("one").keys()
    assert patterns_of(camx, "two") == one


def test_spots_of_merged_shards(camx: Camx, images: Path, one: dict[str, bytes]) -> None:
    for part in ("2/3", "1/3", "3/3"):
        assert camx("explain", images, *SAVE, "-o", "parts", "--shard", part) == 0
    assert camx("merge", "parts", "-q") == 0
    assert spots_of("parts") == spots_of("one")
    assert patterns_of(camx, "parts") == one


@pytest.mark.parametrize("store", ["memory://bucket", "s3://bucket"], indirect=True)
def test_spots_in_a_store_go_on_there(camx: Camx, store: str, images: Path, one: dict[str, bytes]) -> None:
    words = ("explain", f"{store}/pictures", *SAVE, "-o", f"{store}/out")
    assert camx(*words, "--limit", 4) == 0
    there = remote.filesystem(store)
    assert lines(there.cat_file(f"{store}/out/spots.jsonl")).keys() == set(list(spots_of("one"))[:4])
    # Another machine continues.
    import shutil

    shutil.rmtree("cache")
    assert camx(*words) == 0
    assert "spots.jsonl" in names(f"{store}/out")
    found = there.cat_file(f"{store}/out/spots.jsonl")
    assert lines(found) == spots_of("one")
    assert len(found.splitlines()) == 7, "the first four are not made again"
    shutil.rmtree("cache")
    there.get(f"{store}/out/", "fetched/", recursive=True)
    assert patterns_of(camx, "fetched") == one


@pytest.mark.extras
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")
def test_spots_of_a_cluster(camx: Camx, images: Path, one: dict[str, bytes]) -> None:
    pytest.importorskip("ray")
    (images / "broken.jpg").write_bytes(b"nothing")
    words = ("explain", images, *SAVE, "-b", 1, "--max-failures", 1, "-o", "ray", "--engine", "ray")
    assert camx(*words) == 0
    assert spots_of("ray") == spots_of("one")
    assert patterns_of(camx, "ray") == one
    # A lost line is written again there.
    spots = Path("ray/spots.jsonl")
    spots.write_bytes(spots.read_bytes().split(b"\n", 1)[1])
    assert camx(*words) == 0
    assert spots_of("ray") == spots_of("one")
