"""Measures the engine with head and gradient by backend and precision, relative to torch's plain float32 forward.

    python -m benchmarks.backends --models resnet50 mobilenetv2_100 --rounds 7 --json backends.json

On one core and in turn, round after round: the plain forward in float32 under `inference_mode` with channels last in
memory, the engine's Grad-CAM of the predicted class in torch and in OpenVINO, in float32 and, where the processor has
instructions for it, in bf16; and the Grad-CAM of two libraries. A round gives ratios to its own plain forward; medians
and extremes are printed, and the seconds for conversion and proof. Times are processor times, so other work on the
machine has little influence. Weights are random. Precisions without instructions are "not measured".
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

import torch
from torch import Tensor

from cam_cli.cams.engine.explainer import Explainer
from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.machine import bf16_units, keep_freed_memory
from cam_cli.models.catalog import load_model
from cam_cli.models.network import Network
from cam_cli.models.options import ModelSpec

from .engine import rivals
from .machine import machine

_MODELS = (
    "mobilenetv2_100",
    "efficientnet_b0",
    "resnet50",
    "swin_tiny_patch4_window7_224",
    "convnext_tiny",
    "vit_small_patch16_224",
)
#: Lowest acceptable speeds, in plain float32 forwards.
_AIMS = {"resnet50": 1.5, "swin_tiny_patch4_window7_224": 1.5, "mobilenetv2_100": 2.3, "efficientnet_b0": 2.3}
_AIM, _AIM_BF16 = 1.1, 3.5


def engines(network: Network, found: dict[str, Any]) -> dict[str, Explainer]:
    """Builds one engine per backend and precision of this machine, and stores the seconds of each in `found`."""
    precisions = ("fp32", "bf16") if bf16_units() else ("fp32",)
    built = {}
    for precision in precisions:
        for backend in ("torch", "openvino"):
            began = time.process_time()
            engine = Explainer(network, ExplainOptions(device="cpu", precision=precision, backend=backend))
            found[f"{backend} {precision} ready after s"] = round(time.process_time() - began, 1)
            if engine.backend == backend:
                built[f"{backend} {precision}"] = engine
            else:
                found[f"{backend} {precision}"] = engine.network.warnings[-1]
    return built


def measured(name: str, size: int, rounds: int, *, others: bool) -> dict[str, Any]:
    """Milliseconds per image of the plain forward, and the speed of every other way relative to it."""
    network = load_model(ModelSpec(name, pretrained=False))
    found: dict[str, Any] = {"model": name, "batch": size}
    built = engines(network, found)
    height, width = network.preprocessing.input_size
    batch = torch.randn(size, network.preprocessing.channels, height, width).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def plain() -> Tensor:
        scores: Tensor = network.module(batch)
        return scores

    ways: dict[str, Callable[[], object]] = {"plain": plain}
    ways |= {key: lambda engine=engine: engine.explain_tensor(batch) for key, engine in built.items()}  # type: ignore[misc]
    if others:
        ways |= dict(rivals(built["torch fp32"], batch, plain().argmax(1)))
    seconds: dict[str, list[float]] = {key: [] for key in ways}
    for number in range(rounds + 1):
        for key, way in ways.items():
            began = time.process_time()
            way()
            if number:  # the first round is a warm-up
                seconds[key].append(time.process_time() - began)
    found["plain ms per image"] = round(median(seconds["plain"]) * 1000 / size, 2)
    for key, times in seconds.items():
        ratios = [a / b for a, b in zip(seconds["plain"], times)]
        if key != "plain":
            found[key] = [round(f(ratios), 2) for f in (median, min, max)]
    for rival in ("grad-cam", "torch-cam"):
        for key in built:
            if rival in seconds:
                found[f"{key} against {rival}"] = round(median(b / a for a, b in zip(seconds[key], seconds[rival])), 2)
    return found


def judged(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each speed below its aim, and for each way without a measurement."""
    lines = []
    for row in rows:
        aims = {"openvino fp32": _AIMS.get(row["model"], _AIM), "openvino bf16": _AIM_BF16}
        for key, aim in aims.items():
            ratio = row[key][0] if isinstance(row.get(key), list) else None
            if ratio is None:
                lines.append(f"{row['model']}, {key}: not measured")
            elif ratio < aim:
                lines.append(f"{row['model']}, {key}: {ratio} of the {aim} aimed at")
    for rival, aim in (("torch-cam", 1.5), ("grad-cam", 4.0)):
        ratios = [row[key] for row in rows if (key := f"openvino fp32 against {rival}") in row]
        if ratios:
            lines.append(f"against {rival}: geometric mean {geometric_mean(ratios):.2f}, {aim} aimed at")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=_MODELS)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-rivals", action="store_true", help="without pytorch-grad-cam and torch-cam")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    keep_freed_memory()
    torch.set_num_threads(1)
    rows = []
    for name in options.models:
        rows.append(measured(name, options.batch, options.rounds, others=not options.no_rivals))
        print(json.dumps(rows[-1]), flush=True)
    print(f"instructions for bf16: {bf16_units() or 'none'}", *judged(rows), sep="\n")
    if options.json:
        about = {**machine(torch.device("cpu")), "bf16": bf16_units() or "none"}
        options.json.write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
