"""Measures the time that `--wandb` adds: the same images with and without it, in turn, offline, at most 500 logged.

    python -m benchmarks.photos PHOTOS --count 2000
    ROUNDS=1 python benchmarks/tracking.py PHOTOS --model resnet50 --no-pretrained

Times whole processes. Prints ratios of runs of the same round, because the speed of a machine drifts.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_ROUNDS = int(os.environ.get("ROUNDS", "3"))
_ROOT = Path(__file__).parents[1]


def seconds(arguments: list[str], out: str) -> float:
    """Seconds of one `camx explain` into a new folder."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "cli.main", "explain", *arguments, "-q", "-o", out]
    began = time.perf_counter()
    subprocess.run(command, cwd=os.getcwd(), env={**os.environ, "PYTHONPATH": str(_ROOT)}, check=False)
    return time.perf_counter() - began


def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        seconds(arguments, out)  # caches of the disk, compiled Python files
        ratios = []
        for number in range(_ROUNDS):
            plain, tracked = [], []
            tracking = [*arguments, "--wandb", "--wandb-mode", "offline", "--wandb-max-images", "500"]
            # A, B, B, A: an even drift over a round cancels out.
            for times, argv in ((plain, arguments), (tracked, tracking), (tracked, tracking), (plain, arguments)):
                times.append(seconds(argv, out))
            ratios.append(sum(tracked) / sum(plain))
            print(f"round {number + 1}: without {plain[0]:.1f} {plain[1]:.1f} s, "
                  f"with {tracked[0]:.1f} {tracked[1]:.1f} s, ratio {ratios[-1]:.3f}", flush=True)  # fmt: skip
        print(f"median ratio {statistics.median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main(sys.argv[1:])
