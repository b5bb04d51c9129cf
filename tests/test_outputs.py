"""Files that cannot be untrue: journal, table, images and their folder."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cam_cli.errors import CamxError
from cam_cli.images.geometry import Frame
from cam_cli.maps.colormaps import COLORMAPS, palette
from cam_cli.maps.measures import measured, on_raster
from cam_cli.outputs import store
from cam_cli.outputs.drawing import Drawing, draw_overlay, encode_thumbnail
from cam_cli.outputs.fingerprints import differences
from cam_cli.outputs.folder import locked_folder
from cam_cli.outputs.folder_errors import explained_errors
from cam_cli.outputs.journal import Journal
from cam_cli.outputs.options import FORMATS, Rendering
from cam_cli.outputs.savers import SAVERS
from cam_cli.outputs.tables import columns, table
from cam_cli.run_layout import output_name

from .conftest import SYNC


def row(image: str, **more: Any) -> Any:
    return {"image": image, "status": "ok", **more}


def rows_of(journal: Journal) -> dict[str, Any]:
    return {row["image"]: row.get("index") for row in journal.rows(journal)}


def test_the_last_line_of_an_image_counts(tmp_path: Path) -> None:
    journal = Journal.open(str(tmp_path / "j"))
    journal.append([row("a", index=1), row("b", index=2)])
    journal.append([row("a", index=3)])
    assert rows_of(journal) == {"a": 3, "b": 2}
    journal.close()
    assert [one.get("index") for one in Journal.read(str(tmp_path / "j")).rows(["b", "none", "a"])] == [2, 3]


@pytest.mark.parametrize(
    "content", ["", "{", '{"image":7,"status":"ok"}', '{"image":"a","status":"ok","maps":7}', "[" * 999]
)
@pytest.mark.parametrize("in_place", [True, False])
def test_a_journal_that_others_replace_is_no_traceback(content: str, in_place: bool, tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_text(json.dumps(row("a", maps=[{"overlay": "x" * 99}])) + "\n")
    journal = Journal.read(str(path))
    if in_place and content:  # lines are only appended, or the end is cut off
        os.truncate(path, min(20, len(content)))
    else:
        path.unlink()
        (tmp_path / "other").write_text(content + "\n")
        (tmp_path / "other").rename(path)
    assert list(journal.rows(["a"])) == []


@pytest.mark.parametrize("tail", [b'{"image":"c"', b"\x00\x00", b'{"image":"c","status":"ok"}'])
def test_a_torn_last_line_was_never_written(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "j"
    path.write_bytes(b'{"image":"a","status":"ok"}\nnot json\n{"image":"b","status":"ok"}\n' + tail)
    journal = Journal.open(str(path))
    assert sorted(rows_of(journal)) == ["a", "b"]
    assert journal.damaged == 1, "a damaged line is counted, a torn one was never written"
    journal.append([row("c")])
    journal.close()
    assert sorted(rows_of(Journal.read(str(path)))) == ["a", "b", "c"]


ROW: Any = {
    "image": "=cmd|x.jpg",
    "status": "ok",
    "error": "",
    "width": 10,
    "height": 20,
    "label": "+1",
    "correct": False,
    "top": [{"index": 3, "name": 'say "a, b"', "prob": 0.123456789}],
    "maps": [{"method": "gradcam", "layer": "l", "target_index": 3, "target_name": "@x", "target_prob": 0.5, "peak": 1e-9, "area": 0.25,
              "center_x": 0.5, "center_y": 0.5, "border": 0.1, "entropy": 1.0, "overlay": "overlays/x.png"}],
}  # fmt: skip


def test_the_table_is_rfc_4180_and_no_cell_is_a_formula() -> None:
    failed: Any = {"image": "b\n\udcff.jpg", "status": "failed", "error": "broken, at last"}
    data = b"".join(table([ROW, failed], 2))
    assert data.count(b"\r\n") == 3
    one, two = csv.DictReader(io.StringIO(data.decode(), newline=""))
    assert list(one) == columns(2)
    assert (one["image"], one["label"], one["target_name"]) == ("'=cmd|x.jpg", "'+1", "'@x")
    assert (one["top1_name"], one["top1_prob"], one["top2_index"], one["correct"]) == (
        'say "a, b"',
        "0.123457",
        "",
        "false",
    )
    assert float(one["cam_peak"]) == 1e-9
    assert (two["image"], two["status"], two["correct"], two["cam_peak"]) == ("b\n\\udcff.jpg", "failed", "", "")


def drawing(frame: Frame = Frame(0, 0, 40, 30)) -> Drawing:
    canvas = np.full((30, 40, 3), 200, np.uint8)
    heat = np.array([[0, 1], [0, 0]], np.float32)
    return Drawing(canvas, heat, heat * 3, frame)


def test_an_overlay_colours_what_was_seen_and_dims_the_rest() -> None:
    picture = np.asarray(draw_overlay(drawing(Frame(10, 0, 40, 30)), Rendering(colormap="gray", alpha=0.5)))
    assert picture.shape == (30, 40, 3)
    assert picture[5, 5].tolist() == [80, 80, 80], "not seen: dimmed"
    assert picture[5, 35].tolist() == pytest.approx([227] * 3, abs=2), "half the picture, half the peak's white"
    assert picture[25, 12].tolist() == pytest.approx([100] * 3, abs=2)


def test_the_opacity_may_grow_with_the_heat() -> None:
    """The heat is 0 on the left and has its peak in the upper right: white over grey 200, at most half of it."""
    looks = {"even": Rendering(colormap="gray"), "heat": Rendering(colormap="gray", opacity="heat")}
    even, heat = (np.asarray(draw_overlay(drawing(), look))[:, :, 0].astype(int) for look in looks.values())
    levels = np.asarray(Image.open(io.BytesIO(SAVERS["heatmap"].encode(drawing(), Rendering())))) / 255
    assert heat == pytest.approx(200 + 0.5 * levels * (255 * levels - 200), abs=1.5)
    assert (even[25, 2], heat[25, 2]) == (100, 200)
    assert [even[2, 37], heat[2, 37]] == pytest.approx([227, 227], abs=1)


def test_below_the_least_heat_there_is_no_colour() -> None:
    look = Rendering(colormap="gray", min_heat=0.4)
    drawn = np.asarray(draw_overlay(drawing(), look))[:, :, 0].astype(int)
    levels = np.asarray(Image.open(io.BytesIO(SAVERS["heatmap"].encode(drawing(), Rendering())))) / 255
    assert (drawn[levels < 0.4] == 200).all()
    assert drawn[levels >= 0.4] == pytest.approx(100 + 0.5 * 255 * levels[levels >= 0.4], abs=1.5)
    signed = dataclasses.replace(drawing(), heat=np.array([[0, 1], [-0.3, 0]], np.float32), two_sided=True)
    both = np.asarray(draw_overlay(signed, look))
    assert both[28, 2].tolist() == [200, 200, 200], "evidence against, weaker than that"
    assert both[2, 37].tolist() != [200, 200, 200]


def test_lines_are_those_of_the_box_and_of_the_parts() -> None:
    """A peak in each of two corners, the second half as strong; all but the lines keep the value 200."""
    heat = np.zeros((6, 8), np.float32)
    heat[0, 0], heat[5, 7] = 1, 0.5
    shown = Drawing(np.full((60, 80, 3), 200, np.uint8), heat, heat, Frame(0, 0, 80, 60))

    def lines(*draw: str, threshold: float = 0.25) -> np.ndarray:
        look = Rendering(alpha=0.0, draw=draw, box_threshold=threshold)
        return (np.asarray(draw_overlay(shown, look)) != 200).any(-1)

    assert not lines().any()
    part = measured(on_raster(heat, shown.frame, 80, 60), 0.25).component
    box = lines("box")
    rows, columns = np.nonzero(box)
    edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert edges == pytest.approx([share * side for share, side in zip(part, (80, 60, 80, 60))], abs=2.1)
    # The box surrounds only the largest part, contours surround every part.
    assert not box[40:, 50:].any()
    contour = lines("contour")
    assert contour[40:, 50:].any()
    assert contour[:20, :20].any()
    assert not lines("contour", threshold=0.75)[40:, 50:].any()
    assert (lines("box", "contour") == (box | contour)).all()


@pytest.mark.parametrize("name", FORMATS)
def test_formats(name: str) -> None:
    rendering = Rendering(format=name)
    data = SAVERS["overlay"].encode(drawing(), rendering)
    assert Image.open(io.BytesIO(data)).size == (40, 30)
    assert SAVERS["overlay"].extension(rendering) == name


def test_heatmap_and_array() -> None:
    heat = Image.open(io.BytesIO(SAVERS["heatmap"].encode(drawing(), Rendering())))
    assert (heat.mode, heat.size, heat.getextrema()) == ("L", (40, 30), (0, 255))
    raw = np.load(io.BytesIO(SAVERS["array"].encode(drawing(), Rendering())))
    assert (raw.dtype, raw.tolist()) == (np.float32, [[0, 3], [0, 0]])


def test_colour_maps() -> None:
    assert palette("turbo").shape == (256, 3)
    assert {name: palette(name).dtype for name in COLORMAPS} == dict.fromkeys(COLORMAPS, np.dtype(np.uint8))
    assert palette("viridis")[[0, 255]].tolist() == [[68, 1, 84], [253, 231, 37]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"save": ("overlay", "gif")}, "`save` 'gif' is unknown"),
        ({"colormap": "turb"}, "Did you mean turbo"),
        ({"format": "tiff"}, "`format` 'tiff'"),
        ({"alpha": 1.5}, "`alpha` 1.5"),
        ({"opacity": "hot"}, "`opacity` 'hot' is unknown"),
        ({"min_heat": 1.5}, "`min_heat` 1.5 is out of range"),
        ({"draw": ("box", "contours")}, "Did you mean contour"),
        ({"size": 3}, "`size` 3"),
    ],
)
def test_impossible_renderings(values: dict[str, Any], message: str) -> None:
    with pytest.raises(CamxError, match=message):
        Rendering(**values)


def test_names_of_results() -> None:
    assert output_name("overlays", "a/x.jpg", ".png") == "overlays/a/x.jpg.png"
    assert output_name("overlays", "x.jpg", ".gradcam.3.png") == "overlays/x.jpg.gradcam.3.png"
    long = [output_name("overlays", "é" * 126 + end, ".png") for end in (".jp", ".pn")]
    assert all(len(os.fsencode(name.split("/")[-1])) <= 255 for name in long)
    assert long[0] != long[1]


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(store.System):
        def write(self, descriptor: int, data: bytes) -> int:
            super().write(descriptor, data[: len(data) // 2])
            raise OSError(28, "No space left on device")

    store.write_file(str(tmp_path / "new" / "x"), b"old")
    monkeypatch.setattr(store, "system", Full())
    with pytest.raises(OSError, match="No space"):
        store.write_file(str(tmp_path / "new" / "x"), b"changed")
    assert (tmp_path / "new" / "x").read_bytes() == b"old"


def test_rows_and_the_record_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, int]] = []

    def fsync(descriptor: int) -> None:
        name = os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))
        name = "temporary" if name.endswith(store.TEMPORARY) else name
        synced.append((name, os.fstat(descriptor).st_size))

    monkeypatch.setattr(store.System, "sync", SYNC)
    monkeypatch.setattr(os, "fsync", fsync)
    with locked_folder(str(tmp_path)) as folder:
        folder.begin({"a": 1})
        assert synced == [("temporary", (tmp_path / "run.json").stat().st_size)], "the record, before it has its name"
        folder.write("overlays/a.png", b"an overlay waits for nothing")
        folder.append([row("a")])
    assert synced[1:] == [("manifest.jsonl", (tmp_path / "manifest.jsonl").stat().st_size)]


def test_a_folder_belongs_to_one_run_at_a_time(tmp_path: Path) -> None:
    with (
        locked_folder(str(tmp_path / "out")),
        pytest.raises(CamxError, match=f"in use by another run .process {os.getpid()}"),
        locked_folder(str(tmp_path / "out")),
    ):
        pass
    assert not (tmp_path / "out").exists(), "nothing came of it"
    with locked_folder(str(tmp_path / "out")) as folder:
        folder.begin({"a": 1})
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["manifest.jsonl", "run.json"]


@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a link"])
def test_what_stands_in_the_place_of_the_journal_is_named(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    {"a folder": os.mkdir, "a pipe": os.mkfifo, "a link": lambda name: os.symlink("/dev/null", name)}[kind](path)
    said = f"manifest.jsonl' cannot be used: it is {kind}.* Remove it or choose another"
    with pytest.raises(CamxError, match=said), explained_errors(str(tmp_path)):
        Journal.open(str(path))


@pytest.mark.parametrize(
    ("before", "now", "shown"),
    [
        ("resnet18", "resnet50", "x (resnet18 → resnet50)"),
        ("/home/somebody/photos/of/cats", "/home/somebody/photos/of/dogs", "x (…s/of/cats → …s/of/dogs)"),
        ("a" * 40, "b" * 40, "x (aaaaaaaaaa… → bbbbbbbbbb…)"),
        (None, 5, "x (null → 5)"),
    ],
)
def test_differences_are_distinguishable(before: object, now: object, shown: str) -> None:
    assert differences({"x": before}, {"x": now}) == [shown]


def test_another_fingerprint_is_refused_with_what_differs(tmp_path: Path) -> None:
    with locked_folder(str(tmp_path)) as folder:
        folder.begin({"layer": "a", "size": (1, 2), "same": 0})
    with locked_folder(str(tmp_path)) as folder:
        folder.begin({"layer": "a", "size": (1, 2), "same": 0})
    with locked_folder(str(tmp_path)) as folder, pytest.raises(CamxError, match=r"Differences: layer \(a → b\), size"):
        folder.begin({"layer": "b", "size": (1, 3), "same": 0})


def test_overwriting_removes_only_what_camx_wrote(tmp_path: Path) -> None:
    with locked_folder(str(tmp_path)) as folder:
        folder.begin({"a": 1})
        folder.write("overlays/x.png", b"mine")
        folder.append([row("x", maps=[{"overlay": "overlays/x.png"}])])
    (tmp_path / "overlays" / "foreign.png").write_bytes(b"yours")
    with locked_folder(str(tmp_path)) as folder:
        folder.begin({"a": 2}, overwrite=True)
        assert list(folder.journal) == []
    assert [p.name for p in (tmp_path / "overlays").iterdir()] == ["foreign.png"]


def test_a_folder_of_others_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "predictions.csv").write_text("yours")
    with (
        locked_folder(str(tmp_path)) as folder,
        pytest.raises(CamxError, match=r"holds 'predictions.csv', but no rows or run.json of camx"),
    ):
        folder.begin({"a": 1})
    assert [p.name for p in tmp_path.iterdir()] == ["predictions.csv"]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(CamxError, match="cannot be written: Not a directory|cannot be written: File exists"),
        locked_folder(str(tmp_path / "file" / "out")),
    ):
        pass


def test_the_record_is_json(tmp_path: Path) -> None:
    with locked_folder(str(tmp_path)) as folder:
        folder.record({"name": "\udcff", "path": Path("x")})
    assert json.loads((tmp_path / "run.json").read_text())["path"] == "x"


def test_nothing_outside_our_folders_is_ever_deleted(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("yours")
    out = tmp_path / "out"
    with locked_folder(str(out)) as folder:
        folder.begin({"a": 1})
        lies = [str(victim), "../victim", "overlays/../../victim", "predictions.csv"]
        folder.append([row(str(i), maps=[{"overlay": lie}]) for i, lie in enumerate(lies)])
    (out / "run.json").write_text((out / "run.json").read_text().replace("running", "finished"))
    with locked_folder(str(out)) as folder:
        folder.begin({"a": 1}, overwrite=True)
    assert victim.read_text() == "yours"


def test_a_new_row_takes_the_files_of_the_old_one_with_it(tmp_path: Path) -> None:
    with locked_folder(str(tmp_path)) as folder:
        folder.begin({"a": 1})
        for name in ("overlays/x.png", "heatmaps/x.png", "overlays/y.png"):
            folder.write(name, b"-")
        folder.append([row("x", maps=[{"overlay": "overlays/x.png", "heatmap": "heatmaps/x.png"}])])
        folder.append([row("x", maps=[{"overlay": "overlays/x.png"}])])
        assert sorted(p.name for p in (tmp_path / "heatmaps").iterdir()) == []
        folder.append([row("x", status="failed")])
        assert [p.name for p in (tmp_path / "overlays").iterdir()] == ["y.png"]


def test_what_a_killed_run_left_half_written_is_removed(tmp_path: Path) -> None:
    with locked_folder(str(tmp_path)) as folder:
        folder.begin({"a": 1})
        folder.write("overlays/deep/x.png", b"-")
    (tmp_path / "overlays" / "deep" / f".1-2{store.TEMPORARY}").write_bytes(b"half")
    with locked_folder(str(tmp_path)) as folder:
        folder.begin({"a": 1})
    assert [p.name for p in (tmp_path / "overlays" / "deep").iterdir()] == ["x.png"]


def test_overwriting_continues_what_was_interrupted(tmp_path: Path) -> None:
    with locked_folder(str(tmp_path)) as folder:
        folder.begin({"a": 1})
        folder.append([row("x")])
    with locked_folder(str(tmp_path)) as folder:
        folder.begin({"a": 1}, overwrite=True)
        assert list(folder.journal) == ["x"]
        folder.record({"fingerprint": {"a": 1}, "state": "finished"})
    with locked_folder(str(tmp_path)) as folder:
        folder.begin({"a": 1}, overwrite=True)
        assert list(folder.journal) == []


def test_a_tiny_thumbnail_has_no_blocks() -> None:
    """The page enlarges it: 32 pixels of colour noise come back nearly unchanged."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)

    def error(canvas: np.ndarray) -> float:
        with Image.open(io.BytesIO(encode_thumbnail(Image.fromarray(canvas), 512))) as image:
            assert image.size == canvas.shape[1::-1]
            return float(np.abs(np.asarray(image, float) - canvas).mean())

    assert error(noise) < 6
    assert error(np.tile(noise, (6, 6, 1))) > 20, "the coarser one of larger pictures"
