from __future__ import annotations

import base64
import csv
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cam_cli.errors import CamxError
from cam_cli.images.listing import find
from cam_cli.outputs.run_folder import RunFolder
from cam_cli.tracking import tensorboard_log, wandb_run
from cam_cli.tracking.background import AGAIN, Background, Patience
from cam_cli.tracking.pictures import level_names, levels_of
from cam_cli.tracking.table_sample import TableSample
from cam_cli.tracking.tracker import Files, ImageCell, RunInfo, Scalar, Step, Value
from cli import push as cli_push
from cli import tracking as cli_tracking
from cli.main import run

from .conftest import TINY, picture
from .wandb_reader import LoggedRun, read_finished_run, read_run

Camx = Callable[..., int]
SAMPLES = Path(__file__).parents[1] / "sample_images"
FLAGS = ("--wandb", "--wandb-mode", "offline", "--wandb-project", "animals", "--wandb-group", "g1")
MORE = (
    "--wandb-entity",
    "zoo",
    "--wandb-tags",
    "one, two",
    "--wandb-name",
    "a name",
    "--wandb-max-images",
    4,
    "--tensorboard",
)


@pytest.fixture(autouse=True)
def nobody_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DATA_DIR", "WANDB_PROJECT", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "wandb-settings"))


@dataclass
class Tracked:
    """A run of `explain` that was logged offline and to TensorBoard."""

    images: Path
    out: Path
    code: int

    @property
    def journal(self) -> dict[str, dict[str, Any]]:
        lines = (self.out / "manifest.jsonl").read_text().splitlines()
        return {row["image"]: row for row in map(json.loads, lines)}

    @property
    def logged(self) -> LoggedRun:
        (folder,) = (self.out / "wandb").glob("offline-run-*")
        return read_run(folder)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Tracked:
    """Seven pictures in class folders, two of them in the wrong one, and a broken file; the table has room for four."""
    folder = tmp_path_factory.mktemp("tracked")
    images = folder / "images"
    for path in sorted(SAMPLES.glob("*.jpg"))[:7]:
        words = path.stem.split("-")
        target = images / ("car" if path.stem in ("bird", "cat") else words[0]) / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (images / "car" / "broken.jpg").write_bytes(b"no picture")
    argv = ["explain", images, "--labels", "folder", "--model", "demo", "-o", folder / "out", *FLAGS, *MORE]
    return Tracked(images, folder / "out", run([str(word) for word in argv]))


def test_a_run_says_who_it_is(tracked: Tracked) -> None:
    logged = tracked.logged
    assert tracked.code == logged.exit_code == 1  # one image failed
    who = logged.run
    assert (who.project, who.run_group, list(who.tags)) == ("animals", "g1", ["one", "two"])
    assert (who.entity, who.display_name, who.job_type) == ("zoo", "a name", "explain")
    config, record = logged.config, json.loads((tracked.out / "run.json").read_text())
    assert (config["command"], config["model"], config["layer"]) == ("explain", "demo", "maps")
    assert config["model_digest"] == record["fingerprint"]["weights"]
    assert config["fingerprint"] == record["fingerprint"]
    assert config["versions"] == record["versions"]
    assert config["job"]["labels"] == "folder"
    assert "command" not in config["job"]


def test_the_table_shows_the_rows_worth_looking_at(tracked: Tracked) -> None:
    table, journal = tracked.logged.table("explanations"), tracked.journal
    wrong = [name for name, row in journal.items() if row.get("correct") is False]
    assert len(table.rows) == 4
    assert table.column("path")[: len(wrong)] == sorted(wrong, key=lambda name: -journal[name]["top"][0]["prob"])
    assert set(table.column("chosen")[: len(wrong)]) == {"wrong"}
    for number, name in enumerate(table.column("path")):
        row = dict(zip(table.columns, table.rows[number], strict=True))
        written = journal[name]
        shown = written["maps"][0]
        assert (row["label"], row["correct"], row["status"]) == (written["label"], written["correct"], "ok")
        assert (row["prediction"], row["probability"]) == (written["top"][0]["name"], written["top"][0]["prob"])
        assert (row["top3_name"], row["top3_prob"]) == (written["top"][2]["name"], written["top"][2]["prob"])
        for measure in ("peak", "area", "center_x", "center_y", "border", "entropy"):
            assert row[f"cam_{measure}"] == shown[measure]
        assert (row["method"], row["layer"], row["target"]) == ("gradcam", "maps", shown["target_name"])


