"""Segmentations, regressions, encoders and detectors in shards, on devices, on a cluster, in bf16, compiled: equal
rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tools.tiny_detector import scene as drawn

from .task_networks import BLUE, RED, red_square, scene

Camx = Callable[..., int]
ROOT = Path(__file__).parents[1]
#: First seed of the scenes; the training of the detector used others.
FIRST = 3_000_000
OWN = "from tests.task_networks import {names}, network_of\n\n\ndef build():\n    return {network}\n"
#: By task: the module of its network, and the flags of its run.
TASKS = {
    "segmentation": (
        OWN.format(names="Colours", network="network_of(Colours())"),
        ("--target", "red", "--target", "blue"),
    ),
    "regression": (
        OWN.format(names="Redness", network="network_of(Redness(), names=('redness',))"),
        ("--evidence", "against"),
    ),
    "ordinal": (OWN.format(names="Redness", network="network_of(Redness(2), names=())"), ()),
    "similarity": (
        OWN.format(names="Encoder", network="network_of(Encoder(), names=())"),
        ("--target", "like:pairs.csv"),
    ),
    "detection": ("from tools.tiny_detector import named as build\n", ("--threshold", "0.3", "--max-boxes", "3")),
}
#: Networks with blocks that can be compiled, with random weights.
COMPILED = {
    "segmentation": ("torchvision/lraspp_mobilenet_v3_large", "--image-size", "96", "--target", "0", "--target", "3"),
    "regression": ("test_resnet", "--model-arg", "num_classes=2", "--target", "0", "--target", "1"),
    "ordinal": ("test_resnet", "--model-arg", "num_classes=4"),
    "similarity": ("test_resnet", "--model-arg", "num_classes=0", "--target", "like:refs/red.png"),
}
#: Columns of a map with its score and its place.
NUMBERS = ("target_prob", "target_value", "cam_peak", "cam_area", "cam_center_x", "cam_center_y")
LABELLED = ("segmentation", "detection")


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A task with its network, six images of which one is unreadable, labels and references in the working folder."""
    name = str(request.param)
    # Processes find the modules of the tests as this one does.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "net.py").write_text(TASKS[name][0])
    photos, references = tmp_path / "photos", tmp_path / "refs"
    photos.mkdir()
    references.mkdir()
    for number, place in enumerate((RED, BLUE, (slice(20, 50), slice(2, 30)))):
        red_square(place).save(photos / f"{number}.png")
    scene().save(photos / "3.png")
    if name == "detection":
        for number, size in enumerate([(160, 160), (160, 160), (133, 97), (61, 140)]):
            drawn(FIRST + number, 2).image.resize(size).save(photos / f"{number}.png")
    Image.new("RGB", (90, 70), (90, 90, 90)).save(photos / "plain.png")
    (photos / "broken.png").write_bytes(b"nothing")
    for colour, value in (("red", (230, 20, 20)), ("blue", (20, 20, 230))):
        Image.new("RGB", (64, 64), value).save(references / f"{colour}.png")
    pairs = [f"{number}.png,refs/{('red', 'blue')[number % 2]}.png" for number in range(4)]
    (tmp_path / "pairs.csv").write_text("\n".join(["image,reference", *pairs]) + "\n")
    classes = ("red", "blue") if name == "segmentation" else ("dog", "tree")
    labels = [f"{number}.png,{classes[number % 2]}" for number in range(4)]
    (tmp_path / "labels.csv").write_text("\n".join(["image,label", *labels]) + "\n")
    return name


def words_of(task: str) -> tuple[str, ...]:
    labels = ("--labels", "labels.csv") if task in LABELLED else ()
    common = ("-m", "net.py:build", "--task", task, "-b", "1", "-q", "-j", "1", "--max-failures", "2", "--no-report")
    return ("explain", "photos", *common, *labels, *TASKS[task][1])


def files_of(out: str) -> set[str]:
    return {str(path.relative_to(out)) for path in Path(out).rglob("*")}


def assert_equal(out: str, whole: str) -> None:
    """Rows equal byte for byte, equal names of files, equal overlays."""
    for name in ("predictions.csv", "maps.csv"):
        assert Path(out, name).read_bytes() == Path(whole, name).read_bytes(), name
    assert files_of(out) == files_of(whole)
    records = [json.loads(Path(one, "run.json").read_text()) for one in (out, whole)]
    for key in ("state", "images", "ok", "failed", "blank", "fingerprint"):
        assert records[0][key] == records[1][key], key


