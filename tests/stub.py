"""Runs without a network and without decoders: the real loop, journal and folder at a thousand images per second."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from cam_cli.cams.tracing.replay import StepCallback
from cam_cli.images.geometry import Frame
from cam_cli.images.listing import Inputs, Source, find
from cam_cli.images.picture import Decodable, Picture, Unreadable, file_state
from cam_cli.models.classes import ClassNames
from cam_cli.models.options import ModelSpec
from cam_cli.outputs.renderer import Rendered, base_row
from cam_cli.outputs.rows import OK, ImageRow
from cam_cli.outputs.tables import table
from cam_cli.pipeline import Stop, Summary, session
from cam_cli.pipeline.job import ExplainJob
from cam_cli.pipeline.progress import Silent
from cam_cli.pipeline.task import Table, Work
from cam_cli.run_layout import TABLE

#: Format of the overlays.
EXTENSION = "png"
PIXELS = np.zeros((2, 2, 3), np.uint8)


@dataclass(frozen=True)
class Result:
    picture: Picture


class Inline:
    """Workers that run each call in the calling thread."""

    def __enter__(self) -> Inline:
        return self

    def __exit__(self, *_: object) -> None: ...

    def call(self, work: Callable[[Any], Any], item: Any) -> Any:
        return work(item)


def load(source: Source, unreserved: int = 0) -> Picture | Unreadable:
    state = file_state(source.path)
    if source.key.endswith("bad.jpg"):
        return Unreadable(source, "broken", state)
    return Picture(source, 2, 2, PIXELS, Frame(0, 0, 2, 2), PIXELS, state)


def content(key: str, kind: str) -> bytes:
    return f"{kind} of {key}; ".encode() * 20


def rendered(result: Result) -> Rendered:
    key = result.picture.source.key
    shown = {"method": "stub", "overlay": f"overlays/{key}.{EXTENSION}", "heatmap": f"heatmaps/{key}.png"}
    files = {shown[kind]: content(key, kind) for kind in ("overlay", "heatmap")}
    top = [{"index": len(key), "name": key, "prob": 0.5}]
    return Rendered({**base_row(result.picture), "status": OK, "top": top, "maps": [shown]}, files)


def engine() -> Any:
    network = SimpleNamespace(
        name="stub",
        weights="none",
        classes=ClassNames(),
        input_line="",
        origins={},
        notes=(),
        idle_tensors=(),
        warnings=(),
    )
    layer = SimpleNamespace(name="layer", reason="", layout="1×1")
    return SimpleNamespace(
        network=network, layers=(layer,), device=torch.device("cpu"), precision="fp32", backend="torch"
    )


@dataclass(frozen=True)
class StubTask:
    """The task of a job without a network. extra: more keys of its fingerprint."""

    job: ExplainJob
    render: Callable[[Result], Rendered] = rendered
    extra: str = ""
    device = "cpu"

    def with_job(self, job: ExplainJob) -> StubTask:
        return replace(self, job=job)

    def on_device(self, device: str) -> StubTask:
        return self

    def find(self) -> Inputs:
        return find(self.job.sources)

    def build_engine(self, images: int, on_step: StepCallback | None = None) -> Any:
        return engine()

    def table_of(self, fingerprint: Mapping[str, Any]) -> Table:
        return Table(TABLE, partial(table, top_k=1))

    def fingerprint(self, engine: Any, base: str) -> dict[str, Any]:
        return {"command": "explain", "inputs": base, "extra": self.extra}

    def run_batch(self, engine: Any, images: Sequence[Decodable]) -> list[Result]:
        return [Result(picture) for picture in images if isinstance(picture, Picture)]

    def work(self, engine: Any, images: int) -> Work[Result]:
        return Work(load, self.render)

    def naming(self, engine: Any) -> None:
        return None

    def relabel(self, naming: Any, row: ImageRow, source: Source) -> ImageRow:
        return row

    def cost(self, engine: Any, images: int) -> str:
        return ""

    def warnings(self, engine: Any, inputs: Inputs) -> tuple[str, ...]:
        return ()


@contextlib.contextmanager
def inline_workers() -> Iterator[None]:
    real = session.workers_of
    session.workers_of = lambda options, images: Inline()  # type: ignore[assignment, return-value]
    try:
        yield
    finally:
        session.workers_of = real


def run_stub(
    images: Path,
    out: Path,
    stop: Stop | None = None,
    *,
    batch_size: int = 4,
    overwrite: bool = False,
    report: bool = True,
    render: Callable[[Result], Rendered] = rendered,
    extra: str = "",
) -> Summary:
    """Runs over a folder of images with one worker, so that all operations happen in the same order."""
    job = ExplainJob(
        sources=(str(images),),
        model=ModelSpec("stub"),
        output=str(out),
        batch_size=batch_size,
        workers=1,
        overwrite=overwrite,
        report=report,
    )
    with inline_workers():
        return session.run_task(StubTask(job, render, extra), Silent(), stop or Stop())