def test_pictures_masks_and_boxes_are_those_of_the_row(tracked: Tracked) -> None:
    table, journal = tracked.logged.table("explanations"), tracked.journal
    for shown_picture, overlay, name in zip(*(table.column(c) for c in ("image", "overlay", "path")), strict=True):
        written = journal[name]
        shown = written["maps"][0]
        with Image.open(tracked.images / name) as original, Image.open(shown_picture["file"]) as logged:
            assert max(logged.size) == min(512, max(original.size))
            small = original.resize(logged.size, Image.Resampling.BICUBIC)
            difference = np.abs(np.asarray(small, dtype=float) - np.asarray(logged, dtype=float))
            assert difference.mean() < 6 < np.asarray(logged).mean()
        assert Path(overlay["file"]).read_bytes() == (tracked.out / shown["overlay"]).read_bytes()
        ((mask_name, mask),) = shown_picture["masks"].items()
        assert mask_name == "gradcam"
        with Image.open(mask["file"]) as grid:
            levels = np.asarray(grid)
        assert max(levels.shape) == 112
        assert levels.min() == 0 < levels.max() <= 3
        # A pencil's definition: the cell of the sketch under each place, in quarters of the peak.
        sketch = shown["sketch"]
        cells = np.frombuffer(base64.b64decode(sketch["values"]), np.uint8).reshape(sketch["height"], sketch["width"])
        rows = (np.arange(levels.shape[0]) + 0.5) * cells.shape[0] // levels.shape[0]
        columns = (np.arange(levels.shape[1]) + 0.5) * cells.shape[1] // levels.shape[1]
        nearest = cells[rows.astype(int)][:, columns.astype(int)] // 64
        assert np.abs(nearest.astype(int) - levels).mean() < 0.12
        assert (levels == nearest).mean() > 0.85
        ((_, (box,)),) = shown_picture["boxes"].items()
        assert [box["position"][side] for side in ("minX", "minY", "maxX", "maxY")] == shown["box"]
        assert box["box_caption"].startswith(shown["target_name"])


def test_columns_have_types(tracked: Tracked) -> None:
    """What W&B sorts, groups and draws by; a column of mixed types would be none."""
    types = tracked.logged.table("explanations").types
    assert not [name for name, column in types.items() if column["wb_type"] == "any"]
    kinds = {name: {one["wb_type"] for one in types[name]["params"]["allowed_types"]} for name in types}
    assert kinds["probability"] == {"none", "number"}
    assert kinds["correct"] == {"none", "boolean"}
    assert kinds["image"] == {"none", "image-file"}
    (image,) = (one for one in types["image"]["params"]["allowed_types"] if one["wb_type"] == "image-file")
    assert image["params"]["mask_layers"]["params"]["val"].keys() == {"gradcam"}


def test_several_methods_and_classes_are_several_masks(camx: Camx, images: Path, recorder: Recorder) -> None:
    methods = ("--method", "gradcam", "--method", "cam")
    assert camx("explain", images, *TINY, *methods, "--target", "top:2", "--wandb") == 0
    (table,) = recorder.values("explanations")
    for cells in table.rows:
        assert set(cells[0].masks) <= {"gradcam", "gradcam 2", "cam", "cam 2"}
    assert any(len(cells[0].masks) == 4 for cells in table.rows)


def test_levels_and_box_have_names(tracked: Tracked) -> None:
    files = tracked.logged.artifacts["0 " + next(iter(tracked.logged.artifacts)).split(" ")[1]].manifest.contents
    (path,) = (entry.local_path for entry in files if entry.path.endswith(".classes.json"))
    names = {entry["id"]: entry["name"] for entry in json.loads(Path(path).read_text())["class_set"]}
    assert names == {0: "below 25 %", 1: "25–50 %", 2: "50–75 %", 3: "75–100 %", 4: "half of the peak"}


