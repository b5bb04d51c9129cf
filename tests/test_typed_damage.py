"""Damaged spots, and damaged tables with types, as input and as results of a run."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from cam_cli.audit.groups_file import read_groups
from cam_cli.errors import CamxError
from cam_cli.images import typed_tables
from cam_cli.images.listing import find
from cam_cli.outputs.run_folder import RunFolder
from cam_cli.patterns.spots import read_spots
from cam_cli.results import read_results

from .conftest import TINY
from .test_fuzz import QUICK, changed, labels, tried
from .test_training_proofs import DAMAGES, damage

ROWS = [{"image": f"{name}.jpg", "label": "cat", "site": "A"} for name in "ab"]
TABLES = ("predictions.jsonl", "maps.jsonl", "predictions.parquet", "maps.parquet")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with spots and all tables."""
    pytest.importorskip("pyarrow")
    from cli.main import run

    from .conftest import picture

    here = tmp_path_factory.mktemp("finished")
    (here / "in").mkdir()
    for seed in range(3):
        picture(seed=seed).save(here / "in" / f"{seed}.png")
    argv = [*TINY, "--save", "overlay,spots", "--table", "csv,jsonl,parquet", "-j", "1", "-q", "--no-report"]
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(here)
        assert run(["explain", "in", *argv, "-o", "out"]) == 0
    return here


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.extras
def test_damaged_lists_and_labels(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    else:
        pyarrow = pytest.importorskip("pyarrow")
        import pyarrow.parquet as parquet

        parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    data, draw = path.read_bytes(), random.Random(kind)

    def read(file: Path) -> None:
        find([f"@{file}"])
        labels(file)
        read_groups(str(file), ["a.jpg", "b.jpg"], ".")

    tried(read, path, data)
    for _ in range(QUICK):
        tried(read, path, changed(data, draw))


@pytest.mark.extras
def test_a_small_parquet_file_of_giant_text_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    path = tmp_path / "bomb.parquet"
    parquet.write_table(pyarrow.table({"image": pyarrow.repeat("x" * 1000, 50_000)}), path)
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(typed_tables, "TABLE_BYTES", 1 << 20)
    with pytest.raises(CamxError, match="more than 1,048,576 bytes of text"):
        find([f"@{path}"])


@pytest.mark.extras
def test_damaged_spots_count_as_never_written(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "out", tmp_path / "out")
    path = tmp_path / "out" / "spots.jsonl"
    data, draw = path.read_bytes(), random.Random(0)
    right = dict(zip(("0", "1", "2"), data.splitlines()))

    def read(_: Path) -> None:
        run = RunFolder.read(str(tmp_path / "out"))
        for row, spots in run.with_spots(run.rows()):
            assert spots is None or spots == json.loads(right[row["image"][0]])
        read_spots(run)

    tried(read, path, data)
    for _ in range(QUICK):
        tried(read, path, changed(data, draw))


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.extras
def test_the_same_command_writes_damaged_tables_and_spots_again(
    kind: str, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished / "out", out := tmp_path / "out")
    monkeypatch.chdir(finished)
    names = ("spots.jsonl", "predictions.csv", "maps.csv", *TABLES)
    before = {name: (out / name).read_bytes() for name in names}
    for name in names:
        damage((out / name), kind)
    assert len(read_results(out, rows=True)) == 3, "from the journal"
    from cli.main import run

    argv = ["explain", "in", *TINY, "--save", "overlay,spots", "--table", "csv,jsonl,parquet", "-j", "1", "--no-report"]
    assert run([*argv, "-o", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] == 3
    for name in names[1:]:
        assert (out / name).read_bytes() == before[name], name
    assert {*(out / "spots.jsonl").read_bytes().splitlines()} >= {*before["spots.jsonl"].splitlines()}
    assert len(read_spots(RunFolder.read(str(out)))) > 0
