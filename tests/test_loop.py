"""The loop: decoding and encoding beside the network, in order, with bounded memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from cam_cli.pipeline.loop import _ahead
from cam_cli.pipeline.threads import CoreShare, share

from .conftest import TINY, picture


def test_results_come_in_order_and_few_are_under_way() -> None:
    started: list[int] = []

    def work(item: int) -> int:
        started.append(item)
        time.sleep(0.001 * (item % 3))
        return item * item

    with ThreadPoolExecutor(4) as pool:
        for position, (result, seconds, spent) in enumerate(_ahead(pool, work, range(200), limit=10)):
            assert result == position * position
            assert seconds >= spent >= 0 or spent - seconds < 0.01
            assert len(started) <= position + 1 + 10
    assert len(started) == 200


def test_decoding_explaining_and_encoding_run_at_the_same_time(
    camx: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the network works on a batch, other threads decode the next one and encode the last one."""
    from cam_cli.cams.explainer import Explainer
    from cam_cli.outputs.results import Results
    from cam_cli.pipeline import explain as task

    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(24):
        picture(40, 40, index).save(folder / f"{index:02}.png")
    explaining = threading.Event()
    during: dict[str, int] = {"decode": 0, "encode": 0}
    explain, load, encode = Explainer.explain, task.load, Results.of

    def slow_explain(self: Explainer, pictures: list) -> list:  # type: ignore[type-arg]
        explaining.set()
        time.sleep(0.1)
        explaining.clear()
        return explain(self, pictures)

    def watched_load(*arguments: object) -> object:
        time.sleep(0.01)
        during["decode"] += explaining.is_set()
        return load(*arguments)  # type: ignore[arg-type]

    def watched_encode(self: Results, explanation: object) -> object:
        time.sleep(0.01)
        during["encode"] += explaining.is_set()
        return encode(self, explanation)  # type: ignore[arg-type]

    monkeypatch.setattr(Explainer, "explain", slow_explain)
    monkeypatch.setattr(task, "load", watched_load)
    monkeypatch.setattr(Results, "of", watched_encode)
    assert camx("explain", folder, *TINY, "-b", 4, "-j", 2, "-q") == 0
    assert during["decode"] > 4
    assert during["encode"] > 4


@pytest.mark.parametrize(
    ("model", "workers", "cores", "threads"),
    [(130, 21, 2, 2), (25, 21, 2, 1), (5, 40, 2, 1), (50, 50, 16, 8), (0, 0, 4, 1)],
)
def test_the_network_gets_its_share_of_the_cores(model: float, workers: float, cores: int, threads: int) -> None:
    assert share(model, workers, cores) == threads


def test_the_number_of_threads_is_restored(camx: Callable[..., int], tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    before = torch.get_num_threads()
    assert camx("explain", "a.png", *TINY) == 0
    assert torch.get_num_threads() == before
    with CoreShare(torch.device("cpu")) as cores:
        cores.spent(1.0, 0.1)
    assert torch.get_num_threads() == before