def test_what_speaks_against_a_class_has_levels_of_its_own() -> None:
    def shown(*values: int, signed: bool) -> dict[str, Any]:
        packed = base64.b64encode(bytes(values)).decode()
        return {"sketch": {"width": len(values), "height": 1, "values": packed} | ({"signed": True} if signed else {})}

    two_sided, strength = shown(1, 40, 128, 216, 255, signed=True), shown(255, 177, 0, 177, 255, signed=False)
    for one, levels in ((two_sided, [6, 5, 0, 2, 3]), (strength, [3, 2, 0, 2, 3])):
        grid = levels_of(one, 112, 20)
        assert grid is not None
        assert grid.dtype == np.uint8
        assert grid[10, 11:112:22].tolist() == levels, "the middle of each cell"
    names = level_names([strength, two_sided])
    assert (names[3], names[6]) == ("75–100 %", "75–100 % against")
    assert len(level_names([strength])) == 4, "the masks of other runs are as before"


def test_counts_accuracy_and_confusion_are_those_of_the_journal(tracked: Tracked) -> None:
    logged, journal = tracked.logged, tracked.journal
    good = [row for row in journal.values() if row["status"] == "ok"]
    summary = logged.summary
    assert (summary["images"], summary["ok"], summary["failed"], summary["blank"]) == (8, 7, 1, 0)
    assert summary["accuracy@1"] == sum(row["correct"] for row in good) / 7
    within = [any(entry["name"] == row["label"] for entry in row["top"]) for row in good]
    assert summary["accuracy@5"] == sum(within) / 7
    assert summary["cam_border"] == pytest.approx(np.mean([row["maps"][0]["border"] for row in good]))
    assert (summary["table/rows"], summary["table/of"]) == (4, 7)
    assert summary["images_per_second"] == json.loads((tracked.out / "run.json").read_text())["images_per_second"]
    pairs = Counter((row["label"], row["top"][0]["name"]) for row in good)
    assert {(a, p): n for a, p, n in logged.table("confusion_table").rows if n} == pairs
    for name, predicted, labelled, correct, accuracy in logged.table("classes").rows:
        assert predicted == sum(row["top"][0]["name"] == name for row in good)
        assert labelled == sum(row["label"] == name for row in good)
        assert correct == pairs[name, name]
        assert accuracy == (correct / labelled if labelled else None)
    ((path, label, error),) = logged.table("failures").rows
    assert (path, label) == ("car/broken.jpg", "car")
    assert error == journal[path]["error"]


def test_throughput_has_an_axis_of_its_own(tracked: Tracked) -> None:
    logged = tracked.logged
    assert logged.metrics["throughput/images_per_second"] == "throughput/images"
    notes = [row for row in logged.history if "throughput/images" in row]
    assert notes[-1]["throughput/images"] == 8
    assert notes[-1]["throughput/images_per_second"] > 0


def test_the_results_are_an_artifact(tracked: Tracked) -> None:
    files = tracked.logged.files("results")
    assert {"predictions.csv", "manifest.jsonl", "run.json", "report/index.html"} <= set(files)
    for name, path in files.items():
        assert path.is_absolute()
        assert path == tracked.out / name


def test_all_that_is_logged_lies_in_the_output_folder_and_is_no_input(tracked: Tracked) -> None:
    for artifact in tracked.logged.artifacts.values():
        for entry in artifact.manifest.contents:
            assert Path(entry.local_path).is_relative_to(tracked.out)


@pytest.mark.parametrize("name", ["wandb", "tensorboard"])
def test_what_trackers_leave_is_no_input(name: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").touch()
    for path in (tmp_path / "mine.png", tmp_path / name / "media" / "theirs.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert [source.key for source in find([str(tmp_path)]).sources] == ["mine.png"]


def test_tensorboard_has_the_same(tracked: Tracked) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tracked.out / "tensorboard"))
    events.Reload()
    summary = tracked.logged.summary
    assert events.Scalars("summary/accuracy@1")[0].value == pytest.approx(summary["accuracy@1"])
    assert events.Scalars("throughput/images_per_second")[-1].step == 8
    shown = [tag for tag in events.Tags()["images"] if tag.startswith("explanations/")]
    names = tracked.logged.table("explanations").column("path")
    assert [tag.split(" ", 1)[1] for tag in sorted(shown)] == [name.replace(" ", "_") for name in names]
    overlay = tracked.out / tracked.journal[names[0]]["maps"][0]["overlay"]
    with Image.open(overlay) as image:
        first = events.Images(sorted(shown)[0])[0]
        assert (first.width, first.height) == image.size