def maps_of(out: str) -> list[dict[str, str]]:
    with Path(out, "maps.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_shards_merged_are_the_run_as_a_whole(task: str, camx: Camx) -> None:
    words = words_of(task)
    assert camx(*words, "-o", "whole") == 0
    # Each has at least one map.
    assert len({row["image"] for row in maps_of("whole")}) >= 4
    for shard in ("2/2", "1/2"):
        assert camx(*words, "-o", "out", "--shard", shard) == 0
    assert_equal("out", "whole")
    parts = json.loads(Path("out/run.json").read_text())["shards"]
    assert [part["shard"] for part in parts] == ["1/2", "2/2"]
    assert all(0 < part["images"] < 6 for part in parts)


def test_in_bf16_the_shards_are_the_run_too_and_its_maps_are_near_those_of_fp32(task: str, camx: Camx) -> None:
    words = words_of(task)
    assert camx(*words, "-o", "fp32") == 0
    assert camx(*words, "--precision", "bf16", "-o", "whole") == 0
    for shard in ("1/2", "2/2"):
        assert camx(*words, "--precision", "bf16", "-o", "out", "--shard", shard) == 0
    assert_equal("out", "whole")
    assert json.loads(Path("whole/run.json").read_text())["fingerprint"]["precision"] == "bf16"
    rows, exact = maps_of("whole"), maps_of("fp32")
    assert Path("whole/maps.csv").read_bytes() != Path("fp32/maps.csv").read_bytes()
    assert [(row["image"], row["target_name"]) for row in rows] == [(row["image"], row["target_name"]) for row in exact]
    known = [(row, other, column) for row, other in zip(rows, exact) for column in NUMBERS if other.get(column)]
    # A blank map has no place.
    assert len({(row["image"], column) for row, _, column in known}) >= 3 * 4
    for row, other, column in known:
        assert float(row[column]) == pytest.approx(float(other[column]), abs=0.05, rel=0.05), (row["image"], column)


@pytest.mark.long
def test_two_devices_leave_what_one_does(task: str, camx: Camx) -> None:
    words = words_of(task)
    assert camx(*words, "-o", "one") == 0
    assert camx(*words, "--device", "cpu,cpu", "-o", "two") == 0
    assert_equal("two", "one")


@pytest.mark.extras
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")
def test_a_cluster_leaves_what_one_machine_does(task: str, camx: Camx) -> None:
    pytest.importorskip("ray")
    words = words_of(task)
    assert camx(*words, "-o", "one") == 0
    assert camx(*words, "-o", "ray", "--engine", "ray") == 0
    assert_equal("ray", "one")


@pytest.mark.slow
@pytest.mark.parametrize("kind", COMPILED)
@pytest.mark.parametrize("task", ["similarity"], indirect=True)
def test_compiled_a_run_writes_what_it_writes_uncompiled(
    kind: str, task: str, camx: Camx, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("explain", "photos", "--no-pretrained", "--task", kind, "-b", "3", "-j", "1", "--max-failures", "1")
    words = (*common, "--no-report", "-m", *COMPILED[kind])
    assert camx(*words, "-o", "plain") == 0
    capsys.readouterr()
    assert camx(*words, "-o", "fast", "--backend", "compile") == 0
    assert "cpu, fp32, compiled" in capsys.readouterr().err
    rows, others = maps_of("fast"), maps_of("plain")
    assert len(rows) == len(others) >= 5
    for row, other in zip(rows, others):
        for column in row:
            if column in NUMBERS and row[column]:
                assert float(row[column]) == pytest.approx(float(other[column]), rel=1e-3, abs=1e-4), column
            elif not column.startswith(("cam_", "box_", "target_")):
                assert row[column] == other[column], column
    fingerprints = [json.loads(Path(out, "run.json").read_text())["fingerprint"] for out in ("fast", "plain")]
    assert fingerprints[0] == fingerprints[1]


@pytest.mark.parametrize("task", ["detection"], indirect=True)
def test_a_detector_is_not_compiled(task: str, camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["explain", "photos", "-m", "net.py:build", "-q"]
    assert camx(*words, "--backend", "compile", "-o", "out") == 2
    assert "each at its own." in " ".join(capsys.readouterr().err.split())
    assert not Path("out").exists()
