"""Measures the engine relative to the plain network, pytorch-grad-cam and torch-cam, on the same batch.

    python -m benchmarks.engine --models resnet50 vit_base_patch16_224 --batch 16 --json engine.json

A normalised batch lies on the device. In turn, round after round: the plain forward under `inference_mode`, the
engine's maps of the predicted class, those of the five best classes, and the two libraries' Grad-CAM of the same layer,
all in the same precision and memory format. A round gives ratios to its own plain forward; the medians are printed.
Weights are random. `of the matrix product` is the plain forward's share of the multiplications per second of one large
matrix product in the same precision on the same device: an upper limit for the same computation.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from cam_cli.cams.engine.devices import PRECISIONS
from cam_cli.cams.engine.explainer import Explainer
from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.machine import keep_freed_memory
from cam_cli.models.catalog import load_model
from cam_cli.models.options import ModelSpec

from .machine import machine, synchronised

_MODELS = ("resnet50", "convnext_base", "vit_base_patch16_224", "efficientnet_b0")


def ways(explainer: Explainer, batch: Tensor, *, others: bool) -> Iterator[tuple[str, Callable[[], object]]]:
    """Timed functions by name; the plain forward first."""
    module, autocast = explainer.network.module, explainer._runner.autocast

    @torch.inference_mode()
    def plain() -> Tensor:
        with autocast():
            scores: Tensor = module(batch)
        return scores

    best = plain().float().topk(5).indices.clone()
    yield "plain", plain
    yield "predicted", lambda: explainer.explain_tensor(batch)
    yield "top5", lambda: explainer.explain_tensor(batch, best)
    if others:
        yield from rivals(explainer, batch, best[:, 0])


def rivals(explainer: Explainer, batch: Tensor, best: Tensor) -> Iterator[tuple[str, Callable[[], object]]]:
    """The other libraries with the layer of camx; a transformer also gets a function that reshapes tokens."""
    import pytorch_grad_cam
    import torchcam.methods
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    layer, layout = explainer.layer, explainer.layer.layout
    module, autocast = explainer.network.module, explainer._runner.autocast
    reshape = None if layout.kind == "NCHW" else layout.to_nchw
    targets = [ClassifierOutputTarget(index) for index in best.tolist()]

    def grad_cam() -> Any:
        with pytorch_grad_cam.GradCAM(module, [module.get_submodule(layer.name)], reshape) as cam, autocast():
            return cam(batch, targets)

    def torch_cam() -> Any:
        with torchcam.methods.GradCAM(module, layer.name) as cam, autocast():
            return cam(best.tolist(), module(batch.clone().requires_grad_()))

    yield "grad-cam", grad_cam
    if layout.kind == "NCHW":  # torch-cam reads no other layout
        yield "torch-cam", torch_cam


def _flops_of_forward(explainer: Explainer, batch: Tensor) -> float:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        explainer.network.module(batch[:1])
    return float(counter.get_total_flops())


def _flops_per_second(device: torch.device, precision: str, rounds: int = 9) -> float:
    """Highest rate of the product of two square matrices over the rounds."""
    side = 2048 if device.type == "cpu" else 8192
    one, other = torch.randn(2, side, side, device=device, dtype=PRECISIONS[precision])
    seconds = []
    for _ in range(rounds):
        synchronised(device)
        began = time.perf_counter()
        one @ other
        synchronised(device)
        seconds.append(time.perf_counter() - began)
    return 2.0 * side**3 / min(seconds)


def measured(explainer: Explainer, batch: Tensor, rounds: int, *, others: bool) -> dict[str, Any]:
    """Images per second of the plain forward, and rates of the other ways relative to it: medians, extremes."""
    found = dict(ways(explainer, batch, others=others))
    seconds: dict[str, list[float]] = {name: [] for name in found}
    for number in range(rounds + 1):
        for name, way in found.items():
            synchronised(explainer.device)
            began = time.perf_counter()
            way()
            synchronised(explainer.device)
            if number:  # the first round is a warm-up
                seconds[name].append(time.perf_counter() - began)
    plain = seconds["plain"]
    rate = len(batch) / median(plain)
    ratios = {name: [a / b for a, b in zip(plain, times)] for name, times in seconds.items() if name != "plain"}
    spread = {name: [round(f(values), 3) for f in (median, min, max)] for name, values in ratios.items()}
    others = {
        f"predicted against {name}": round(median(b / a for a, b in zip(seconds["predicted"], seconds[name])), 2)
        for name in ("grad-cam", "torch-cam")
        if name in seconds
    }
    peak = _flops_per_second(explainer.device, explainer.precision)
    share = {"of the matrix product": round(rate * _flops_of_forward(explainer, batch) / peak, 2)}
    return {"plain images per second": round(rate, 2), **share, "ratios (median, least, most)": spread, **others}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=_MODELS)
    parser.add_argument("--batch", type=int, nargs="+", default=[16])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-rivals", action="store_true", help="without pytorch-grad-cam and torch-cam")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    keep_freed_memory()
    rows: list[dict[str, Any]] = []
    for name in options.models:
        network = load_model(ModelSpec(name, pretrained=False))
        explainer = Explainer(network, ExplainOptions(device=options.device, precision=options.precision))
        height, width = network.preprocessing.input_size
        for size in options.batch:
            batch = torch.randn(size, network.preprocessing.channels, height, width, device=explainer.device)
            batch = batch.to(memory_format=torch.channels_last)
            row = measured(explainer, batch, options.rounds, others=not options.no_rivals)
            rows.append({"model": name, "batch": size, "precision": explainer.precision, **row})
            print(json.dumps(rows[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(explainer.device), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