# Which rows


def row(
    name: str, *, prob: float = 0.9, label: str = "", correct: bool | None = None, status: str = "ok"
) -> dict[str, Any]:
    known = {} if correct is None else {"correct": correct}
    top = [] if status == "failed" else [{"index": 0, "name": f"class {name[0]}", "prob": prob}]
    return {"image": name, "status": status, "label": label, "top": top, **known}


def test_wrong_images_come_first_then_blank_then_doubtful_then_some_of_each_class() -> None:
    rows = [
        *(row(f"a{i}") for i in range(50)),
        *(row("wrong little", prob=0.6, correct=False), row("wrong very", prob=0.99, correct=False)),
        *(row("blank", status="blank"), row("failed", status="failed")),
        *(row("doubt", prob=0.4, correct=True), row("more doubt", prob=0.2)),
        *(row(f"b{i}") for i in range(3)),
    ]
    seen = TableSample(9)
    for one in rows:
        seen.add(one)
    assert seen.chosen() == {
        "wrong very": "wrong",
        "wrong little": "wrong",
        "blank": "blank",
        "more doubt": "low confidence",
        "doubt": "low confidence",
        "a0": "spread over classes",
        "b0": "spread over classes",
        "a1": "spread over classes",
        "b1": "spread over classes",
    }
    assert seen.words() == "9 of 58 images (2 wrong, 1 blank, 2 low confidence, 4 spread over classes)"
    whole = TableSample(9)
    for one in rows[-4:]:
        whole.add(one)
    assert whole.words() == "4 of 4 images (1 low confidence)"


@pytest.mark.parametrize("cap", [0, 1, 7, 40, 1000])
def test_the_choice_is_its_definition(cap: int) -> None:
    random = np.random.default_rng(3)
    rows = [
        row(f"{random.integers(5)} {i}", prob=float(random.random()), label=f"l{random.integers(4)}",
            correct=bool(random.random() < 0.9), status=str(random.choice(["ok", "ok", "ok", "blank", "failed"])))
        for i in range(300)
    ]  # fmt: skip
    seen = TableSample(cap)
    for one in rows:
        seen.add(one)
    good = [one for one in rows if one["status"] != "failed"]
    wrong = sorted((o for o in good if not o["correct"]), key=lambda o: -o["top"][0]["prob"])
    right = [o for o in good if o["correct"]]
    blank = [o for o in right if o["status"] == "blank"]
    doubtful = sorted(
        (o for o in right if o["status"] == "ok" and o["top"][0]["prob"] < 0.5), key=lambda o: o["top"][0]["prob"]
    )
    rest = [o for o in right if o["status"] == "ok" and o["top"][0]["prob"] >= 0.5]
    classes = list(dict.fromkeys(o["label"] for o in rest))
    turns = [[o for o in rest if o["label"] == name] for name in classes]
    spread = [turn[place] for place in range(300) for turn in turns if place < len(turn)]
    assert list(seen.chosen()) == [o["image"] for o in [*wrong, *blank, *doubtful, *spread]][:cap]


# Never in the way


class Recorder:
    """A tracker that remembers."""

    def __init__(self) -> None:
        self.about: RunInfo | None = None
        self.logged: list[tuple[dict[str, Value], Step | None]] = []
        self.finished: tuple[dict[str, Scalar], int] | None = None

    def begin(self, about: RunInfo) -> None:
        self.about = about

    def log(self, values: Mapping[str, Value], at: Step | None = None) -> None:
        self.logged.append((dict(values), at))

    def finish(self, summary: Mapping[str, Scalar], exit_code: int) -> None:
        self.finished = (dict(summary), exit_code)

    def values(self, name: str) -> list[Any]:
        return [values[name] for values, _ in self.logged if name in values]


NOBODY = RunInfo("explain", "out", "a run", {}, "0")
SHORT = Patience(answer=0.2, start=0.2, finish=0.2)


