"""Measures `--compile`, seconds to compile and speed afterwards: `python benchmarks/compiling.py [MODEL …]`.

The figures of docs/compiling.md. Random weights, batches of noise, Grad-CAM of the predicted class, in as many lanes as
a run has. The compiler caches its code: set TORCHINDUCTOR_CACHE_DIR to an empty folder to measure a first run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from cam_cli import Explainer, ExplainOptions, load_model
from cam_cli.models.options import ModelSpec
from cam_cli.pipeline.lanes import Lanes, Share, as_in_a_lane, share

MODELS = ("resnet50", "vit_small_patch16_224")


def measured(name: str, batch_size: int, rounds: int, device: str) -> dict[str, float | str]:
    """Seconds to compile, and images per second each way: the median of alternating rounds of one batch per lane."""
    network = load_model(ModelSpec(name, pretrained=False))
    plain = Explainer(network, ExplainOptions(device=device))
    began = time.perf_counter()
    with as_in_a_lane(plain.device):
        fast = Explainer(network, ExplainOptions(device=device, compile=True))
    built = time.perf_counter() - began
    inputs = torch.randn(batch_size, 3, *network.preprocessing.input_size, device=plain.device)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    shared = share(plain.device, 1000)
    ways = {
        "eager": partial(rate, [plain, *(plain.replica() for _ in range(1, shared.lanes))], shared, inputs),
        "compiled": partial(rate, [fast, *(fast.replica() for _ in range(1, shared.lanes))], shared, inputs),
    }
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            rates[way].append(run())
    medians = {f"{way} img/s": round(statistics.median(found), 2) for way, found in rates.items()}
    return {"model": name, "build seconds": round(built, 1), **medians}


def rate(engines: Sequence[Explainer], shared: Share, inputs: Tensor) -> float:
    """Images per second of one batch per lane, all at once."""
    works: list[Callable[[Tensor], object]] = [engine.explain_tensor for engine in engines]
    with Lanes(works, shared.threads) as lanes:
        began = time.perf_counter()
        for future in [lanes.submit(inputs, lambda _: None) for _ in engines]:
            future.result()
        if inputs.is_cuda:
            torch.cuda.synchronize()
        return len(engines) * len(inputs) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true", help="one object per model")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.models:
        found = measured(name, options.batch_size, options.rounds, options.device)
        print(json.dumps(found) if options.json else ", ".join(f"{key}: {value}" for key, value in found.items()))


if __name__ == "__main__":
    main()
