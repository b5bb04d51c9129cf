"""A resumed training checks its files: it writes damaged ones again from the state, or names them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cam_cli.errors import CamxError
from cam_cli.training.job import TrainJob
from cam_cli.training.metrics import EpochMetrics
from cam_cli.training.progress import Silent
from cam_cli.training.run import train
from cam_cli.training.state import TrainingState

from .training_support import data, job, one_thread  # noqa: F401 - fixtures are found by their names


class Heard(Silent):
    """An observer that stores warnings."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def warned(self, message: str) -> None:
        self.said.append(message)


def cut(data: bytes) -> bytes | None:
    return data[: len(data) // 2]


def turned(data: bytes) -> bytes | None:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


DAMAGES = {"cut": cut, "empty": lambda _: b"", "one bit": turned, "gone": lambda _: None}


def damage(path: Path, kind: str) -> None:
    left = DAMAGES[kind](path.read_bytes())
    path.unlink()
    if left is not None:
        path.write_bytes(left)


@pytest.mark.parametrize("kind", DAMAGES)
def test_what_the_state_can_make_is_made_again(kind: str, job: TrainJob) -> None:
    job = replace(job, epochs=1)
    train(job)
    names = ("model.safetensors", "last.safetensors", "metrics.csv")
    before = {name: Path(job.output, name).read_bytes() for name in names}
    for name in names:
        damage(Path(job.output, name), kind)
    heard = Heard()
    train(replace(job, resume=True), heard)
    assert {name: Path(job.output, name).read_bytes() for name in names} == before
    assert [line.partition(" was")[0] for line in heard.said] == ["model.safetensors", "metrics.csv"]
    again = Heard()
    train(replace(job, resume=True), again)
    assert again.said == []


def test_a_best_network_that_no_state_holds_is_named(job: TrainJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EpochMetrics, "rank", property(lambda row: (-row.epoch,)))
    job = replace(job, epochs=2)
    train(job)
    best, last = (Path(job.output, name) for name in ("model.safetensors", "last.safetensors"))
    before = last.read_bytes()
    damage(best, "cut")
    with pytest.raises(
        CamxError, match=r"should be the network of epoch 1, but training-state.pt only holds the network of epoch 2"
    ):
        train(replace(job, resume=True))
    assert last.read_bytes() == before
    train(replace(job, overwrite=True))
    assert best.stat().st_size == last.stat().st_size


@pytest.mark.parametrize("kind", ["cut", "empty", "one bit"])
def test_a_state_that_is_damaged_is_named(kind: str, job: TrainJob) -> None:
    train(replace(job, epochs=1))
    damage(Path(job.output, "training-state.pt"), kind)
    with pytest.raises(CamxError, match="The training state .* cannot be read"):
        train(replace(job, epochs=1, resume=True))


def test_a_state_of_an_earlier_version_names_no_file(job: TrainJob) -> None:
    job = replace(job, epochs=1)
    train(job)
    path = Path(job.output, "training-state.pt")
    path.write_bytes(replace(TrainingState.read(str(path)), best_file=None).to_bytes())
    heard = Heard()
    train(replace(job, resume=True), heard)
    assert heard.said == []


def previews(output: str) -> dict[str, bytes]:
    folder = Path(output)
    found = [path for kind in ("cams", "activations") for path in (folder / kind).rglob("*.png")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize("kind", ["cut", "one bit", "gone"])
def test_damaged_preview_images_are_drawn_again_or_named(kind: str, job: TrainJob) -> None:
    """Those of the epoch whose network the state holds; with a frozen backbone all first feature maps."""
    job = replace(job, epochs=2, log_cams=2, log_activations=2)
    train(job)
    before = previews(job.output)
    assert len(before) == 6, "two images after each epoch, and once the feature maps of both"
    for name in before:
        damage(Path(job.output, name), kind)
    heard = Heard()
    train(replace(job, resume=True), heard)
    lost = sorted(name for name in before if name.startswith("cams/epoch-001"))
    assert heard.said[1:] == [
        "4 preview images were damaged or missing and drawn again.",
        (
            f"Preview images are damaged or missing: {lost[0]}, and 1 more. They cannot be drawn again, because only "
            "the network of the last epoch is stored."
        ),
    ]
    now = previews(job.output)
    assert {name: now[name] for name in before if name not in lost} == {
        name: data for name, data in before.items() if name not in lost
    }
    for name in lost:
        Path(job.output, name).write_bytes(before[name])
    again = Heard()
    train(replace(job, resume=True), again)
    assert again.said == ["The backbone is frozen, so its feature maps never change: they are drawn once."]
    assert previews(job.output) == before


def test_a_state_names_no_file_elsewhere(job: TrainJob) -> None:
    job = replace(job, epochs=1)
    train(job)
    path = Path(job.output, "training-state.pt")
    file = {"bytes": 1, "crc32": "00000000"}
    names = ("../x.png", "/dev/zero", "cams/epoch-x/a.png", "cams/epoch-001/../../../x", "run.json", "")
    state = replace(TrainingState.read(str(path)), previews=dict.fromkeys(names, file))  # type: ignore[arg-type]
    path.write_bytes(replace(state, previews={**state.previews, "cams/epoch-001/a.png": {"bytes": -1}}).to_bytes())  # type: ignore[dict-item]
    assert TrainingState.read(str(path)).previews == {}
