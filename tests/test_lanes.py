"""Lanes: several batches at networks that share their weights, and how they stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cam_cli import Explainer, load_model
from cam_cli.cams.tracing import trace
from cam_cli.pipeline.lanes import Lanes, Share, engine_lanes, share
from cam_cli.pipeline.stop import Dropped

from .conftest import TINY, picture

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("device", "batches", "threads", "wanted"),
    [
        (CPU, 100, 2, Share(2, 1)),
        (CPU, 1, 2, Share(1, 2)),
        (CPU, 0, 2, Share(1, 2)),
        (CPU, 3, 8, Share(3, 2)),
        (CPU, 100, 64, Share(16, 4)),
        (CUDA, 100, 8, Share(2, 8)),
        (CUDA, 1, 8, Share(1, 8)),
        (torch.device("mps"), 100, 8, Share(1, 8)),
    ],
)
def test_how_the_processors_are_divided(
    device: torch.device, batches: int, threads: int, wanted: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr("cam_cli.pipeline.lanes.cpus", lambda: threads)
    assert share(device, batches) == wanted


def test_few_batches_do_not_change_the_threads_that_code_was_compiled_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    monkeypatch.setattr("cam_cli.pipeline.lanes.cpus", lambda: 64)
    assert [share(CPU, n, compiled=True) for n in (1, 100)] == [Share(1, 4), Share(16, 4)]
    assert share(CUDA, 1, compiled=True) == Share(1, 64)


def test_lanes_work_at_the_same_time() -> None:
    """Each waits for the other: one after the other, they would wait forever."""
    meeting = threading.Barrier(2, timeout=10)

    def work(item: int) -> int:
        meeting.wait()
        return 10 * item

    with Lanes([work, work], 1, CPU) as lanes:
        assert [future.result().result for future in [lanes.submit(n, str) for n in range(6)]] == [
            "0",
            "10",
            "20",
            "30",
            "40",
            "50",
        ]


def test_a_lane_with_a_processor_of_its_own_counts_the_seconds_of_that() -> None:
    """Time of other processes on the processor does not change the size of a batch."""
    with Lanes([time.sleep], 1, CPU) as alone, Lanes([time.sleep], 2, CPU) as shared:
        for lanes, least, most in ((alone, 0.0, 0.05), (shared, 0.1, 9.9)):
            done = lanes.submit(0.1, bool).result()
            assert done.seconds >= 0.1
            assert least <= done.cost <= most


def test_the_number_of_threads_is_restored() -> None:
    before = torch.get_num_threads()
    with Lanes([lambda item: torch.get_num_threads()], before + 1, CPU) as lanes:
        assert lanes.submit(None, int).result().result == before + 1
    assert torch.get_num_threads() == before


def dropped(lanes: Lanes[Any, Any], count: int, wait: Callable[[], object] = lambda: None) -> list[Future[Any]]:
    """Submits items, waits, and leaves the lanes by the exception of a signal."""
    futures: list[Future[Any]] = []
    try:
        with lanes:
            futures += [lanes.submit(0, bool) for _ in range(count)]
            wait()
            raise Dropped
    except Dropped:
        return futures


def _count(to: int, _item: object) -> int:
    return sum(range(to))


def test_what_is_under_way_is_broken_off() -> None:
    begun, finished = threading.Event(), threading.Event()

    def work(item: object) -> None:
        begun.set()
        for _ in range(2000):
            time.sleep(0.005)
        finished.set()

    began = time.monotonic()
    futures = dropped(Lanes([work, work], 1, CPU), 4, begun.wait)
    assert time.monotonic() - began < 5
    assert not finished.is_set()
    for future in futures:
        assert future.cancelled() or isinstance(future.exception(), Dropped)


def test_an_interrupt_never_reaches_what_a_thread_does_next() -> None:
    """Stops lanes at any moment, hundreds of times: each call is done, dropped or cancelled, and no thread raises."""
    for number in range(300):
        works = [partial(_count, 20 * number), time.sleep]
        for future in dropped(Lanes(works, 1, CPU), 3):
            assert future.cancelled() or isinstance(future.exception(), Dropped) or future.result().seconds >= 0


def test_a_replica_has_the_same_weights_in_memory_and_modules_of_its_own() -> None:
    network = load_model("demo")
    replica = network.replica()
    for one, other in zip(network.module.state_dict().values(), replica.module.state_dict().values(), strict=True):
        assert one.data_ptr() == other.data_ptr()
    assert not set(network.module.modules()) & set(replica.module.modules())
    assert not {id(p) for p in network.module.parameters()} & {id(p) for p in replica.module.parameters()}


def test_replicas_explain_at_the_same_time_as_one_does_alone() -> None:
    """Hooks and gradient flags of one forward within another would give other maps, or none."""
    explainer = Explainer(load_model("demo"))
    photos = [[picture(200, 150, seed).convert("RGB")] for seed in range(40)]
    alone = [explainer(batch)[0].maps[0].values for batch in photos]

    def work(engine: Explainer) -> Callable[[list[Image.Image]], np.ndarray]:
        return lambda batch: engine(batch)[0].maps[0].values

    with Lanes([work(explainer), work(explainer.replica()), work(explainer.replica())], 1, CPU) as lanes:
        together = [lanes.submit(batch, np.copy) for batch in photos]
        for one, future in zip(alone, together, strict=True):
            np.testing.assert_allclose(future.result().result, one, rtol=1e-5, atol=1e-7)


class Uncopyable(nn.Module):
    def __deepcopy__(self, memo: object) -> nn.Module:
        raise TypeError("cannot pickle 'generator' object")


def test_a_network_that_cannot_be_copied_runs_in_one_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    explainer = Explainer(load_model("demo"))
    explainer.network.module.extra = Uncopyable()
    monkeypatch.setattr("cam_cli.pipeline.lanes.share", lambda *_, **__: Share(2, 3))
    assert len(engine_lanes(explainer, Explainer.explain, 100, 4)) == 1


def test_two_lanes_write_what_one_writes(
    camx: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    for index in range(20):
        picture(60 + index, 50, index).save(tmp_path / "in" / f"{index:02}.png")
    tables = []
    forwards: list[str] = []
    traces = trace.traces

    def watched(*arguments: Sequence[object], **options: object) -> object:
        forwards.append(threading.current_thread().name)
        return traces(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("cam_cli.cams.engine.explainer.traces", watched)
    for lanes in (1, 2):
        forwards.clear()
        monkeypatch.setattr("cam_cli.pipeline.lanes.share", lambda *_, n=lanes, **__: Share(n, 1))
        assert camx("explain", "in", *TINY, "-b", 3, "-o", f"out-{lanes}", "-q") == 0
        assert len({name for name in forwards if name.startswith("lane")}) <= lanes
        tables.append((tmp_path / f"out-{lanes}" / "predictions.csv").read_bytes())
    assert tables[0] == tables[1]
