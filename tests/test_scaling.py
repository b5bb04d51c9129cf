"""One job in three sizes: on one device, on two, in three shards, and on a cluster that loses an actor."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import pytest

from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.distributed import run
from cam_cli.distributed.cluster import run_on_ray
from cam_cli.images.shard import Shard
from cam_cli.models.options import ModelSpec
from cam_cli.pipeline import ExplainJob, Stop
from cam_cli.pipeline.explain import ExplainTask
from cam_cli.pipeline.progress import Silent

from .conftest import picture


def table(out: Path) -> list[dict[str, str]]:
    with open(out / "predictions.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.extras
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")
def test_rows_are_equal_at_all_sizes(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    from .ray_actors import Killed

    folder = tmp_path / "images"
    for index in range(60):
        path = folder / "abc"[index % 3] / ("once.jpg" if index == 31 else f"{index:02}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(50 + index, 64, seed=index).save(path)
    job = ExplainJob(
        sources=(str(folder),),
        model=ModelSpec("test_resnet", pretrained=False),
        output=str(tmp_path / "one"),
        explain=ExplainOptions(device="cpu"),
        batch_size=4,
        labels="folder",
    )
    two = dataclasses.replace(job, explain=dataclasses.replace(job.explain, device="cpu,cpu"))
    run(job)
    run(dataclasses.replace(two, output=str(tmp_path / "devices")))
    for number in (3, 1, 2):
        run(dataclasses.replace(job, output=str(tmp_path / "shards"), shard=Shard(number, 3)))
    run_on_ray(ExplainTask(dataclasses.replace(two, output=str(tmp_path / "ray"))), Silent(), Stop(), actor=Killed)
    assert (folder / "b" / "once.jpg.killed").exists()

    expected = table(tmp_path / "one")
    assert len(expected) == 60
    for name in ("devices", "shards", "ray"):
        rows = table(tmp_path / name)
        assert [row["image"] for row in rows] == [row["image"] for row in expected], name
        for row, right in zip(rows, expected):
            assert (row["status"], row["top1_index"]) == ("ok", right["top1_index"]), (name, row["image"])
            for k in range(1, 6):
                assert abs(float(row[f"top{k}_prob"]) - float(right[f"top{k}_prob"])) < 1e-5, (name, row["image"])
        assert (tmp_path / name / rows[0]["overlay"]).exists()
        record = json.loads((tmp_path / name / "run.json").read_text())
        assert (record["state"], record["ok"], record["images"]) == ("finished", 60, 60)
        lines = (tmp_path / name / "manifest.jsonl").read_text().splitlines()
        assert len({json.loads(line)["image"] for line in lines}) == len(lines) == 60