def test_a_tracker_that_hangs_is_left_behind() -> None:
    said: list[str] = []
    release = threading.Event()

    class Hanging(Recorder):
        def begin(self, about: RunInfo) -> None:
            release.wait()

    tracker = Background(Hanging, "W&B", said.append, patience=SHORT)
    tracker.begin(NOBODY)
    for number in range(5000):
        tracker.log({"n": number})
    tracker.finish({}, 0)
    release.set()
    assert said == [f"W&B did not take everything within 0 s and is left behind. {AGAIN}"]


@pytest.mark.parametrize("method", ["begin", "log", "finish"])
def test_a_tracker_that_fails_is_switched_off_with_one_warning(method: str) -> None:
    said: list[str] = []
    recorder = Recorder()

    def broken(*_: object) -> None:
        raise OSError("no space left")

    setattr(recorder, method, broken)
    tracker = Background(lambda: recorder, "W&B", said.append)
    tracker.begin(NOBODY)
    tracker.log({"n": 1})
    tracker.log({"n": 2})
    tracker.finish({}, 0)
    assert said == [f"W&B is switched off: no space left. {AGAIN}"]


def test_whoever_insists_hears_of_it_at_once() -> None:
    def unreachable() -> Recorder:
        raise OSError("no route to host")

    said: list[str] = []
    with pytest.raises(CamxError, match="W&B cannot be reached: no route to host"):
        Background(unreachable, "W&B", said.append, insist=True)
    assert said == []


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def no_server() -> str:
    """An address that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_server_that_refuses_or_is_silent_does_not_answer(silent_server: str, no_server: str) -> None:
    assert not wandb_run._answers(no_server, 0.2)
    assert not wandb_run._answers(silent_server, 0.2)


@pytest.fixture
def mute_server() -> Iterator[str]:
    """The address of a server that answers a look at its page, and nothing that is sent to it."""
    release = threading.Event()

    class Mute(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            self.send_error(404)

        def do_POST(self) -> None:
            release.wait(60)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mute) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        release.set()
        server.shutdown()
        thread.join()


SCRIPT = """
import os, signal, sys
from cam_cli.tracking.background import Background, Patience
from cam_cli.tracking.tracker import ImageCell, RunInfo, Step, Table
from cam_cli.tracking.wandb_run import WandbTracker
from cam_cli.tracking.options import WandbOptions
mode, start, picture, how = sys.argv[1:]
patience = Patience(answer=1, start=float(start), finish=30)
def tell(text): print(text, flush=True)
tracker = Background(lambda: WandbTracker(WandbOptions(mode=mode), tell, tell, patience), "W&B", tell, patience=patience)
tracker.begin(RunInfo("explain", "out", "a run", {"layer": "layer4"}, "0"))
tracker.log({"speed": 3.5}, Step("images", 10))
tracker.log({"table": Table(("picture",), [[ImageCell(picture, 64)]])})
if how == "killed":
    import glob, time
    # W&B writes every 15 s or so.
    while not any(os.path.getsize(path) > 100 for path in glob.glob("out/wandb/offline-run-*/*.wandb")):
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)
tracker.finish({"images": 1}, 0)
"""


def script(tmp_path: Path, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A run with numbers and a picture in a process of its own."""
    picture(80, 60).save(tmp_path / "picture.png")
    command = [sys.executable, "-c", SCRIPT, *argv[:2], str(tmp_path / "picture.png"), *argv[2:]]
    settings = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **environment}
    return subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("server", ["no_server", "silent_server", "mute_server"])
@pytest.mark.slow
def test_without_a_server_a_run_is_offline_with_one_warning(
    server: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(server)
    ended = script(tmp_path, "auto", "2", "to the end", WANDB_BASE_URL=url, WANDB_API_KEY="0" * 40)
    (folder,) = (tmp_path / "out" / "wandb").glob("offline-run-*")
    (line,) = ended.stdout.splitlines()
    assert line.startswith("W&B run kept offline (")
    assert line.endswith(f"Send it with: wandb sync out/wandb/{folder.name}")
    assert ended.returncode == 0
    logged = read_run(folder)
    assert (logged.config["layer"], logged.summary["images"], logged.exit_code) == ("layer4", 1, 0)
    (shown,) = logged.table("table").column("picture")
    with Image.open(shown["file"]) as image:
        assert image.size == (64, 48)
    # Nothing of the key is anywhere.
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_file() or b"0" * 40 not in path.read_bytes(), path


@pytest.mark.slow
def test_a_killed_run_can_be_read(tmp_path: Path) -> None:
    assert script(tmp_path, "offline", "2", "killed").returncode == -signal.SIGKILL
    (folder,) = (tmp_path / "out" / "wandb").glob("offline-run-*")
    logged = read_run(folder)
    assert logged.config["layer"] == "layer4"
    assert logged.history[0]["speed"] == 3.5
    assert logged.history[0]["images"] == 10
    assert logged.summary.get("images") != 1


@pytest.mark.slow
def test_wandb_is_imported_only_when_asked_for(tmp_path: Path) -> None:
    code = (
        "import sys; from cli.main import run; "
        f"assert run(['explain', {str(SAMPLES / 'cat.jpg')!r}, '--model', 'demo', '-q']) == 0; "
        "assert not [name for name in ('wandb', 'tensorboard') if name in sys.modules]"
    )
    settings = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=settings, check=True, timeout=120)


