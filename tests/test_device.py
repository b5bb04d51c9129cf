"""Memory that runs out, failing networks, lost devices; and the size of the batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cam_cli.cams.engine import devices, options
from cam_cli.cams.engine.batches import Runner
from cam_cli.cams.engine.devices import DeviceFailed
from cam_cli.errors import CamxError
from cam_cli.images.geometry import Frame
from cam_cli.images.listing import Source
from cam_cli.images.picture import Picture
from cam_cli.pipeline import batchsize
from cam_cli.pipeline.batchsize import BatchSize

from .conftest import TINY, picture
from .networks import network

CPU = torch.device("cpu")
NO_MEMORY = RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")


def pictures(count: int) -> list[Picture]:
    pixels = np.zeros((2, 2, 3), np.uint8)
    return [Picture(Source(str(index), ""), 2, 2, pixels, Frame(0, 0, 2, 2), pixels) for index in range(count)]


class Recorder:
    """Work that fails at chosen images, and records the sizes of its batches."""

    def __init__(self, fails: Callable[[list[int]], Exception | None]) -> None:
        self.fails, self.sizes = fails, list[int]()

    def __call__(self, batch: Sequence[Picture], inputs: torch.Tensor) -> list[str]:
        assert len(batch) == len(inputs)
        keys = [int(one.source.key) for one in batch]
        self.sizes.append(len(keys))
        if error := self.fails(keys):
            raise error
        return [f"{key} done" for key in keys]


def in_batches(work: Recorder, *counts: int) -> list[list[str]]:
    runner = Runner(network(nn.Identity()), "cpu")
    return [runner.in_batches(pictures(count), work, lambda one, why: f"{one.source.key} {why}") for count in counts]


@pytest.mark.parametrize(
    "error",
    [
        NO_MEMORY,
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"),
    ],
)
def test_a_batch_that_does_not_fit_is_halved_and_done_again(error: Exception) -> None:
    work = Recorder(lambda keys: error if len(keys) > 3 else None)
    first, second = in_batches(work, 13, 5)
    assert first == [f"{index} done" for index in range(13)], "nothing lost, nothing doubled, in order"
    assert second == [f"{index} done" for index in range(5)]
    assert work.sizes == [13, 6, 3, 3, 3, 3, 1, 3, 2], "the size is remembered"


def test_one_image_that_does_not_fit_has_an_error_in_its_row() -> None:
    work = Recorder(lambda keys: NO_MEMORY if 2 in keys else None)
    (results,) = in_batches(work, 4)
    assert results == ["0 done", "1 done", "2 not enough memory on cpu for one image", "3 done"]


def test_a_failure_of_the_network_is_that_of_the_image_that_causes_it() -> None:
    work = Recorder(lambda keys: ValueError("odd\nmore") if 2 in keys else None)
    first, second = in_batches(work, 5, 1)
    assert first == ["0 done", "1 done", "2 the network failed on it: ValueError: odd", "3 done", "4 done"]
    assert second == ["0 done"]
    assert work.sizes == [5, 1, 1, 1, 1, 1, 1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_images_are_copied_from_pinned_memory_and_all_is_channels_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runner = Runner(network(nn.Conv2d(3, 8, 3)), "cuda")
    pinned: list[bool] = []
    normalised = Runner._normalised

    def watched(self: Runner, stacked: torch.Tensor) -> torch.Tensor:
        pinned.append(stacked.is_pinned())
        return normalised(self, stacked)

    monkeypatch.setattr(Runner, "_normalised", watched)
    inputs = runner.inputs(pictures(4))
    assert pinned == [True]
    assert inputs.is_contiguous(memory_format=torch.channels_last)
    assert runner.module.weight.is_contiguous(memory_format=torch.channels_last)  # type: ignore[operator, union-attr]
    torch.testing.assert_close(inputs.cpu(), Runner(network(nn.Identity()), "cpu").inputs(pictures(4)))


def test_what_the_user_must_mend_is_no_failure_of_an_image() -> None:
    with pytest.raises(CamxError, match="no such layer"):
        in_batches(Recorder(lambda keys: CamxError("no such layer")), 3)


def test_a_lost_device_ends_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cam_cli.cams.engine.batches.device_answers", lambda device: False)
    with pytest.raises(DeviceFailed, match=r"cpu has failed \(CUDA error: device-side assert triggered\)"):
        in_batches(Recorder(lambda keys: RuntimeError("CUDA error: device-side assert triggered\nCompile with")), 3)


def test_a_lost_device_marks_the_images_in_flight_and_the_run_continues(
    camx: Callable[..., int], images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, calls = Runner.inputs, 0

    def lost(self: Runner, batch: Sequence[Picture]) -> Any:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return real(self, batch)

    with monkeypatch.context() as patched:
        patched.setattr("cam_cli.cams.engine.batches.device_answers", lambda device: False)
        patched.setattr(Runner, "inputs", lost)
        assert camx("explain", images, *TINY, "-b", 2, "-j", 1) == 2
    assert "The device cpu has failed (CUDA error: an illegal memory access" in capsys.readouterr().err
    rows = [json.loads(line) for line in Path("camx-out/manifest.jsonl").read_text().splitlines()]
    by_index = {row["index"]: row["status"] for row in rows}
    assert by_index == {0: "ok", 1: "ok", 2: "ok", 3: "ok", 4: "failed", 5: "failed"}
    assert json.loads(Path("camx-out/run.json").read_text())["state"] == "broken"
    assert camx("explain", images, *TINY, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["ok"], summary["skipped"]) == (7, 4)


def test_the_precisions_of_the_options_are_those_that_run() -> None:
    assert ("auto", *devices.PRECISIONS) == options.PRECISIONS


def sizes_until_settled(cost: Callable[[int], float], device: torch.device = CPU) -> list[int]:
    """Sizes of the batches until one is chosen, which is the last; a batch ends three batches after its start."""
    size, sizes, flying = BatchSize(None, device), [], []
    while not size.settled:
        sizes.append(size.next())
        flying.append(sizes[-1])
        if len(flying) == 3:
            ended = flying.pop(0)
            size.spent(ended, cost(ended))
        size.spent(1, 99.0)
    return [*sizes, size.current]


@pytest.mark.parametrize(("fixed", "chosen"), [(0.0, 4), (0.0001, 4), (0.0005, 16), (0.002, 32)])
def test_a_size_is_taken_where_it_is_faster(fixed: float, chosen: int) -> None:
    """A batch of n takes fixed + n milliseconds: larger fixed costs favour larger batches."""
    sizes = sizes_until_settled(lambda size: fixed + 1e-3 * size)
    assert sizes[-1] == chosen
    assert sizes[:7] == [4, 4, 4, 16, 4, 16, 4], "small ones until it is known what they take"


@pytest.mark.parametrize(("fixed", "chosen"), [(0.0, 16), (0.0015, 64), (0.05, 512)])
def test_on_a_gpu_sizes_are_doubled(fixed: float, chosen: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batchsize, "_gauge", lambda device: (lambda: 0, 1.0))
    sizes = sizes_until_settled(lambda size: fixed + 1e-3 * size, torch.device("cuda"))
    assert sizes[-1] == chosen
    assert sizes[:6] == [16, 16, 16, 32, 16, 32]


def test_a_size_that_is_no_faster_does_not_end_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batchsize, "_gauge", lambda device: (lambda: 0, 1.0))
    seconds = {16: 0.020, 32: 0.0195, 64: 0.016, 128: 0.0158, 256: 0.0157}
    assert sizes_until_settled(lambda size: size * seconds[size], torch.device("cuda"))[-1] == 64


def test_a_machine_that_becomes_slower_changes_nothing() -> None:
    load = iter(range(1, 1000))
    assert sizes_until_settled(lambda size: (1 + 0.05 * next(load)) * (0.02 + 1e-3 * size))[-1] == 32


def test_a_batch_that_waited_for_something_does_not_count() -> None:
    waits = {16: 9.0}
    assert sizes_until_settled(lambda size: waits.pop(size, 0.0) + 0.0005 + 1e-3 * size)[-1] == 16


def test_the_batch_does_not_grow_beyond_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    peak = 100

    def cost(size: int) -> float:
        nonlocal peak
        peak = max(peak, 100 + 30 * size)
        return 1.0

    monkeypatch.setattr(batchsize, "_gauge", lambda device: (lambda: peak, 1000.0))
    sizes = sizes_until_settled(cost)
    assert (sizes[-1], max(sizes)) == (16, 16), "32 would need 1060"


def test_a_size_that_was_asked_for_stays() -> None:
    size = BatchSize(3, CPU)
    for _ in range(10):
        assert size.next() == 3
        size.spent(3, 0.1)
    assert size.current == 3


def test_the_chosen_size_is_reported(
    camx: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    for index in range(30):
        picture(seed=index).save(tmp_path / "in" / f"{index:02}.png")
    assert camx("explain", "in", *TINY, "--json") == 0
    assert json.loads(capsys.readouterr().out)["batch_size"] in (4, 8, 16)
