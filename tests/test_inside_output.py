"""camx writes nothing outside the output folder, through a name or a link."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cam_cli.errors import CamxError, UnreadableImage
from cam_cli.outputs import store
from cam_cli.outputs.folder import locked_folder


@pytest.mark.parametrize("name", ["../x.png", "overlays/../../x.png", "/etc/x.png", ".", "overlays/.."])
def test_a_name_that_leads_out_is_refused_before_anything_is_made(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    path = os.path.join(out, name)
    with pytest.raises(store.Outside):
        store.write_file(path, b"x", below=str(out))
    assert os.listdir(tmp_path) == ["out"]
    assert not os.listdir(out)


def test_a_linked_folder_inside_the_output_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "x.png").write_bytes(b"theirs")
    with locked_folder(str(tmp_path / "out")) as folder:
        os.symlink(elsewhere, tmp_path / "out" / "overlays")
        with pytest.raises(UnreadableImage, match="outside the output folder"):
            folder.write("overlays/x.png", b"ours")
        os.symlink(elsewhere / "x.png", tmp_path / "out" / "predictions.csv")
        store.write_file(folder.file("predictions.csv"), b"ours", below=folder.path)
    assert (elsewhere / "x.png").read_bytes() == b"theirs"
    assert (tmp_path / "out" / "predictions.csv").read_bytes() == b"ours"
    assert not (tmp_path / "out" / "predictions.csv").is_symlink(), "a link of that name is replaced"


def test_the_output_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    os.symlink(tmp_path / "real", tmp_path / "out")
    with locked_folder(str(tmp_path / "out")) as folder:
        folder.write("overlays/a/x.png", b"ours")
    assert (tmp_path / "real" / "overlays" / "a" / "x.png").read_bytes() == b"ours"


def test_a_record_through_a_link_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    with locked_folder(str(tmp_path / "out")) as folder:
        folder.open_journal()
        os.symlink(tmp_path / "elsewhere", tmp_path / "out" / "report")
        with pytest.raises(CamxError, match="leads out of"):
            folder.derive("report/index.html", [], lambda rows: [b"x"])
    assert not os.listdir(tmp_path / "elsewhere")