@pytest.mark.slow
def test_more_pictures_than_wandb_takes_at_once_survive(camx: Camx, tmp_path: Path) -> None:
    """W&B drops what is over 108 pictures of one name and step; tables do not."""
    for index in range(130):
        picture(40, 30, seed=index).save(tmp_path / f"{index:03}.png")
    assert camx("explain", *sorted(tmp_path.glob("*.png")), *TINY, *FLAGS, "-o", "out") == 0
    (folder,) = Path("out/wandb").glob("offline-run-*")
    table = read_run(folder).table("explanations")
    for name, shown in zip(table.column("path"), table.column("image"), strict=True):
        with Image.open(tmp_path / name) as original, Image.open(shown["file"]) as logged:
            difference = np.abs(np.asarray(original, dtype=float) - np.asarray(logged, dtype=float))
            assert difference.mean() < 6
    assert len(table.rows) == 130


@pytest.mark.slow
def test_trainings_and_sheets_reach_wandb(camx: Camx, images: Path) -> None:
    argv = ["train-gap", images, *TINY, "--freeze", "none", "--epochs", 2, "--log-cams", 2, "--image-size", 32]
    assert camx(*argv, *FLAGS, "-o", "gap") == 0
    assert camx("activations", images, *TINY, *FLAGS, "-o", "sheets") == 0
    (gap,), (sheets,) = (list(Path(out, "wandb").glob("offline-run-*")) for out in ("gap", "sheets"))
    logged = read_run(gap)
    assert (logged.run.job_type, logged.metrics["train/loss"]) == ("train-gap", "epoch")
    assert [row["epoch"] for row in logged.history if "train/loss" in row] == [1, 2]
    for epoch, table in enumerate(logged.tables("cams"), 1):
        for path, shown in zip(table.column("path"), table.column("picture"), strict=True):
            assert Path(shown["file"]).read_bytes() == Path(f"gap/cams/epoch-{epoch:03}", path).read_bytes()
    assert len(logged.tables("cams")) == 2
    assert logged.files("model") == {"model.safetensors": Path("gap/model.safetensors").absolute()}
    (model,) = (artifact for artifact in logged.artifacts.values() if artifact.type == "model")
    record = json.loads(Path("gap/run.json").read_text())
    assert json.loads(model.metadata)["val_accuracy"] == record["val_accuracy"] == logged.summary["val_accuracy"]
    assert logged.table("confusion_table").columns == ["Actual", "Predicted", "nPredictions"]
    logged = read_run(sheets)
    table = logged.table("activations")
    assert len(table.rows) == logged.summary["images"] == 7
    for path, shown in zip(table.column("path"), table.column("sheet"), strict=True):
        assert Path(shown["file"]).read_bytes() == Path("sheets/activations", f"{path}.png").read_bytes()


@pytest.mark.slow
def test_the_same_command_again_continues_the_wandb_run(camx: Camx, images: Path) -> None:
    assert camx("explain", images, *TINY, *FLAGS, "--limit", 3, "-o", "out") == 0
    assert camx("explain", images, *TINY, *FLAGS, "-o", "out") == 0
    assert camx("explain", images, *TINY, *FLAGS, "-o", "out", "--size", 64, "--overwrite") == 0
    runs = [read_finished_run(folder) for folder in sorted(Path("out/wandb").glob("offline-run-*"))]
    first, second, other = (logged.run.run_id for logged in runs)
    assert first == second != other
    assert [logged.summary["images"] for logged in runs] == [3, 7, 7]


