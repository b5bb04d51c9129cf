"""`camx train-gap --backend`: features by OpenVINO or cast weights equal those of torch, and kinds do not mix."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cam_cli.cams.engine import backend_choice
from cam_cli.cams.engine.backends import EagerBackend
from cam_cli.cams.engine.cast_backend import CastBackend
from cam_cli.cams.engine.openvino_model import openvino_is_there
from cam_cli.errors import CamxError
from cam_cli.training import features, prepare
from cam_cli.training.build import build_gap_network, describe_head, load_backbone
from cam_cli.training.features import Extractor, extractor
from cam_cli.training.job import FEATURES, TrainJob, fingerprint
from cam_cli.training.progress import Silent
from cam_cli.training.run import train
from cam_cli.training.settings import settings_of
from cam_cli.training.state import check_same
from cli.main import run

from .training_support import data, job, one_thread  # noqa: F401 - fixtures are found by their names


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CAMX_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def converts() -> None:
    if not openvino_is_there():
        pytest.skip("pip install 'camx[openvino]'")


class Warned(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def warned(self, message: str) -> None:
        self.lines.append(message)


def extractors(job: TrainJob, *backends: str, pooled: bool, precision: str = "fp32") -> list[Extractor]:
    """Feature extractors of one network by backend."""
    network = load_backbone(job)
    gap = build_gap_network(network, describe_head(network, job, ("blue", "red")), 0).requires_grad_(False)
    settings = replace(settings_of(job, 24), precision=precision)
    return [extractor(network, gap, settings, backend, 0, pooled=pooled) for backend in backends]


@pytest.mark.extras
@pytest.mark.usefixtures("converts")
@pytest.mark.parametrize("pooled", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_features_by_openvino_are_those_of_torch(job: TrainJob, pooled: bool) -> None:
    plain, ours = extractors(job, "torch", "openvino", pooled=pooled)
    assert (plain.backend, ours.backend, ours.warnings) == ("torch", "openvino", ())
    torch.manual_seed(0)
    for count in (1, 3):
        batch = torch.randn(count, 3, 64, 64)
        wanted, found = plain.compute(batch), ours.compute(batch)
        assert found.shape == wanted.shape
        assert len(found.shape) == (2 if pooled else 4)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))


def test_bf16_features_are_those_of_autocast_bit_by_bit(job: TrainJob, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = []
    choose = backend_choice.choose_backend
    monkeypatch.setattr(features, "choose_backend", lambda *args: chosen.append(choose(*args)) or chosen[-1])
    (ours,) = extractors(job, "auto", pooled=True, precision="bf16")
    assert isinstance(chosen[0].backend, CastBackend)
    monkeypatch.setattr(backend_choice, "cast_upstream", lambda *_: EagerBackend())
    (plain,) = extractors(job, "torch", pooled=True, precision="bf16")
    batch = torch.randn(3, 3, 64, 64)
    assert ours.compute(batch).dtype == torch.float32
    assert torch.equal(ours.compute(batch), plain.compute(batch))


@pytest.mark.slow
@pytest.mark.extras
@pytest.mark.usefixtures("converts")
def test_a_training_records_the_backend_of_its_features(job: TrainJob, monkeypatch: pytest.MonkeyPatch) -> None:
    made = train(replace(job, epochs=1, backend="openvino"))
    assert made.plan.backend == "openvino"
    assert json.loads((Path(job.output) / "run.json").read_text())["plan"]["backend"] == "openvino"
    told = Warned()
    monkeypatch.setattr(
        prepare, "extractor", lambda *args, **kw: replace(extractor(*args, **kw), warnings=("It runs in torch.",))
    )
    train(replace(job, epochs=1, overwrite=True), told)
    assert "It runs in torch." in told.lines


def test_a_head_on_features_in_float32_does_not_go_on_with_those_in_bf16(job: TrainJob) -> None:
    train(replace(job, epochs=1))
    with pytest.raises(CamxError, match=f"holds a training with another {FEATURES}, so") as caught:
        train(replace(job, epochs=1, resume=True, precision="bf16"))
    assert "so it cannot be continued" in str(caught.value)
    # All backends in float32 give equal features, and a training of 0.1.0 records none.
    network, kinds = load_backbone(job), []
    for backend, precision in (("torch", "fp32"), ("openvino", "fp32"), ("auto", "bf16"), ("openvino", "bf16")):
        found = fingerprint(replace(job, backend=backend), network, _Empty, precision)
        kinds.append(found[FEATURES])
    assert kinds == ["fp32", "fp32", "bf16 torch", "bf16 openvino"]
    stored = json.loads(json.dumps({key: value for key, value in found.items() if key != FEATURES}))
    check_same(stored, found, "out")
    assert FEATURES not in fingerprint(replace(job, freeze="none"), network, _Empty, "bf16")


class _Empty:
    train, val, classes = (), (), ()


def test_a_backend_is_for_a_frozen_backbone(
    data: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["train-gap", data, "-m", "timm/test_resnet", "--no-pretrained", "-o", str(tmp_path / "out")]
    assert run([*words, "--freeze", "none", "--backend", "openvino"]) == 2
    assert re.search(r"`?--backend openvino`? computes the features of a frozen backbone", capsys.readouterr().err)
