"""Exports into a folder with files: of an earlier export, changed by hand, of others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cam_cli.errors import CamxError
from cam_cli.export.findings import findings
from cam_cli.export.ledger import LEDGER, Ledger
from cam_cli.export.options import ExportOptions
from cam_cli.export.write import ExportResult, write_formats
from cam_cli.outputs import store

from .export_support import SIZE
from .journals import hill, map_of, row_of, run_of

Camx = Callable[..., int]


def run_with(tmp_path: Path, *names: str) -> Path:
    shown = [map_of(hill(0.5, 0.5), 0, SIZE)]
    return run_of(tmp_path / "-".join(names).replace("/", "_"), [row_of(name, shown) for name in names])


def write(run: Path, folder: Path, *formats: str, threshold: str = "0.5", overwrite: bool = False) -> ExportResult:
    found = findings(str(run), ExportOptions(format=formats, threshold=threshold), "9.9")
    return write_formats(found, str(folder), overwrite=overwrite)


def below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {LEDGER}


def test_files_of_an_earlier_export_go_with_their_empty_folders(tmp_path: Path) -> None:
    first, second = run_with(tmp_path, "a.jpg", "old/b.jpg"), run_with(tmp_path, "a.jpg")
    folder = tmp_path / "labels for all"
    write(first, folder, "coco", "yolo", "masks")
    found = write(second, folder, "yolo", "masks")
    assert found.removed == ("labels/old/b.txt", "masks/old/b.png")
    assert found.kept == ()
    # Files of another format do not matter to this export.
    assert below(folder) == {"coco.json", "data.yaml", "labels/a.txt", "masks/a.png", "masks/classes.txt"}
    assert not (folder / "labels" / "old").exists()
    assert write(second, folder, "yolo", "masks").removed == ()


def test_files_of_others_stay_and_are_named(tmp_path: Path) -> None:
    run, folder = run_with(tmp_path, "a.jpg"), tmp_path / "data"
    (folder / "labels").mkdir(parents=True)
    (folder / "labels" / "mine.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (folder / "images.txt").write_text("")
    for _ in range(2):
        found = write(run, folder, "yolo")
        assert (found.removed, found.kept) == ((), ("labels/mine.txt",))
    assert (folder / "labels" / "mine.txt").read_text() == "0 0.5 0.5 0.1 0.1\n"


def test_a_label_of_others_is_replaced_only_if_asked_for(tmp_path: Path) -> None:
    run, folder = run_with(tmp_path, "a.jpg", "b.jpg"), tmp_path / "data"
    (folder / "labels").mkdir(parents=True)
    (folder / "labels" / "b.txt").write_text("by hand")
    with pytest.raises(CamxError, match=r"1 file that camx did not write, or that changed since: labels/b\.txt"):
        write(run, folder, "coco", "yolo")
    assert below(folder) == {"labels/b.txt"}
    write(run, folder, "yolo", overwrite=True)
    assert (folder / "labels" / "b.txt").read_text().startswith("0 ")
    assert write(run, folder, "yolo", threshold="0.2").kept == ()


def test_a_label_that_was_corrected_by_hand_is_kept(tmp_path: Path) -> None:
    first, second = run_with(tmp_path, "a.jpg", "b.jpg"), run_with(tmp_path, "a.jpg")
    folder = tmp_path / "data"
    write(first, folder, "yolo")
    label = folder / "labels" / "b.txt"
    # One digit: its size is the same.
    text = label.read_text()
    label.write_text(text[:-2] + ("1" if text[-2] != "1" else "2") + "\n")
    with pytest.raises(CamxError, match="changed since"):
        write(first, folder, "yolo")
    found = write(second, folder, "yolo")
    assert (found.removed, found.kept) == ((), ("labels/b.txt",))
    assert label.exists()


def test_the_list_removes_nothing_outside_of_the_folder(tmp_path: Path) -> None:
    run, folder = run_with(tmp_path, "a.jpg"), tmp_path / "data"
    write(run, folder, "yolo")
    for name in ("outside.txt", "linked/x.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (folder / "way").symlink_to(tmp_path / "linked")
    entry = {"format": "yolo", "bytes": 1, "crc32": 0x8CDC1683}
    names = ("../outside.txt", str(tmp_path / "outside.txt"), "way/x.txt", "labels/../../outside.txt")
    with (folder / LEDGER).open("a") as file:
        file.writelines(json.dumps({"file": name, **entry}) + "\n" for name in names)
        file.write('{"file": 3}\n[1]\nnothing\n' + "[" * 100_000 + "\n")
    assert write(run, folder, "yolo").removed == ()
    assert (tmp_path / "outside.txt").exists()
    assert (tmp_path / "linked" / "x.txt").exists()


def test_after_a_failure_the_next_export_knows_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = run_with(tmp_path, "a.jpg", "b.jpg", "c.jpg"), run_with(tmp_path, "c.jpg")
    folder, replace, count = tmp_path / "data", store.system.replace, []

    def failing(source: str, target: str) -> None:
        count.append(target)
        if len(count) == 4:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(store.system, "replace", failing)
    with pytest.raises(CamxError, match="No space left"):
        write(first, folder, "yolo")
    assert below(folder) == {"data.yaml", "labels/a.txt", "labels/b.txt"}
    # The line of the file that could not be renamed exists, too: it was written first.
    assert {*Ledger.read(str(folder)).entries} == below(folder) | {"labels/c.txt"}
    assert write(second, folder, "yolo").removed == ("labels/a.txt", "labels/b.txt")


def test_the_command_says_it(camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = run_with(tmp_path, "a.jpg", "b.jpg"), run_with(tmp_path, "a.jpg")
    words = ("--format", "yolo", "-o", tmp_path / "data")
    assert camx("export", first, *words) == 0
    (tmp_path / "data" / "labels" / "mine.txt").write_text("")
    assert camx("export", second, *words) == 0
    shown = capsys.readouterr()
    assert "1 file of an earlier export removed: labels/b.txt" in shown.out
    assert "that this export did not write: labels/mine.txt" in " ".join(shown.err.split())
    assert camx("export", second, *words, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["removed"], told["kept"]) == ([], ["labels/mine.txt"])
    (tmp_path / "data" / "labels" / "a.txt").write_text("by hand")
    assert camx("export", second, *words) == 2
    assert "replace them with --overwrite" in " ".join(capsys.readouterr().err.split())
    assert camx("export", second, *words, "--overwrite", "-q") == 0
