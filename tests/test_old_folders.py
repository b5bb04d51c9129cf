"""Folders made by camx 0.1.0 stay usable: the same command continues them, and report, push and merge read them.

`tests/fixtures/0.1.0/README.md` lists the command behind each folder. A journal knows its images by size and time of
modification, which git does not keep: the fixture below restores the times.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cam_cli.cams.engine.explainer import Explainer

from .wandb_reader import LoggedRun, read_finished_run

Camx = Callable[..., int]
FIXTURES = Path(__file__).parent / "fixtures" / "0.1.0"
BROKEN = "cat/broken.jpg"

RUN = ("images", "--model", "demo", "--labels", "folder", "--size", 48, "--device", "cpu", "--workers", 1)
SHARDED = ("explain", *RUN, "--save", "heatmap", "--no-report", "--exclude", "broken.jpg", "-o", "sharded")
HALF = ("explain", *RUN, "--save", "array", "--no-report", "--batch-size", 1)
GAP = (
    *("train-gap", "data", "--model", "timm/test_convnext"),
    *("--model-arg", "dims=(4,4,4,8)", "--model-arg", "num_classes=2", "--checkpoint", "backbone.safetensors"),
    *("--image-size", 64, "--batch-size", 8, "--device", "cpu", "--workers", 1, "--log-cams", 1),
)
COMMANDS: dict[str, tuple[object, ...]] = {
    "explain": ("explain", *RUN, "--save", "overlay,heatmap,array", "--limit", 5, "-o", "explain"),
    "activations": (
        *("activations", "images", "--model", "demo", "--max-channels", 1, "--limit", 2),
        *("--device", "cpu", "--workers", 1, "-o", "activations"),
    ),
    "sharded": SHARDED,
    "killed": (*HALF, "-o", "killed"),
    "interrupted": (*HALF, "-o", "interrupted"),
    "trained": (*GAP, "--epochs", 2, "--log-activations", 1, "-o", "trained"),
    "half-trained": (*GAP, "--epochs", 4, "-o", "half-trained"),
}


@pytest.fixture
def old(camx: Camx) -> Camx:
    """`camx` in a folder with everything that 0.1.0 wrote, as if 0.1.0 had written it there."""
    here = Path.cwd()
    shutil.copytree(FIXTURES, here, dirs_exist_ok=True)
    for record in here.rglob("run.json"):
        record.write_text(record.read_text("utf-8").replace("{folder}", str(here)), "utf-8")
    for journal in here.rglob("manifest.jsonl"):
        for row in rows_of(journal):
            os.utime(here / "images" / row["image"], ns=(row["mtime_ns"], row["mtime_ns"]))
    return camx


def rows_of(journal: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(journal).read_text("utf-8").splitlines()]


def table_of(path: str | Path) -> dict[str, dict[str, str]]:
    """The rows of a table by image."""
    with open(path, encoding="utf-8", newline="") as file:
        return {row["image"]: row for row in csv.DictReader(file)}


def record_of(out: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(Path(out, "run.json").read_text("utf-8"))
    return record


def pictures_of(out: str) -> dict[str, tuple[int, int]]:
    """The files of images, and those that change when one is written again."""
    kinds = ("overlays", "heatmaps", "arrays", "activations", "report/thumbs")
    files = [path for kind in kinds for path in Path(out, kind).rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


@pytest.mark.parametrize(
    ("name", "option", "difference"),
    [("explain", ("--seed", 1), "seed (0 → 1)"), ("activations", ("--sort", "index"), "sort (energy → index)")],
)
def test_another_command_is_refused_with_the_difference(
    old: Camx, name: str, option: tuple[object, ...], difference: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert old(*COMMANDS[name], *option) == 2
    assert re.findall(r"[\w.]+ \([^()]* → [^()]*\)", capsys.readouterr().err) == [difference]


def test_a_finished_explain_explains_nothing_again(old: Camx) -> None:
    journal, table = Path("explain/manifest.jsonl").read_bytes(), Path("explain/predictions.csv").read_bytes()
    pictures, before = pictures_of("explain"), table_of("explain/predictions.csv")
    assert len(pictures) == 4 * 4
    assert old(*COMMANDS["explain"]) == 1  # the broken image fails again
    assert pictures_of("explain") == pictures
    assert Path("explain/manifest.jsonl").read_bytes().startswith(journal)
    added = rows_of("explain/manifest.jsonl")[len(journal.splitlines()) :]
    assert {row["image"] for row in added} <= {BROKEN}
    # The text of an error may change between versions, nothing else in the table.
    after = table_of("explain/predictions.csv")
    assert after[BROKEN]["error"]
    lines = Path("explain/predictions.csv").read_bytes().splitlines(keepends=True)
    broken = list(after).index(BROKEN) + 1
    kept = table.splitlines(keepends=True)
    assert lines[:broken] + lines[broken + 1 :] == kept[:broken] + kept[broken + 1 :]
    assert after[BROKEN] | {"error": ""} == before[BROKEN] | {"error": ""}
    record = record_of("explain")
    assert (record["state"], record["skipped"], record["ok"], record["failed"]) == ("finished", 4, 4, 1)


def test_names_of_classes_are_changed_without_a_forward(old: Camx, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = Explainer.explain, list[str]()

    def counted(self: Explainer, images: Any) -> Any:
        seen.extend(image.source.key for image in images)
        return real(self, images)

    monkeypatch.setattr(Explainer, "explain", counted)
    names, pictures = [f"kind {number}" for number in range(12)], pictures_of("explain")
    Path("names.txt").write_text("\n".join(names))
    assert old(*COMMANDS["explain"], "--class-names", "names.txt") == 1  # the broken image
    assert seen == []
    assert pictures_of("explain") == pictures
    rows = [row for row in table_of("explain/predictions.csv").values() if row["status"] == "ok"]
    assert len(rows) == 4
    assert all(row["top1_name"] == names[int(row["top1_index"])] for row in rows)


def test_finished_activations_read_nothing_again(old: Camx) -> None:
    kept = [Path("activations", name).read_bytes() for name in ("manifest.jsonl", "activations.csv")]
    pictures = pictures_of("activations")
    assert len(pictures) == 2
    assert old(*COMMANDS["activations"]) == 0
    assert pictures_of("activations") == pictures
    assert [Path("activations", name).read_bytes() for name in ("manifest.jsonl", "activations.csv")] == kept
    assert record_of("activations")["skipped"] == 2


@pytest.mark.parametrize(
    "joined_by", [("merge", "sharded"), SHARDED, (*SHARDED, "--shard", "2/2")], ids=["merge", "whole", "shard"]
)
def test_shards_that_were_never_merged_become_one_folder(old: Camx, joined_by: tuple[object, ...]) -> None:
    parts = [row for part in ("1-of-2", "2-of-2") for row in rows_of(f"sharded/parts/{part}/manifest.jsonl")]
    pictures = pictures_of("sharded")
    assert len(parts) == len(pictures) == 9
    assert old(*joined_by) == 0
    assert not Path("sharded/parts").exists()
    assert Path("sharded/predictions.csv").read_bytes() == Path("sharded-merged.csv").read_bytes()
    assert sorted(rows_of("sharded/manifest.jsonl"), key=repr) == sorted(parts, key=repr)
    assert pictures_of("sharded") == pictures
    record = record_of("sharded")
    assert (record["state"], record["images"], record["ok"], record["failed"]) == ("finished", 9, 9, 0)


@pytest.mark.parametrize("name", ["killed", "interrupted"])
def test_half_a_run_is_finished(old: Camx, name: str) -> None:
    journal = Path(name, "manifest.jsonl").read_bytes()
    done = {row["image"] for row in rows_of(f"{name}/manifest.jsonl") if row["status"] == "ok"}
    # The run that SIGTERM ended also left arrays without a row: the next run writes them again.
    kept = {path: pictures_of(name)[path] for path in (f"{name}/arrays/{image}.npy" for image in done)}
    assert 0 < len(done) < 9
    assert old(*COMMANDS[name]) == 1
    assert {path: pictures_of(name)[path] for path in kept} == kept
    assert Path(name, "manifest.jsonl").read_bytes().startswith(journal)
    added = [row["image"] for row in rows_of(f"{name}/manifest.jsonl")[len(journal.splitlines()) :]]
    table = table_of(f"{name}/predictions.csv")
    everything = sorted(str(path.relative_to("images")) for path in Path("images").rglob("*.jpg"))
    assert list(table) == everything
    assert {image for image, row in table.items() if row["status"] == "ok"} == {*everything} - {BROKEN}
    assert sorted(added) == sorted({*everything} - done)
    old_table = FIXTURES / name / "predictions.csv"
    if old_table.exists():
        assert {image: table[image] for image in done} == {image: table_of(old_table)[image] for image in done}
    record = record_of(name)
    assert (record["state"], record["images"], record["skipped"]) == ("finished", 10, len(done))
    assert not Path(name, ".camx.lock").exists()


def test_a_finished_training_is_not_trained_again(old: Camx) -> None:
    names = ("metrics.csv", "model.safetensors", "training-state.pt")
    kept = {name: Path("trained", name).read_bytes() for name in names}
    assert old(*COMMANDS["trained"], "--resume") == 0
    assert {name: Path("trained", name).read_bytes() for name in names} == kept
    record = record_of("trained")
    assert (record["state"], record["epochs"], record["plan"]["first_epoch"]) == ("finished", 2, 3)


def test_half_a_training_is_finished(old: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    first = Path("half-trained/metrics.csv").read_bytes()
    assert old(*COMMANDS["half-trained"], "--seed", 1, "--resume") == 2
    assert "seed" in capsys.readouterr().err
    assert old(*COMMANDS["half-trained"], "--resume") == 0
    metrics = Path("half-trained/metrics.csv").read_bytes()
    assert metrics.startswith(first)
    assert [line.split(b",")[0] for line in metrics.splitlines()[1:]] == [b"1", b"2", b"3", b"4"]
    assert record_of("half-trained")["state"] == "finished"
    assert sorted(path.name for path in Path("half-trained/cams").iterdir()) == [f"epoch-00{n}" for n in (1, 2, 3, 4)]


@pytest.mark.parametrize("model", ["trained", "half-trained/last.safetensors"])
def test_a_network_that_was_trained_explains(old: Camx, model: str) -> None:
    run = (
        "--method",
        "cam",
        "--method",
        "gradcam",
        "--save",
        "array",
        "--no-report",
        "--device",
        "cpu",
        "--workers",
        1,
    )
    assert old("explain", "data/val", "--model", model, "--labels", "folder", *run, "-o", "shown") == 0
    rows = table_of("shown/predictions.csv").values()
    assert len(rows) == 4
    assert {row["layer"] for row in rows} == {"maps"}
    assert {row["top1_name"] for row in rows} <= {"boat", "cat"}
    assert {row["correct"] for row in rows} <= {"true", "false"}
    assert len(pictures_of("shown")) == 4 * 2


@pytest.mark.parametrize("name", COMMANDS)
def test_the_report_can_be_made(old: Camx, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(name, "report", "index.html").unlink(missing_ok=True)
    assert old("report", name) == 0
    page = Path(capsys.readouterr().out.strip())
    assert page == Path(name, "report", "index.html")
    text = page.read_text("utf-8")
    assert text.rstrip().endswith("</html>")
    words = {"boat/boat-00000.jpg", "boat", "cat"}
    if Path(name, "manifest.jsonl").exists():
        rows = rows_of(f"{name}/manifest.jsonl")
        classes = {entry["name"] for row in rows for entry in row.get("top", ())}
        words = classes | {row["image"] for row in rows} | {row["error"] for row in rows}
    assert {word for word in words if word in text} == words
    assert text.count("data:image/") >= {"explain": 4, "activations": 2, "trained": 3, "half-trained": 1}.get(name, 0)


@pytest.fixture
def nobody_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DATA_DIR", "WANDB_PROJECT", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "wandb-settings"))


def logged_run(out: str) -> LoggedRun:
    """The run that a push has logged."""
    (folder,) = Path(out, "wandb").glob("offline-run-*")
    return read_finished_run(folder)


@pytest.mark.usefixtures("nobody_logged_in")
@pytest.mark.parametrize("name", COMMANDS)
def test_the_folder_can_be_pushed(old: Camx, name: str) -> None:
    record = record_of(name)
    assert old("push", name, "--wandb", "--wandb-mode", "offline") == 0
    logged = logged_run(name)
    assert logged.config["fingerprint"] == record["fingerprint"]
    # Both shards have finished: their rows are those of the run, merged or not.
    assert logged.exit_code == (0 if record["state"] == "finished" or name == "sharded" else 1)
    if record["fingerprint"]["command"] == "train-gap":
        epochs = [row["epoch"] for row in logged.history if "train/loss" in row]
        assert epochs == list(range(1, record["epochs"] + 1))
        assert set(logged.files("model")) == {"model.safetensors"}
        return
    rows = rows_of(f"{name}/manifest.jsonl")
    if name == "sharded":
        rows += [row for part in ("1-of-2", "2-of-2") for row in rows_of(f"sharded/parts/{part}/manifest.jsonl")]
    assert logged.summary["images"] == len(rows)
    assert logged.summary["failed"] == sum(row["status"] == "failed" for row in rows)
    if rows:
        table = logged.table("activations" if name == "activations" else "explanations")
        assert set(table.column("path")) == {row["image"] for row in rows if row["status"] == "ok"}


def test_a_network_in_a_folder_of_the_hub_was_called_by_the_folder(
    old: Camx, capsys: pytest.CaptureFixture[str]
) -> None:
    """0.1.0 wrote `local-dir:FOLDER`, without the arguments in its `config.json`."""
    import timm
    from safetensors.torch import save_file

    Path("net").mkdir()
    module = timm.create_model("test_resnet", num_classes=2, channels=(8, 8, 8, 8))
    save_file(module.state_dict(), "net/model.safetensors")
    said = {"architecture": "test_resnet", "num_classes": 2, "model_args": {"channels": [8, 8, 8, 8]}}
    Path("net/config.json").write_text(json.dumps(said))
    command = ("explain", "images", "--model", "net", "--device", "cpu", "--no-report", "--limit", 2, "-o", "hub")
    assert old(*command) == 0
    record = record_of("hub")
    assert record["fingerprint"]["model"] == "timm/test_resnet"
    record["fingerprint"] |= {"model": "local-dir:net", "model_args": {}}
    Path("hub/run.json").write_text(json.dumps(record))
    journal = Path("hub/manifest.jsonl").read_bytes()
    assert old(*command) == 0
    assert Path("hub/manifest.jsonl").read_bytes() == journal
    Path("hub/run.json").write_text(json.dumps(record))
    assert old(*command, "--model-arg", "drop_rate=0.5") == 2
    assert "model_args.drop_rate (null → 0.5)" in capsys.readouterr().err
