"""A walk through folders never raises and always ends, and reports unreadable entries."""

from __future__ import annotations

import glob
import itertools
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PurePath

import pytest

from cam_cli import folders
from cam_cli.errors import CamxError
from cam_cli.folders import files_below, walk
from cam_cli.images.class_folders import class_folders
from cam_cli.images.listing import find
from cam_cli.images.places import fits
from cam_cli.outputs.store import system

from .conftest import TINY, picture

Camx = Callable[..., int]


def closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be listed; the system call fails, because root may list any folder."""
    list_folder = os.scandir

    def scandir(where: str) -> object:
        if os.path.abspath(where) == str(path):
            raise PermissionError(13, "Permission denied", where)
        return list_folder(where)

    monkeypatch.setattr(os, "scandir", scandir)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images between all kinds of entries of a folder."""
    monkeypatch.chdir(tmp_path)
    tree = tmp_path / "tree"
    (tree / "closed").mkdir(parents=True)
    picture().save(tree / "a.png")
    picture().save(tree / "closed" / "secret.png")
    (tree / "self.png").symlink_to("self.png")
    (tree / "ring1.png").symlink_to("ring2.png")
    (tree / "ring2.png").symlink_to("ring1.png")
    (tree / "up").symlink_to(tree)
    (tree / "up2").symlink_to(tree)
    (tree / "gone.png").symlink_to("nowhere")
    os.mkfifo(tree / "pipe.png")
    (tree / os.fsdecode(b"\xff\xfe.png")).write_bytes((tree / "a.png").read_bytes())
    picture().save(tree / "z.png")
    closed(tree / "closed", monkeypatch)
    return tree


def test_a_folder_of_traps_gives_its_images_and_lists_the_rest(tree: Path) -> None:
    inputs = find(["tree"])
    assert [source.key for source in inputs.sources] == ["a.png", "z.png", os.fsdecode(b"\xff\xfe.png")]
    assert inputs.linked == ("tree/up", "tree/up2")
    said = "\n".join(inputs.notes)
    assert "Left out, since it cannot be listed (Permission denied): tree/closed." in said
    assert "Too many levels of symbolic links" in said
    assert "tree/gone.png, tree/pipe.png" in said


def test_a_run_over_it_warns_and_explains_the_rest(tree: Path, camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("explain", "tree", *TINY) == 0
    heard = capsys.readouterr()
    assert "3 of 3 images explained" in heard.out
    assert "tree/closed" in heard.err


def test_two_links_in_a_circle_are_no_endless_tree_for_a_pattern(tree: Path) -> None:
    """2^40 paths match this pattern if links are followed."""
    inputs = find(["tree/**/*.png"])
    assert [source.key for source in inputs.sources] == ["a.png", "z.png", os.fsdecode(b"\xff\xfe.png")]
    assert inputs.linked == ("tree/up", "tree/up2")


def test_the_error_of_a_folder_of_traps_has_the_reasons(tree: Path) -> None:
    with pytest.raises(CamxError, match="cannot be listed"):
        find(["tree/closed"])


def test_a_folder_that_vanishes_while_it_is_walked_through(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "b").mkdir()
    monkeypatch.setattr(os, "scandir", os.scandir)
    seen = []
    for one in walk(str(tree)):
        seen.append(one)
        if (tree / "b").exists():
            (tree / "b").rmdir()
    assert folders.FolderEntry("b", "unlisted", "No such file or directory") in seen


def test_class_folders_beside_a_circle(tree: Path) -> None:
    assert class_folders([str(tree)]) == ("closed", "up", "up2")


#: Nested folders: more than the recursion limit of Python.
DEPTH = 985


def test_folders_nested_deeper_than_the_stack(tmp_path: Path) -> None:
    deep = tmp_path / "in" / "/".join("d" * DEPTH)
    system.make_folder(str(deep))
    picture().save(deep / "x.png")
    assert list(files_below(str(tmp_path / "in"))) == ["/".join("d" * DEPTH) + "/x.png"]
    # The cleanup of the tests is recursive.
    subprocess.run(["rm", "-rf", tmp_path / "in"], check=True)


@pytest.mark.slow
def test_a_run_over_folders_nested_deeper_than_the_stack(
    tmp_path: Path, camx: Camx, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = tmp_path / "in" / "/".join("d" * DEPTH)
    system.make_folder(str(deep))
    picture().save(deep / "x.png")
    assert camx("explain", "in", *TINY) == 0, capsys.readouterr().err
    assert camx("explain", "in", *TINY, "--overwrite") == 0
    assert camx("report", "camx-out") == 0
    subprocess.run(["rm", "-rf", tmp_path / "in", tmp_path / "camx-out"], check=True)


def test_a_path_that_is_longer_than_the_system_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(50):
        os.mkdir("d" * 100)
        os.chdir("d" * 100)
    picture().save("x.png")
    os.chdir(tmp_path)
    picture().save("a.png")
    inputs = find(["."])
    assert [source.key for source in inputs.sources] == ["a.png"]
    assert "File name too long" in inputs.notes[0]
    subprocess.run(["rm", "-rf", tmp_path / ("d" * 100)], check=True)


PARTS = ["**", "*", "a", "b*", "?", ".*", "[ab]"]


def test_patterns_fit_what_glob_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared with the slow definition: the paths that `glob` finds in a tree without links."""
    monkeypatch.chdir(tmp_path)
    for path in ("a/b/a", "a/a", "b", "ab/b", "a/.h/b", ".h/a", "a/b/b/bb"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        if not (tmp_path / path).exists():
            (tmp_path / path).write_text("")
    files = [os.path.relpath(os.path.join(folder, name)) for folder, _, names in os.walk(".") for name in names]
    draw = random.Random(0)
    for _ in range(300):
        pattern = "/".join(draw.choice(PARTS) for _ in range(draw.randint(1, 4)))
        with_glob = {os.path.normpath(path) for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)}
        ours = {path for path in files if fits(path.split("/"), PurePath(pattern).parts)}
        assert ours == with_glob, pattern


def test_a_pattern_of_many_stars_is_quick() -> None:
    assert not fits(["a"] * 900, ["**", "a"] * 40 + ["b"])
    assert fits(["a"] * 900, ["**", "a"] * 40)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_the_folder_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vanishing, closed and endless entries raise nothing."""
    assert len(list(itertools.islice(walk("/proc/self"), 2000))) > 100
