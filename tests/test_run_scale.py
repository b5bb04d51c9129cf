"""`--scale`: one colour is one raw value in every map of a run, on resume and in shards."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cam_cli.errors import CamxError
from cam_cli.maps.heatmap import normalised
from cam_cli.outputs.options import Rendering
from cam_cli.pipeline import run_scale
from cam_cli.pipeline.run_scale import are_drawn, run_scales

from .conftest import TINY
from .explain_support import journal

Camx = Callable[..., int]
KINDS = ("overlays", "heatmaps", "panels")
LOOK = ("--save", "overlay,heatmap", "--panel", "overlay,map", "--no-report", "-q")


def last_rows(out: str) -> dict[str, dict[str, Any]]:
    return {row["image"]: row for row in journal(Path(out))}


def files(out: str, *kinds: str) -> dict[str, bytes]:
    paths = [path for kind in kinds for path in Path(out, kind).rglob("*") if path.is_file()]
    return {str(path.relative_to(out)): path.read_bytes() for path in paths}


def scale_of(out: str) -> float:
    (scale,) = json.loads(Path(out, "run.json").read_text())["colour_scales"].values()
    return float(scale)


def row_of(peak: float | None, method: str = "gradcam", scale: float | None = None) -> Any:
    one = {"method": method, "peak": peak, "area": None if peak in (None, 0) else 0.5}
    return {"image": "x", "status": "ok", "maps": [one if scale is None else {**one, "colour_scale": scale}]}


def test_the_scale_is_a_peak_that_one_of_a_hundred_exceeds() -> None:
    rows = [row_of(float(peak)) for peak in range(1, 101)] + [row_of(1e9)]
    random.Random(0).shuffle(rows)
    assert run_scales(rows) == {"gradcam": 100.0}, "one map out of 101 does not take the colours of the others"
    assert run_scales(rows[:20]) == {"gradcam": max(row["maps"][0]["peak"] for row in rows[:20])}
    others = [row_of(-7.0, "lime"), row_of(2.0, "lime"), row_of(None, "lime"), row_of(0.0, "rise")]
    assert run_scales([*rows, *others]) == {"gradcam": 100.0, "lime": 7.0}


def test_a_run_is_drawn_when_every_map_is_on_its_scale() -> None:
    assert are_drawn([row_of(1.0, scale=3.0), row_of(3.0, scale=3.0), row_of(0.0)])
    assert not are_drawn([row_of(1.0, scale=3.0), row_of(3.0)])
    assert not are_drawn([row_of(1.0, scale=2.0), row_of(3.0, scale=2.0)])


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 2.0, 1e30, 1e300])
def test_a_map_on_a_scale_is_its_raw_values_in_shares_of_it(scale: float) -> None:
    values = np.array([[-1, 0.5], [1, 4]], np.float32)
    for two_sided, low in ((False, 0.0), (True, -1.0)):
        heat = normalised(values, two_sided=two_sided, scale=scale)
        assert heat is not None
        assert heat == pytest.approx(np.clip(values / np.float64(scale), low, 1), abs=1e-6)


def test_colours_of_a_run_are_those_of_its_number(camx: Camx, images: Path) -> None:
    assert camx("explain", images, *TINY, *LOOK, "--scale", "run", "-o", "run") == 0
    scale = scale_of("run")
    peaks = [row["maps"][0]["peak"] for row in last_rows("run").values()]
    assert scale == max(peaks) > min(peaks)
    assert {row["maps"][0]["colour_scale"] for row in last_rows("run").values()} == {scale}
    assert camx("explain", images, *TINY, *LOOK, "--scale", repr(scale), "-o", "number") == 0
    assert camx("explain", images, *TINY, *LOOK, "-o", "each") == 0
    drawn = files("run", *KINDS)
    assert len(drawn) == 3 * len(peaks)
    assert drawn == files("number", *KINDS)
    strongest = max(last_rows("run").values(), key=lambda row: row["maps"][0]["peak"])["maps"][0]
    same = {name for name, data in files("each", *KINDS).items() if drawn[name] == data}
    assert same == {strongest[kind] for kind in ("overlay", "heatmap", "panel")}, "that with the largest peak alone"
    for image, row in last_rows("run").items():
        (own,), (each,) = row["maps"], last_rows("each")[image]["maps"]
        assert {name: own[name] for name in each} == each, "measures and boxes are shares of each peak"
        assert row["files"] == {
            name: {"bytes": len(data), "crc32": row["files"][name]["crc32"]}
            for name, data in files("run", *KINDS, "arrays").items()
            if name in row["files"]
        }
    # Without work, the run writes nothing.
    before = Path("run/manifest.jsonl").read_bytes()
    assert camx("explain", images, *TINY, *LOOK, "--scale", "run", "-o", "run", "--verify") == 0
    assert Path("run/manifest.jsonl").read_bytes() == before


def test_images_that_come_later_change_the_colours_of_all(camx: Camx, images: Path) -> None:
    words = ("explain", images, *TINY, *LOOK, "--scale", "run")
    assert camx(*words, "-o", "whole") == 0
    strongest = max(last_rows("whole").values(), key=lambda row: row["maps"][0]["peak"])["image"]
    assert camx(*words, "--exclude", Path(strongest).name, "-o", "grown") == 0
    early = files("grown", *KINDS)
    assert scale_of("grown") < scale_of("whole")
    assert camx(*words, "-o", "grown") == 0
    assert json.loads(Path("grown/run.json").read_text())["skipped"] == len(last_rows("whole")) - 1
    assert files("grown", *KINDS) == files("whole", *KINDS)
    assert not {name for name, data in files("grown", *KINDS).items() if early.get(name) == data}


def test_shards_are_drawn_by_the_last_of_them(
    camx: Camx, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("explain", images, *TINY, *LOOK, "--scale", "run")
    assert camx(*words, "-o", "whole") == 0
    assert camx(*words, "-o", "parts", "--shard", "1/2") == 0
    assert not files("parts", *KINDS), "one shard does not know the maps of the other"
    shutil.copytree("parts", "by-hand")
    assert camx(*words, "-o", "parts", "--shard", "2/2") == 0
    assert files("parts", *KINDS) == files("whole", *KINDS)
    assert scale_of("parts") == scale_of("whole")
    assert Path("parts/maps.csv").read_bytes() == Path("whole/maps.csv").read_bytes()

    monkeypatch.setattr(sys.modules["cam_cli.distributed.run"], "may_be_complete", lambda *_: False)
    assert camx(*words, "-o", "by-hand", "--shard", "2/2") == 0
    capsys.readouterr()
    assert camx("merge", "by-hand") == 0
    assert "The overlays are not drawn: one colour scale for a run needs all maps" in capsys.readouterr().err.replace(
        "\n", " "
    )
    assert not files("by-hand", *KINDS)
    assert camx(*words, "-o", "by-hand") == 0
    assert files("by-hand", *KINDS) == files("whole", *KINDS)


@pytest.mark.long
def test_devices_are_drawn_together(camx: Camx, images: Path) -> None:
    words = ("explain", images, *TINY, *LOOK, "--scale", "run")
    assert camx(*words, "-o", "one") == camx(*words, "-o", "two", "--device", "cpu,cpu") == 0
    assert files("two", *KINDS) == files("one", *KINDS)


def test_what_cannot_be_drawn_loses_its_old_colours_and_keeps_its_row(
    camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("explain", images, *TINY, *LOOK[:-1], "--scale", "run", "-o", "out")
    assert camx(*words, "-o", "whole") == 0
    strongest = max(last_rows("whole").values(), key=lambda row: row["maps"][0]["peak"])["image"]
    assert camx(*words, "--exclude", Path(strongest).name) == 0
    hurt = next(row for image, row in last_rows("out").items() if image != strongest)
    array = Path("out", hurt["maps"][0]["array"])
    array.write_bytes(array.read_bytes()[:-4] + b"\0\0\0\0")
    capsys.readouterr()
    assert camx(*words) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert (
        f"1 image could not be drawn on the scale of the run ({hurt['image']}: the array of its map is damaged" in said
    )
    row = last_rows("out")[hurt["image"]]
    assert (row["status"], row["top"]) == ("ok", hurt["top"])
    assert not {"overlay", "heatmap", "panel", "colour_scale"} & row["maps"][0].keys()
    assert len(files("out", "overlays")) == len(last_rows("whole")) - 1
    assert camx(*words, "--verify") == 0
    assert files("out", *KINDS) == files("whole", *KINDS)


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "images", ""])
def test_a_scale_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(CamxError, match="give image, run or a raw value above 0"):
        Rendering(scale=value)


def test_words_of_a_caption_have_a_scale_already(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("caption", images, "--model", "hf:nothing", "--scale", "run") == 2
    assert "--scale works only for maps of classes" in capsys.readouterr().err


def test_a_run_that_is_ended_while_it_draws_goes_on_there(
    camx: Camx, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("explain", images, *TINY, *LOOK, "--scale", "run")
    assert camx(*words, "-o", "whole") == 0
    results = run_scale._Drawing.results

    def ended(self: Any, rows: Any, count: int, stop: Any) -> Any:
        for number, one in enumerate(results(self, rows, 1, stop)):
            stop.signal = signal.SIGINT if number == 0 else stop.signal
            yield one

    with monkeypatch.context() as patched:
        patched.setattr(run_scale._Drawing, "results", ended)
        assert camx(*words, "-o", "ended") == 130
    record = json.loads(Path("ended/run.json").read_text())
    assert (record["state"], record["ok"]) == ("interrupted", len(last_rows("whole")))
    assert 0 < len(files("ended", "overlays")) < len(last_rows("whole"))
    assert Path("ended/predictions.csv").exists()
    assert camx(*words, "-o", "ended") == 0
    record = json.loads(Path("ended/run.json").read_text())
    assert (record["state"], record["skipped"]) == ("finished", len(last_rows("whole")))
    assert files("ended", *KINDS) == files("whole", *KINDS)
    assert Path("ended/maps.csv").read_bytes() == Path("whole/maps.csv").read_bytes()
