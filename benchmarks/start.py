"""Measures the time to the first overlay of `camx explain`, relative to `import timm` and building the network.

    python -m benchmarks.start --model resnet50 --json start.json

One image, a local checkpoint, whole processes one after the other; also `camx --help`. Prints the medians of the
rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from .machine import machine

_ROOT = Path(__file__).parents[1]
_BUILD = "import sys, timm; timm.create_model(sys.argv[1])"


def seconds(command: list[str], wait_for: Path | None = None) -> float:
    """Seconds until a process ends, or until a file exists."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(_ROOT)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not (wait_for and wait_for.exists()):
        time.sleep(0.002)
    took = time.perf_counter() - began
    if process.wait():
        raise SystemExit(f"{command} ended with code {process.returncode}")
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    camx = [sys.executable, "-m", "cli.main"]
    with tempfile.TemporaryDirectory() as folder:
        import timm

        weights = f"{folder}/weights.pth"
        torch.save(timm.create_model(options.model).state_dict(), weights)
        photo = _ROOT / "sample_images" / "cat.jpg"
        rounds: list[dict[str, float]] = []
        for number in range(options.rounds + 1):
            out = Path(folder) / f"out-{number}"
            argv = ["explain", str(photo), "-m", options.model, "--checkpoint", weights, "-q", "-o", str(out)]
            build = seconds([sys.executable, "-c", _BUILD, options.model])
            overlay = seconds([*camx, *argv], out / "overlays" / "cat.jpg.png")
            one = {"import and build": build, "first overlay": overlay, "help": seconds([*camx, "--help"])}
            if number:  # the first round fills the caches of the disk
                rounds.append({**one, "ratio": overlay / build})
                print(", ".join(f"{name} {value:.2f}" for name, value in rounds[-1].items()), flush=True)
    medians: dict[str, Any] = {name: round(median(one[name] for one in rounds), 3) for name in rounds[0]}
    print("median: " + ", ".join(f"{name} {value:.2f}" for name, value in medians.items()))
    if options.json:
        content = {"machine": machine(torch.device("cpu")), "model": options.model, "median": medians, "rounds": rounds}
        options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
