"""Tasks: one class per command over images, which can be sent to another process whole."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cam_cli.cams.engine.explainer import ExplainOptions
from cam_cli.faithfulness.options import FaithfulOptions
from cam_cli.features.options import ChannelChoice
from cam_cli.features.reader import ReadOptions
from cam_cli.models.catalog import ModelSpec
from cam_cli.pipeline import ActivationsJob, EvaluateJob, ExplainJob
from cam_cli.pipeline.commands import table_of, task_of
from cam_cli.pipeline.job import OptionalModel, RunOptions
from cam_cli.pipeline.task import AnyTask

from .conftest import TINY, picture

Camx = Callable[..., int]
MODEL: dict[str, Any] = {"model": OptionalModel("test_resnet", pretrained=False)}
COMMON: dict[str, Any] = {"model": ModelSpec("test_resnet", pretrained=False), "batch_size": 3, "workers": 1}


@pytest.fixture(params=[ExplainJob, ActivationsJob, EvaluateJob])
def task(request: pytest.FixtureRequest, images: Path) -> AnyTask:
    kind: type[RunOptions] = request.param
    if kind is ExplainJob:
        return task_of(ExplainJob(sources=(str(images),), explain=ExplainOptions(top_k=2, device="cpu"), **COMMON))
    if kind is EvaluateJob:
        return task_of(EvaluateJob(sources=(str(images),), faithful=FaithfulOptions(device="cpu"), **COMMON | MODEL))
    return task_of(
        ActivationsJob(
            sources=(str(images),), read=ReadOptions("conv1", ChannelChoice("index", 4), device="cpu"), **COMMON
        )
    )


def test_a_task_travels_to_another_process(task: AnyTask) -> None:
    other = pickle.loads(pickle.dumps(task))
    assert other == task
    assert other.find() == task.find()
    engines = [one.build_engine(7) for one in (task, other)]
    fingerprints = [one.fingerprint(engine, "base") for one, engine in zip((task, other), engines, strict=True)]
    assert fingerprints[0] == fingerprints[1]
    table = task.table_of(fingerprints[0])
    assert table_of(fingerprints[0]).name == table.name
    rows = [{"image": "a", "status": "failed", "error": "broken"}]
    assert b"".join(table_of(fingerprints[0]).render(rows)) == b"".join(table.render(rows))


def test_a_task_moves_to_another_device_and_nothing_else_changes(task: AnyTask) -> None:
    assert task.device == "cpu"
    there = task.on_device("cuda:1")
    assert (there.device, there.job.batch_size, there.job.sources) == ("cuda:1", 3, task.job.sources)
    assert there.on_device("cpu") == task


def test_a_job_of_no_command_has_no_task(images: Path) -> None:
    with pytest.raises(TypeError, match="RunOptions is the job of no command"):
        task_of(RunOptions(sources=(str(images),), output="out", **COMMON))


@pytest.mark.slow
def test_a_page_of_an_earlier_run_goes_wherever_the_next_one_runs(camx: Camx, images: Path) -> None:
    """Without a new report, the old page would be out of date."""
    for device in ("cpu", "cpu,cpu"):
        assert camx("explain", images, *TINY, "-q") == 0
        assert Path("camx-out/report/index.html").exists()
        picture(seed=11).save(images / f"{device}.png")
        assert camx("explain", images, *TINY, "--device", device, "--no-report", "-q") == 0
        assert not Path("camx-out/report/index.html").exists()
