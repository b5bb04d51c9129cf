"""The loop: decoding and encoding beside the network, in order, with bounded memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cam_cli.pipeline.memory import InFlightMemory, MemoryReservation
from cam_cli.pipeline.prefetch import Loaded, prefetch

from .conftest import TINY, picture
from .faults import slow_load


class Held:
    """A decoded item of a size."""

    def __init__(self, value: int, nbytes: int = 0) -> None:
        self.value, self.nbytes = value, nbytes


def test_results_come_in_order_and_few_are_under_way() -> None:
    started: list[int] = []

    def decode(item: int) -> Loaded:
        started.append(item)
        time.sleep(0.001 * (item % 3))
        return Loaded(Held(item * item), 0.0)  # type: ignore[arg-type]

    with ThreadPoolExecutor(4) as pool:
        loaded = prefetch(pool, decode, range(200), limit=lambda: 10, in_flight=InFlightMemory(1))
        for position, (result, _) in enumerate(loaded):
            assert result.value == position * position  # type: ignore[union-attr]
            assert len(started) <= position + 1 + 10
    assert len(started) == 200


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_images_under_way_are_bounded_by_bytes(batch: int) -> None:
    """Memory for four: never more than that plus one per worker, although twenty could be in flight; and nothing
    stalls."""
    held = most = 0
    lock = threading.Lock()

    def decode(item: int) -> Loaded:
        nonlocal held, most
        time.sleep(0.001 * (item % 3))
        with lock:
            held += 10
            most = max(most, held)
        return Loaded(Held(item, 10), 0.0)  # type: ignore[arg-type]

    room = InFlightMemory(40)
    with ThreadPoolExecutor(3) as pool:
        taken: list[int] = []
        for result, _ in prefetch(pool, decode, range(60), limit=lambda: 20, in_flight=room):
            taken.append(result.value)  # type: ignore[union-attr]
            if len(taken) % batch == 0:
                with lock:
                    held -= 10 * batch
                room.give_back(10 * batch)
    assert taken == list(range(60))
    assert most <= 40 + 10 * (3 + batch)


def test_an_allowance_is_never_overdrawn_and_lets_the_largest_through() -> None:
    allowance, taken, most = MemoryReservation(100), 0, 0
    lock = threading.Lock()

    def work(size: int) -> None:
        nonlocal taken, most
        with allowance.reserve(size):
            with lock:
                taken += size
                most = max(most, taken if size <= 100 else taken - size)
            time.sleep(0.002)
            with lock:
                taken -= size

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, [30, 60, 500, 10, 90, 500, 20] * 5))
    assert 60 <= most <= 100


def test_large_images_ask_before_they_are_decoded(
    camx: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    reserve = MemoryReservation.reserve

    def watched(self: MemoryReservation, size: int) -> object:
        asked.append(size)
        return reserve(self, size)

    monkeypatch.setattr(MemoryReservation, "reserve", watched)
    (tmp_path / "in").mkdir()
    for width in (100, 4000):
        picture(width, 3000).save(tmp_path / "in" / f"{width}.jpg")
    assert camx("explain", "in", *TINY) == 0
    assert asked == [4000 * 3000 * 16]


def test_decoding_explaining_and_encoding_run_at_the_same_time(
    camx: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the network works on a batch, processes decode the next one and encode the last one."""
    from cam_cli.cams.engine.explainer import Explainer
    from cam_cli.pipeline import explain as task
    from cam_cli.pipeline.loop import Loop, WrittenResult

    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(24):
        picture(40, 40, index).save(folder / f"{index:02}.png")
    explaining = threading.Event()
    during: dict[str, int] = {"decode": 0, "encode": 0}
    explain, written = Explainer.explain, Loop._written

    def decoded() -> int:
        return len(list(folder.glob("*.decoded")))

    def slow_explain(self: Explainer, pictures: list) -> list:  # type: ignore[type-arg]
        explaining.set()
        before = decoded()
        time.sleep(0.1)
        during["decode"] += decoded() - before
        explaining.clear()
        return explain(self, pictures)

    def watched(self: Loop, *result: object) -> WrittenResult:  # type: ignore[type-arg]
        time.sleep(0.01)
        during["encode"] += explaining.is_set()
        return written(self, *result)  # type: ignore[arg-type]

    monkeypatch.setattr(Explainer, "explain", slow_explain)
    monkeypatch.setattr(task, "load", slow_load)
    monkeypatch.setattr(Loop, "_written", watched)
    assert camx("explain", folder, *TINY, "-b", 4, "-j", 2, "-q") == 0
    assert during["decode"] > 4
    assert during["encode"] > 4
