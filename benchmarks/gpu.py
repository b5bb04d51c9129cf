"""Runs everything that needs a GPU in less than six minutes: first the checks of results, then speed.

    python -m benchmarks.gpu --json gpu.json             # on a machine with a GPU
    python -m benchmarks.gpu --device cpu --small        # the part that a CPU can run, to test the script

Needs only the packages that camx needs; compares with pytorch-grad-cam and torch-cam if they are installed. Every
check (`benchmarks/gpu_checks.py`) and every ratio is one line of JSON. A check that fails does not stop the others; the
exit code is then 1. A line names each check that the time or the device did not allow. Weights are random.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cam_cli.cams.engine.devices import find_device
from cam_cli.models.catalog import load_model
from cam_cli.models.options import ModelSpec

from .engine import measured
from .gpu_checks import CHECKS, NotHere, explainer
from .machine import machine

_MODELS = ("resnet50", "vit_base_patch16_224", "convnext_base", "efficientnet_b0")


def ratio(device: str, name: str, precision: str, size: int, rounds: int) -> dict[str, Any]:
    """Rates of the engine and of the other libraries relative to the plain forward; see `benchmarks.engine`."""
    network = load_model(ModelSpec(name, pretrained=False))
    height, width = network.preprocessing.input_size
    there = all(importlib.util.find_spec(one) for one in ("pytorch_grad_cam", "torchcam"))
    engine = explainer(network, device, precision=precision)
    inputs = torch.randn(size, 3, height, width, device=engine.device).to(memory_format=torch.channels_last)
    return {"batch": size, **measured(engine, inputs, rounds, others=there)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="one small network, to test the script")
    parser.add_argument("--seconds", type=float, default=330.0, help="start no step later than this")
    parser.add_argument("--only", nargs="+", help="names of checks and ratios")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    began, device = time.perf_counter(), str(find_device(options.device))
    steps: dict[str, Callable[[], dict[str, Any]]] = {one.__name__: partial(one, device) for one in CHECKS}
    models, size, rounds = (("test_resnet",), 2, 1) if options.small else (_MODELS, 64, 7)
    for name in models:
        for kind in ("fp32",) if options.small else ("bf16", "fp32"):
            steps[f"{name} {kind}"] = partial(ratio, device, name, kind, size, rounds)
    steps = {name: step for name, step in steps.items() if not options.only or name in options.only}
    rows, failed = [], False
    for name, step in steps.items():
        row: dict[str, Any] = {"check": name}
        start = time.perf_counter()
        if start - began > options.seconds:
            row["not run"] = "the time is over"
        else:
            # The checks compare with float32; the ratios are timed as camx runs.
            torch.backends.cudnn.allow_tf32 = " " in name
            try:
                row |= step()
            except NotHere as error:
                row["not run"] = str(error)
            except Exception as error:  # the other checks still run
                failed = True
                row |= {"FAILED": f"{type(error).__name__}: {error}"[:500], "at": traceback.format_exc()[-800:]}
        rows.append({**row, "seconds": round(time.perf_counter() - start, 1)})
        print(json.dumps(rows[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(torch.device(device)), "rows": rows}, indent=1) + "\n")
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
