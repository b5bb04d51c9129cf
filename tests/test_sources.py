"""Sources of images: every way to name them, and the key of each."""

from __future__ import annotations

import io
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from cam_cli.errors import CamxError
from cam_cli.images.labels import with_labels
from cam_cli.images.listing import Filters, find


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a/x.jpg", "a/y.PNG", "a/notes.txt", "b/x.jpg", "a/sub/z.webp", "a/.hidden/h.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"-")
    return tmp_path


def keys(*arguments: str, **filters: object) -> list[str]:
    return [source.key for source in find(arguments, Filters(**filters)).sources]  # type: ignore[arg-type]


def test_a_folder_is_recursive_sorted_and_its_keys_start_inside_it(tree: Path) -> None:
    assert keys("a") == ["sub/z.webp", "x.jpg", "y.PNG"]
    assert keys(str(tree / "a")) == keys("a") == keys("./a/")
    assert find(["a"]).passed_over == 1


def test_several_sources_keep_the_folder_that_distinguishes_them(tree: Path) -> None:
    assert keys("a", "b") == ["a/sub/z.webp", "a/x.jpg", "a/y.PNG", "b/x.jpg"]
    assert keys("a/x.jpg", "b/x.jpg") == ["a/x.jpg", "b/x.jpg"]
    assert keys("a/x.jpg", "a") == ["x.jpg", "sub/z.webp", "y.PNG"], "each file once, in the order given"


def test_patterns_files_and_include(tree: Path) -> None:
    assert keys("a/*.jpg") == ["x.jpg"]
    assert keys("**/x.jpg") == ["a/x.jpg", "b/x.jpg"]
    assert keys("a/notes.txt") == ["notes.txt"], "a file that is named is taken whatever it is called"
    assert keys("a", include=("*.txt",)) == ["notes.txt"]
    assert keys("a", exclude=("sub/*", "*.PNG")) == ["x.jpg"]


def test_results_of_runs_are_no_inputs_wherever_they_lie(tree: Path) -> None:
    (tree / "a" / "out" / "overlays").mkdir(parents=True)
    (tree / "a" / "out" / "overlays" / "x.jpg.png").write_bytes(b"-")
    assert "out/overlays/x.jpg.png" in keys("a"), "a folder that is only called so"
    (tree / "a" / "out" / "manifest.jsonl").write_bytes(b"")
    assert keys("a") == keys("a/**/*.*", exclude=("*.txt", "*.jsonl")) == ["sub/z.webp", "x.jpg", "y.PNG"]
    (tree / "a" / "out" / "own.png").write_bytes(b"-")
    assert keys("a/out") == ["own.png"], "also where the output folder itself is the input"


def test_links_to_folders_are_not_followed_and_links_to_files_are(tree: Path) -> None:
    (tree / "b" / "loop").symlink_to(tree / "b")
    (tree / "b" / "link.jpg").symlink_to(tree / "a" / "x.jpg")
    (tree / "b" / "dangling.jpg").symlink_to(tree / "nowhere.jpg")
    os.mkfifo(tree / "b" / "pipe.jpg")
    assert keys("b") == ["link.jpg", "x.jpg"]


def test_lists_are_relative_to_themselves_and_may_point_outside(tree: Path) -> None:
    (tree / "a" / "list.txt").write_text("x.jpg\nsub/z.webp\nmissing.jpg\n")
    assert keys("@a/list.txt") == ["x.jpg", "sub/z.webp", "missing.jpg"]
    (tree / "a" / "outside.txt").write_text("../b/x.jpg\nx.jpg\n")
    assert keys("@a/outside.txt") == ["b/x.jpg", "a/x.jpg"]


def test_a_csv_list_carries_labels(tree: Path) -> None:
    (tree / "list.csv").write_text("Image,Label\na/x.jpg,cat\nb/x.jpg,\n")
    assert [(s.key, s.label) for s in find(["@list.csv"]).sources] == [("a/x.jpg", "cat"), ("b/x.jpg", "")]
    (tree / "wrong.csv").write_text("file,label\na/x.jpg,cat\n")
    with pytest.raises(CamxError, match="no column 'image'"):
        find(["@wrong.csv"])
    (tree / "gaps.csv").write_text("image,label\na/x.jpg\n\n , \nb/x.jpg,dog\n")
    assert [(s.key, s.label) for s in find(["@gaps.csv"]).sources] == [("a/x.jpg", ""), ("b/x.jpg", "dog")]


@pytest.mark.parametrize("data", [b"a/x.jpg\nb/x.jpg\n", b"a/x.jpg\0b/x.jpg\0"])
def test_paths_on_standard_input(tree: Path, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert keys("-") == ["a/x.jpg", "b/x.jpg"]


def test_names_that_are_no_text(tree: Path) -> None:
    name = os.fsdecode(b"b/\xff\n'=x.jpg")
    Path(name).write_bytes(b"-")
    assert keys("b") == ["x.jpg", name[2:]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no file or folder 'nowhere'"),
        (["a/.hidden/none*"], "No images"),
        (["@none.txt"], "cannot be read"),
    ],
)
def test_arguments_that_name_nothing(tree: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(CamxError, match=message):
        find(arguments)


def test_every_argument_must_name_an_image(tree: Path) -> None:
    (tree / "empty").mkdir()
    (tree / "b" / "gone.jpg").symlink_to(tree / "nowhere")
    for argument in ("b/none*.jpg", "empty", "b/gone*"):
        with pytest.raises(CamxError, match=f"No images in '{argument}'".replace("*", r"\*")):
            find(["a", argument])
    assert keys("b/*.jpg") == ["x.jpg"], "a link to nothing is no image"


def test_the_error_of_a_folder_without_images_names_its_files(tree: Path) -> None:
    (tree / "c").mkdir()
    (tree / "c" / "notes.txt").write_text("")
    with pytest.raises(CamxError, match="`include=.*`"):
        find(["c"])


def test_labels_from_folders_and_tables(tree: Path) -> None:
    by_folder = with_labels(find(["a", "b"]), "folder").sources
    assert [s.label for s in by_folder] == ["sub", "a", "a", "b"]
    (tree / "list.txt").write_text("a/x.jpg\na/sub/z.webp\n")
    assert [s.label for s in with_labels(find(["@list.txt"]), "folder").sources] == ["a", "sub"]
    (tree / "labels.csv").write_text("image,label\nx.jpg,7\nsub/z.webp,cat\n")
    assert [s.label for s in with_labels(find(["a"]), "labels.csv").sources] == ["cat", "7", ""]
    (tree / "a" / "labels.csv").write_text("image,label\nx.jpg,8\n")
    assert [s.label for s in with_labels(find(["a", "b"]), "a/labels.csv").sources] == ["", "8", "", ""]
    (tree / "other.csv").write_text("image,label\nq.jpg,7\n")
    with pytest.raises(CamxError, match="No image "):
        with_labels(find(["a"]), "other.csv")
