"""A run without a network and without decoders: the real loop, journal and folder at a thousand images per second."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from cam_cli.images.geometry import Frame
from cam_cli.images.listing import Inputs, Source, find
from cam_cli.images.picture import Picture, Unreadable, file_state
from cam_cli.models.catalog import ModelSpec
from cam_cli.outputs.journal import OK
from cam_cli.outputs.renderer import Rendered, base_row
from cam_cli.outputs.tables import table
from cam_cli.pipeline import Stop, Summary, session
from cam_cli.pipeline.job import Job
from cam_cli.pipeline.loop import Work
from cam_cli.pipeline.progress import Silent
from cam_cli.run_layout import TABLE

#: That of the overlays.
EXTENSION = "png"
PIXELS = np.zeros((2, 2, 3), np.uint8)


@dataclass(frozen=True)
class Result:
    picture: Picture


class Inline:
    """Workers that do the work where they are asked."""

    def __enter__(self) -> Inline:
        return self

    def __exit__(self, *_: object) -> None: ...

    def call(self, work: Callable[[Any], Any], item: Any) -> Any:
        return work(item)


def load(source: Source, unasked: int = 0) -> Picture | Unreadable:
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


def work(engine: Any, sources: Sequence[Source]) -> Work[Result]:
    return Work(load=load, render=rendered, indices={source.key: index for index, source in enumerate(sources)})


def engine() -> Any:
    network = SimpleNamespace(name="stub", weights="none")
    layer = SimpleNamespace(name="layer", reason="", layout="1×1")
    return SimpleNamespace(
        network=network, layers=(layer,), device=torch.device("cpu"), precision="fp32", compiled=False
    )


def stub_task(inputs: Callable[[], Inputs], **changed: Any) -> session.Task[Any, Any]:
    fields: dict[str, Any] = {
        "gather": inputs,
        "build": lambda images, on_step: engine(),
        "fingerprint": lambda engine, base: {"command": "explain", "inputs": base},
        "batch": lambda engine, pictures: [Result(picture) for picture in pictures],
        "work": work,
        "relabel": lambda engine, row, source: row,
        "warnings": lambda engine, inputs: (),
        "table_name": TABLE,
        "table": lambda rows: table(rows, 1),
    }
    return session.Task(**{**fields, **changed})


@contextlib.contextmanager
def inline_workers() -> Iterator[None]:
    real = session._workers
    session._workers = lambda options, images: Inline()  # type: ignore[assignment, return-value]
    try:
        yield
    finally:
        session._workers = real


def run_stub(
    images: Path,
    out: Path,
    stop: Stop | None = None,
    *,
    batch_size: int = 4,
    overwrite: bool = False,
    report: bool = True,
    **changed: Any,
) -> Summary:
    """Run over a folder of images, with one worker so that the order of all operations is always the same."""
    options = Job(
        sources=(str(images),),
        model=ModelSpec("stub"),
        output=str(out),
        batch_size=batch_size,
        workers=1,
        overwrite=overwrite,
        report=report,
    )
    with inline_workers():
        task = stub_task(lambda: find([str(images)]), **changed)
        return session.run_task(task, options, Silent(), stop or Stop())
