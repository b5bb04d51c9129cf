"""Processes that draw load numpy and Pillow, never a network: they start fast and stay small."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cam_cli.images.listing import find
from cam_cli.images.workers import Workers
from cam_cli.models.catalog import ModelSpec
from cam_cli.pipeline.activations import ActivationsTask
from cam_cli.pipeline.explain import ExplainTask
from cam_cli.pipeline.job import ActivationsJob, ExplainJob

from . import faults

NETWORKS = ("torch", "torchvision", "timm")


def networks_in(modules: list[str]) -> list[str]:
    return [name for name in modules if name.partition(".")[0] in NETWORKS]


@pytest.mark.parametrize(
    ("task_of", "job_of"),
    [(ExplainTask, ExplainJob), (ActivationsTask, ActivationsJob)],
    ids=["explain", "activations"],
)
def test_a_drawing_worker_loads_no_network(
    task_of: Callable[[Any], Any], job_of: Callable[..., Any], images: Path, tmp_path: Path
) -> None:
    job = job_of(
        sources=(str(images),),
        model=ModelSpec("test_resnet", pretrained=False),
        output=str(tmp_path / "out"),
        report=True,
    )
    task = task_of(job)
    engine = task.build_engine(7)
    work = task.work(engine, 7)
    (source, *_) = find([str(images)]).sources
    with Workers(1) as workers:
        picture = workers.call(work.load, source)
        (result,) = task.run_batch(engine, [picture])
        row, files = workers.call(work.render, result)
        assert (row["status"], row["image"]) == ("ok", "cat/0.jpg")
        assert files
        modules = workers.call(faults.loaded_modules, None)
    assert "numpy" in modules
    assert "cam_cli.outputs.drawing" in modules, "it is the process that has drawn"
    assert networks_in(modules) == []
