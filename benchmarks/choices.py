"""Measures four choices of the pipeline, each beside its alternative in one run on a CPU.

python -m benchmarks.choices drawing     # overlays per second: threads against processes
python -m benchmarks.choices lanes       # forwards: all cores on one batch against a batch and a core each
python -m benchmarks.choices memory      # forwards: memory returned to the system against memory kept
python -m benchmarks.choices channel     # images to and from workers: pipes against shared memory
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
import torch

from cam_cli.images.geometry import Preprocessing
from cam_cli.images.listing import find
from cam_cli.images.picture import Picture, load
from cam_cli.machine import cpus, keep_freed_memory
from cam_cli.maps.explanation import ClassMap, Explanation, Prediction
from cam_cli.models.catalog import load_model
from cam_cli.models.options import ModelSpec
from cam_cli.outputs.options import Rendering
from cam_cli.outputs.renderer import ExplanationRenderer

from .photos import make

_ROUNDS, _SECONDS = 5, 3.0
_MODEL = "mobilenetv2_100"


def drawing() -> None:
    """Overlays of 500×375 per second, drawn and encoded but not written, by 1, 2 and 4 threads or processes."""
    keep_freed_memory()
    preprocessing = Preprocessing((224, 224), (256, 256), "center", "bicubic", (0.5,) * 3, (0.5,) * 3)
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), 64)
        pictures = [load(source, preprocessing) for source in find([folder]).sources]
    best, random = Prediction(0, "class", 0.5), np.random.default_rng(0)
    explanations = [
        Explanation(
            picture, (best,) * 5, (ClassMap("gradcam", "layer", best, random.normal(size=(7, 7)).astype(np.float32)),)
        )
        for picture in pictures
        if isinstance(picture, Picture)
    ]
    draw = ExplanationRenderer(Rendering(), 192).render

    def threads(count: int) -> float:
        with ThreadPoolExecutor(count) as pool:
            began = time.perf_counter()
            list(pool.map(draw, explanations * 4))
            return 4 * len(explanations) / (time.perf_counter() - began)

    def processes(count: int) -> float:
        began, children = time.perf_counter(), []
        for first in range(count):
            child = os.fork()
            if not child:
                for one in (explanations * 4)[first::count]:
                    draw(one)
                os._exit(0)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        return 4 * len(explanations) / (time.perf_counter() - began)

    threads(1)
    ways = {
        f"{n} {name}": (way, n) for n in (1, 2, 4) for name, way in (("threads", threads), ("processes", processes))
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(_ROUNDS):
        for name, (way, count) in ways.items():
            rates[name].append(way(count))
    _print_rates(rates, "overlays per second")


def lanes() -> None:
    """Images per second in batches of 8: one network with all threads, or one network per core with one thread."""
    keep_freed_memory()
    network = load_model(ModelSpec(_MODEL, pretrained=False))
    networks = [network, *(network.replica() for _ in range(1, cpus()))]
    batch = torch.randn(8, 3, 224, 224).contiguous(memory_format=torch.channels_last)

    def rate(count: int, threads: int) -> float:
        torch.set_num_threads(threads)
        done: list[int] = []

        def run(module: Callable[[torch.Tensor], object]) -> None:
            forwards, until = 0, time.perf_counter() + _SECONDS
            with torch.inference_mode():
                while time.perf_counter() < until:
                    module(batch)
                    forwards += 1
            done.append(forwards)

        workers = [threading.Thread(target=run, args=(one.module,)) for one in networks[:count]]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return sum(done) * len(batch) / _SECONDS

    together, apart = f"one lane, {cpus()} threads", f"{cpus()} lanes, one thread each"
    rates: dict[str, list[float]] = {together: [], apart: []}
    for _ in range(_ROUNDS):
        rates[together].append(rate(1, cpus()))
        rates[apart].append(rate(cpus(), 1))
    _print_rates(rates, "images per second")


_FORWARDS = """
import json, os, sys, timm, torch
from cam_cli.machine import keep_freed_memory
if sys.argv[2] == "kept": keep_freed_memory()
torch.set_num_threads(1)
module, batch = timm.create_model(sys.argv[1]).eval(), torch.randn(8, 3, 224, 224)
with torch.inference_mode():
    module(batch)
    before = os.times()
    for _ in range(25): module(batch)
    after = os.times()
print(json.dumps([1000 * (after.user - before.user) / 200, 1000 * (after.system - before.system) / 200]))
"""


def memory() -> None:
    """Processor milliseconds per image in batches of 8, in total and in the kernel."""
    rates: dict[str, list[float]] = {}
    for _ in range(_ROUNDS):
        for way in ("returned", "kept"):
            user, system = json.loads(_printed(_FORWARDS, _MODEL, way))
            rates.setdefault(f"{way}, in total", []).append(user + system)
            rates.setdefault(f"{way}, in the kernel", []).append(system)
    _print_rates(rates, "ms per image")


_CALLS = """
import contextlib, os, sys
import numpy as np
from cam_cli.images import workers
if sys.argv[1] == "pipe": workers.new_window = contextlib.nullcontext
picture = np.random.default_rng(0).integers(0, 256, (375, 500, 3), np.uint8)
with workers.Workers(1) as pool:
    for _ in range(int(sys.argv[2])): pool.call(np.asarray, picture)
spent = os.times()
print(sum(spent[:4]))
"""


def channel() -> None:
    """Processor milliseconds of both processes for an image of 500×375 to a worker and back."""
    few, many = 100, 1100

    def spent(way: str, calls: int) -> float:
        return float(_printed(_CALLS, way, str(calls)))

    rates: dict[str, list[float]] = {"pipe": [], "memory": []}
    for _ in range(_ROUNDS):
        for way, found in rates.items():
            found.append(1000 * (spent(way, many) - spent(way, few)) / (many - few))
    _print_rates(rates, "ms per image and back")


def _printed(code: str, *arguments: str) -> bytes:
    """Runs code in its own process and returns its output."""
    root = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.run([sys.executable, "-c", code, *arguments], env=root, check=True, capture_output=True).stdout


def _print_rates(values: dict[str, list[float]], unit: str) -> None:
    for name, found in values.items():
        print(f"{name}: {median(found):.3g} {unit} ({min(found):.3g} to {max(found):.3g})")


if __name__ == "__main__":
    {"drawing": drawing, "lanes": lanes, "memory": memory, "channel": channel}[sys.argv[1]]()
