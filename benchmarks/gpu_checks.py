"""The checks of `benchmarks.gpu`: each returns its figures, and raises if they are wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn

from cam_cli.cams.engine.explainer import Explainer
from cam_cli.cams.engine.inputs import as_pictures
from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.cams.methods.names import METHOD_NAMES
from cam_cli.errors import CamxError
from cam_cli.images.geometry import Preprocessing
from cam_cli.models.network import Network

from .machine import synchronised
from .photos import make

_ROOT = Path(__file__).parents[1]


class NotHere(Exception):
    """The check does not apply to this device."""


def small(name: str, side: int) -> Network:
    torch.manual_seed(0)
    square, half = (side, side), (0.5,) * 3
    module = timm.create_model(name, num_classes=7).eval()
    return Network(module, name, Preprocessing(square, square, "squash", "bilinear", half, half))


def batch(count: int, side: int) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def correlation(one: Tensor, other: Tensor) -> float:
    """The least correlation of two maps of the same image; maps that are zero on both sides agree."""
    pairs = [(a.float().cpu().numpy().ravel(), b.float().cpu().numpy().ravel()) for a, b in zip(one, other)]
    found = [1.0 if not a.any() and not b.any() else float(np.corrcoef(a, b)[0, 1]) for a, b in pairs]
    return round(min(found), 5)


def explainer(network: Network, device: str, *methods: str, **options: Any) -> Explainer:
    return Explainer(network, ExplainOptions(methods or ("gradcam",), device=device, **options))


def every_method(device: str) -> dict[str, Any]:
    """Compares maps in fp32 with those of the CPU for the same classes: a convolutional network and a transformer."""
    found, classes = {}, torch.tensor([[1], [2]])
    for name, side in (("test_resnet", 64), ("test_vit", 160)):
        inputs = batch(2, side)
        for method in METHOD_NAMES:
            try:
                there = explainer(small(name, side), "cpu", method, precision="fp32")
            except CamxError:
                continue  # the method does not apply to this network
            here = explainer(small(name, side), device, method, precision="fp32")
            wanted = there.explain_tensor(inputs, classes)[1][method]
            maps = here.explain_tensor(inputs.to(here.device), classes.to(here.device))[1][method]
            found[f"{name} {method}"] = correlation(maps.flatten(0, 1), wanted.flatten(0, 1))
    bad = {name: value for name, value in found.items() if not value > 0.99}
    assert not bad, bad
    return {"methods": len(found), "least correlation": min(found.values())}


def precisions(device: str) -> dict[str, float]:
    """Compares maps in bf16 and fp16 with those in fp32."""
    if device == "cpu":
        kinds: tuple[str, ...] = ("bf16",)
    else:
        kinds = ("bf16", "fp16")
    network, inputs, classes = small("test_resnet", 64), batch(4, 64), torch.tensor([[1]] * 4)
    engines = {kind: explainer(network, device, precision=kind) for kind in ("fp32", *kinds)}
    maps = {
        k: one.explain_tensor(inputs.to(one.device), classes.to(one.device))[1]["gradcam"] for k, one in engines.items()
    }
    found = {kind: correlation(maps[kind][:, 0], maps["fp32"][:, 0]) for kind in kinds}
    assert all(value > 0.9 for value in found.values()), found
    return found


def channels_last(device: str) -> dict[str, int]:
    """Weights of convolutions have the memory format of their inputs."""
    if device == "cpu":
        raise NotHere("only on GPUs")
    module = explainer(small("test_resnet", 64), device).network.module
    layers = [one for one in module.modules() if isinstance(one, nn.Conv2d)]
    assert layers
    assert all(one.weight.is_contiguous(memory_format=torch.channels_last) for one in layers)
    return {"convolutions": len(layers)}


def out_of_memory(device: str) -> dict[str, int]:
    """Two lanes with batches that do not fit: every image gets its map, equal to that of a small batch."""
    if device == "cpu":
        raise NotHere("only on GPUs")
    network = small("resnet50", 224)
    engine = explainer(network, device, precision="fp32")
    other = engine.replica()
    pictures = as_pictures(batch(512, 224), network.preprocessing)
    few = engine.explain(pictures[:8])
    torch.cuda.empty_cache()
    _, total = torch.cuda.mem_get_info()
    # The memory in use, and 2 GiB more.
    share = (torch.cuda.memory_reserved() + 2 * 2**30) / total
    torch.cuda.set_per_process_memory_fraction(share)
    try:
        with ThreadPoolExecutor(2) as pool:
            both = list(pool.map(lambda one: one.explain(pictures), (engine, other)))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    for results in both:
        assert [one.problem for one in results if one.problem] == []
        for one, wanted in zip(results, few):
            np.testing.assert_allclose(one.maps[0].values, wanted.maps[0].values, rtol=0.05, atol=1e-4)
    assert engine._runner._largest_batch is not None, "the memory sufficed"
    return {"largest batch": engine._runner._largest_batch}


_LOST = """
import torch
from benchmarks.gpu_checks import batch, explainer, small
from cam_cli.cams.engine.devices import DeviceFailed
from cam_cli.cams.engine.inputs import as_pictures
engine = explainer(small("test_resnet", 64), "cuda")
pictures = as_pictures(batch(2, 64), engine.network.preprocessing)
engine.network.module.fc.register_forward_hook(lambda m, i, o: o.gather(1, torch.full_like(o, 10**6).long()))
try:
    engine.explain(pictures)
