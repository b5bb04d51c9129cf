"""bf16 on a CPU: weights cast once give the results of autocast, and a long run ends with advice about bf16."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch

from cam_cli import Explainer, ExplainOptions
from cam_cli.cams.engine.backends import EagerBackend
from cam_cli.cams.engine.cast_backend import CastBackend
from cam_cli.machine import bf16_units
from cli.run_summary import Words, _gain

from .networks import network


def test_weights_cast_once_give_bit_by_bit_what_autocast_gives() -> None:
    torch.manual_seed(0)
    module = timm.create_model("test_resnet", num_classes=4).eval()
    before = {name: one.dtype for name, one in module.named_parameters()}
    ours = Explainer(network(module), ExplainOptions(device="cpu", precision="bf16", backend="torch"))
    assert isinstance(ours._backend, CastBackend)
    batch = torch.randn(2, 3, 64, 64)
    replica = ours.replica()
    found = [engine.explain_tensor(batch) for engine in (ours, replica)]
    with ours._backend(batch):
        assert module.layer1[0].conv1.weight.dtype == torch.bfloat16
        assert module.fc.weight.dtype == torch.float32
    assert {name: one.dtype for name, one in module.named_parameters()} == before
    ours._backend = EagerBackend()
    trace, maps = ours.explain_tensor(batch)
    for ours_trace, ours_maps in found:
        assert torch.equal(ours_trace.logits, trace.logits)
        assert torch.equal(ours_maps["gradcam"], maps["gradcam"])


@pytest.mark.parametrize(
    ("flags", "units"), [("fpu amx_tile amx_bf16 avx512_bf16", "AMX"), ("fpu avx512_bf16", "AVX-512"), ("fpu avx2", "")]
)
def test_bf16_instructions_of_the_processor_are_found(monkeypatch: pytest.MonkeyPatch, flags: str, units: str) -> None:
    monkeypatch.setattr("builtins.open", lambda *_, **__: io.StringIO(f"processor : 0\nflags : {flags}\nflags : x\n"))
    assert bf16_units() == units


@pytest.mark.parametrize(
    ("units", "device", "precision", "limit", "seconds", "advised"),
    [
        ("AMX", "cpu", "fp32", "model", 60.0, True),
        ("AMX", "cpu", "fp32", "model", 59.0, False),
        ("", "cpu", "fp32", "model", 60.0, False),
        ("AMX", "cpu", "bf16", "model", 60.0, False),
        ("AMX", "cuda", "fp32", "model", 60.0, False),
        ("AMX", "cpu", "fp32", "decode", 60.0, False),
    ],
)
def test_a_long_run_ends_with_advice_about_bf16(
    monkeypatch: pytest.MonkeyPatch,
    units: str,
    device: str,
    precision: str,
    limit: str,
    seconds: float,
    advised: bool,
) -> None:
    monkeypatch.setattr("cli.run_summary.bf16_units", lambda: units)
    plan, progress = SimpleNamespace(device=device, precision=precision), SimpleNamespace(limited_by=limit)
    summary: Any = SimpleNamespace(plan=plan, progress=progress, seconds=seconds)
    lines = _gain(summary, Words("explained", "target layer", "table"))
    assert bool(lines) == advised
    assert all(re.search(r"faster .*\(AMX\): --precision bf16 --backend openvino", line) for line in lines)
    assert all("--backend" not in line for line in _gain(summary, Words("read", "layer", "table", backends=False)))