def test_online_insists_before_anything_is_done(
    camx: Camx, no_server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ("explain", SAMPLES, "--model", "no such model", "--wandb", "--wandb-mode", "online")
    assert camx(*argv) == 2
    assert "W&B cannot be reached: no API key" in capsys.readouterr().err
    assert not Path("camx-out").exists()


def test_modes_and_missing_packages_are_explained(
    camx: Camx, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert camx("explain", images, *TINY, "--wandb", "--wandb-mode", "ofline") == 2
    assert "--wandb-mode 'ofline' is unknown. Did you mean offline" in capsys.readouterr().err
    monkeypatch.setattr(tensorboard_log, "find_spec", lambda name: None)
    assert camx("explain", images, *TINY, "--tensorboard") == 2
    assert "pip install 'camx[tensorboard]'" in capsys.readouterr().err
    assert camx("push", images) == 2
    assert "Give --wandb or --tensorboard" in capsys.readouterr().err
    assert camx("push", images, "--wandb") == 2
    assert "holds no results of `camx explain`, `activations` or `train-gap`" in capsys.readouterr().err
    assert camx("push", "nowhere", "--wandb") == 2
    assert "There is no folder 'nowhere'" in capsys.readouterr().err


def test_pictures_open_also_where_pillow_lacks_a_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cam_cli.images import decode
    from cam_cli.tracking.pictures import opened

    Image.new("RGB", (8, 6)).save(tmp_path / "x.webp")
    Image.init()
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    decode.readable_formats.cache_clear()
    try:
        assert opened(str(tmp_path / "x.webp"), 512).size == (8, 6)
    finally:
        decode.readable_formats.cache_clear()


def test_the_same_results_are_the_same_run(tmp_path: Path) -> None:
    first = wandb_run.run_id(str(tmp_path), "a")
    assert wandb_run.run_id(str(tmp_path), "a") == first
    other = wandb_run.run_id(str(tmp_path), "b")
    assert other != first
    assert wandb_run.run_id(str(tmp_path), "b") == other
    (tmp_path / ".wandb-run").write_text("{")
    assert wandb_run.run_id(str(tmp_path), "b") != other


# What is logged of a command


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Takes what the trackers asked for would get."""
    made = Recorder()
    for module in (cli_tracking, cli_push):
        monkeypatch.setattr(module, "trackers", lambda *_, **__: [made])
    return made


def test_a_run_and_a_push_log_the_same(camx: Camx, images: Path, recorder: Recorder) -> None:
    assert camx("explain", images, *TINY, "--wandb") == 0
    about, (tables, _), finished = recorder.about, recorder.logged[-1], recorder.finished
    recorder.logged.clear()
    assert camx("push", "camx-out", "--wandb") == 0
    assert recorder.about == about
    assert recorder.finished == finished
    assert recorder.logged[-1][0].keys() == tables.keys()
    assert recorder.logged[-1][0]["classes"] == tables["classes"]
    assert recorder.logged[-1][0]["results"] == tables["results"]


def test_a_folder_from_elsewhere_shows_its_overlays(
    camx: Camx, images: Path, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    camx("explain", images, *TINY, "--no-report")
    shutil.move("camx-out", "moved")
    (images / "cat" / "0.jpg").unlink()
    assert camx("push", "moved", "--wandb", "--wandb-max-images", 7) == 0
    (table,) = recorder.values("explanations")
    cells = {r[-1]: dict(zip(table.columns, r, strict=True)) for r in table.rows}
    assert cells["cat/0.jpg"]["image"] is None
    assert cells["cat/2.jpg"]["image"].path == str(images / "cat" / "2.jpg")
    assert cells["cat/0.jpg"]["overlay"].path == "moved/overlays/cat/0.jpg.png"
    assert "1 pictures are not where they were" in capsys.readouterr().err


def test_thumbnails_stand_in_for_pictures_that_are_gone(camx: Camx, images: Path, recorder: Recorder) -> None:
    camx("explain", images / "cat" / "1.png", *TINY)
    (images / "cat" / "1.png").unlink()
    assert camx("push", "camx-out", "--wandb") == 0
    (table,) = recorder.values("explanations")
    (written,) = map(json.loads, Path("camx-out/manifest.jsonl").read_text().splitlines())
    assert table.rows[0][0].path == f"camx-out/{written['thumb']}"


def test_a_run_that_was_stopped_tells_its_exit_code_and_no_tables(camx: Camx, images: Path, recorder: Recorder) -> None:
    (images / "cat" / "0.jpg").write_bytes(b"")
    assert camx("explain", images, *TINY, "--wandb", "-o", images / "cat" / "1.png") == 2
    assert (recorder.about, recorder.finished) == (None, ({}, 2))


def test_activations_log_their_sheets(camx: Camx, images: Path, recorder: Recorder) -> None:
    (images / "cat" / "0.jpg").write_bytes(b"")
    assert camx("activations", images, *TINY, "--wandb", "-o", "out", "--wandb-max-images", 5) == 1
    assert recorder.about is not None
    assert recorder.about.command == "activations"
    (table,), (failures,), (files,) = map(recorder.values, ("activations", "failures", "results"))
    assert [r[-1] for r in table.rows] == ["cat/1.png", "cat/2.jpg", "cat/3.png", "dog/4.jpg", "dog/5.png"]
    for cells in table.rows:
        assert cells[0] == ImageCell(f"out/activations/{cells[-1]}.png")
    assert [r[0] for r in failures.rows] == ["cat/0.jpg"]
    assert set(files.paths) == {"activations.csv", "manifest.jsonl", "run.json"}
    summary, code = recorder.finished or ({}, None)
    assert (summary["images"], summary["failed"], summary["table/of"], code) == (7, 1, 6, 1)


def test_a_training_logs_every_epoch_and_its_best_network(camx: Camx, images: Path, recorder: Recorder) -> None:
    argv = ["train-gap", images, *TINY, "--freeze", "none", "--epochs", 3, "--log-cams", 2, "-o", "gap"]
    assert camx(*argv, "--image-size", 32, "--wandb") == 0
    about, trained, finished = recorder.about, list(recorder.logged), recorder.finished
    assert about is not None
    assert (about.command, about.config["plan"]["epochs"]) == ("train-gap", 3)
    losses = [(at.value, values["train/loss"]) for values, at in trained if at and "train/loss" in values]
    with open("gap/metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert losses == [(int(r["epoch"]), pytest.approx(float(r["train_loss"]), rel=1e-5)) for r in rows]
    cams = [(at.value, values["cams"]) for values, at in trained if at and "cams" in values]
    assert [epoch for epoch, _ in cams] == [1, 2, 3]
    for epoch, table in cams:
        paths = [cells[0].path for cells in table.rows]
        assert len(paths) == 2
        assert all(Path(path).is_file() and f"epoch-{epoch:03}" in path for path in paths)
    (model,) = recorder.values("model")
    record = json.loads(Path("gap/run.json").read_text())
    assert model == Files("model", {"model.safetensors": "gap/model.safetensors"}, model.metadata)
    assert model.metadata["val_accuracy"] == record["val_accuracy"]
    summary, code = finished or ({}, None)
    assert code == 0
    assert {"price_of_cam", "original_accuracy", "best_epoch"} <= set(summary)
    assert summary["val_accuracy"] == record["val_accuracy"]

    recorder.logged.clear()
    assert camx("push", "gap", "--wandb") == 0
    assert recorder.about is not None
    assert recorder.about.identity == about.identity
    again = [(at.value, values["cams"]) for values, at in recorder.logged if at and "cams" in values]
    assert again == cams
    assert recorder.finished == finished


def test_feature_maps_of_epochs_are_logged_beside_the_cams(tmp_path: Path) -> None:
    from cam_cli.tracking.training_log import epoch_pictures

    for kind in ("cams", "activations"):
        path = tmp_path / kind / "epoch-002" / "cat" / "0.png"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(path)
        (path.parent / "1.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0")
    run = RunFolder(str(tmp_path), "train-gap", {})
    tables = epoch_pictures(run, 2)
    assert set(tables) == {"cams", "activations"}
    assert all([row[2] for row in table.rows] == ["cat/0.png"] for table in tables.values())  # type: ignore[union-attr]
    assert epoch_pictures(run, 1) == {}