except DeviceFailed as error:
    print("LOST", error)
"""


def lost_device(device: str) -> dict[str, str]:
    """A failed kernel destroys the context: the run ends with one sentence. Runs in its own process."""
    if device == "cpu":
        raise NotHere("only on GPUs")
    done = subprocess.run([sys.executable, "-c", _LOST], cwd=_ROOT, capture_output=True, text=True, timeout=120)
    messages = [line for line in done.stdout.splitlines() if line.startswith("LOST")]
    assert messages, done.stderr[-500:]
    return {"message": messages[0][5:]}


def on_the_device(device: str) -> dict[str, Any]:
    """Compares `--decode device` with exact decoding: top classes, and images per second of each run."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "in", 200 if device != "cpu" else 12)
        for way in ("exact",) if device == "cpu" else ("exact", "device"):
            argv = ["explain", f"{folder}/in", "-o", f"{folder}/{way}", "--model", "resnet18", "--no-pretrained"]
            argv += ["--device", device, "--precision", "fp32", "--decode", way, "--format", "jpg", "--json", "-q"]
            done = subprocess.run([sys.executable, "-m", "cam_cli", *argv], cwd=_ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr[-500:]
            found[way] = json.loads(done.stdout)["images_per_second"]
            table = Path(folder, way, "predictions.csv").read_text().splitlines()[1:]
            found[f"{way} classes"] = [line.split(",")[3] for line in table]
    same = [a == b for a, b in zip(found.pop("exact classes"), found.pop("device classes", []))]
    if same:
        found["same class"] = f"{sum(same)} of {len(same)}"
        assert sum(same) >= 0.9 * len(same), found
    return found


def compiled(device: str) -> dict[str, float]:
    """Compares maps of compiled code with those of plain code."""
    network, inputs = small("test_resnet", 64), batch(4, 64)
    plain, fast = (explainer(network, device, precision="fp32", backend=one) for one in ("torch", "compile"))
    inputs = inputs.to(plain.device)
    value = correlation(*(one.explain_tensor(inputs)[1]["gradcam"][:, 0] for one in (fast, plain)))
    assert value > 0.999, value
    return {"correlation": value}


def graphs(device: str) -> dict[str, float]:
    """Speed of the plain forward as a CUDA graph, in plain forwards: an upper limit for graphs. Batch of 8."""
    if device == "cpu":
        raise NotHere("only on GPUs")
    where, found = torch.device(device), {}
    for name in ("resnet50", "efficientnet_b0"):
        module = timm.create_model(name).eval().to(where)
        inputs = torch.randn(8, 3, 224, 224, device=where)
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16):
            for _ in range(3):
                module(inputs)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                module(inputs)
            seconds: dict[str, list[float]] = {"plain": [], "graph": []}
            for _ in range(20):
                for key, run in (("plain", lambda: module(inputs)), ("graph", graph.replay)):  # noqa: B023 - called at once
                    synchronised(where)
                    began = time.perf_counter()
                    run()
                    synchronised(where)
                    seconds[key].append(time.perf_counter() - began)
        found[name] = round(median(seconds["plain"]) / median(seconds["graph"]), 2)
    return found


CHECKS: tuple[Callable[[str], dict[str, Any]], ...] = (
    every_method,
    precisions,
    channels_last,
    out_of_memory,
    lost_device,
    on_the_device,
    compiled,
    graphs,
)
