"""Measures backends on a folder relative to an earlier checkout and to the usual loop over images, in turns.

    git worktree add ../camx-0.1.0 694683e
    python -m benchmarks.folder_turns --earlier ../camx-0.1.0 --model mobilenetv2_100 --images 2000 --rounds 3

A round runs `camx explain` once per way: the earlier checkout, and today's code with each backend and precision. A rate
is that of a long run less a short one. A machine that decodes D, explains E and draws W images per second of
each stage alone can do 1 / (1/D + 1/E + 1/W) of all three on the same cores: the ceiling of a way, with its own engine
(network, head and gradient). Ratios are taken inside a round; the median of the rounds is printed with its extremes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

from cam_cli.cams.engine.explainer import Explainer
from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.images.picture import load
from cam_cli.machine import cpus, keep_freed_memory
from cam_cli.models.catalog import load_model
from cam_cli.models.options import ModelSpec
from cam_cli.pipeline.lanes import share

from .folder import Bench
from .machine import machine
from .photos import make

_ROOT = Path(__file__).parents[1]
_SECONDS = 4.0

#: Ways to run today's code: backend and precision by their name in the table.
WAYS = {
    "torch": ("torch", "fp32"),
    "openvino": ("openvino", "fp32"),
    "torch bf16": ("torch", "bf16"),
    "openvino bf16": ("openvino", "bf16"),
}


class Turns:
    """One network, one folder, and every way to explain it."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        stages = argparse.Namespace(model=options.model, device="cpu", precision="fp32")
        self.stages = Bench(stages, folder)
        self.explainers = {way: self._explainer(*WAYS[way]) for way in options.ways}
        self.pictures = [load(source, self.stages.preprocessing) for source in self.stages.sources[:64]]

    def _explainer(self, backend: str, precision: str) -> Explainer:
        network = load_model(ModelSpec(self.options.model, pretrained=False))
        wanted = ExplainOptions(device="cpu", backend=backend, precision=precision)  # type: ignore[arg-type]
        return Explainer(network, wanted)

    def engine(self, way: str) -> float:
        """Images per second of network, head and gradient alone, on all cores as a run shares them."""
        first = self.explainers[way]
        lanes, _threads = share(first.device, 1000)
        explainers = [first, *(first.replica() for _ in range(1, lanes))]
        counts: list[int] = []

        def run(explainer: Explainer, until: float) -> None:
            done = 0
            while time.perf_counter() < until:
                start = done % len(self.pictures)
                explainer.explain(self.pictures[start : start + 8])  # type: ignore[arg-type]
                done += 8
            counts.append(done)

        run(first, time.perf_counter() + 1)
        counts.clear()
        began = time.perf_counter()
        threads = [threading.Thread(target=run, args=(one, began + _SECONDS)) for one in explainers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / (time.perf_counter() - began)

    def rate(self, code: Path, *flags: str) -> float:
        """Images per second of `camx explain` of a checkout, from the difference of a long and a short run."""
        few, many = cpus(), self.options.images
        return (many - few) / (-self._process(code, few, *flags) + self._process(code, many, *flags))

    def _process(self, code: Path, images: int, *flags: str) -> float:
        out = tempfile.mkdtemp(dir=self.folder)
        command = [sys.executable, "-m", "cli.main", "explain", str(self.folder / "photos"), "--limit", str(images),
                   "-m", self.options.model, "--no-pretrained", "-q", "-o", out, "--device", "cpu", *flags]  # fmt: skip
        began = time.perf_counter()
        subprocess.run(command, env={**os.environ, "PYTHONPATH": str(code)}, cwd=self.folder, check=True)
        return time.perf_counter() - began

    def round(self) -> dict[str, float]:
        """Rates of every way, of the loop, and of the stages."""
        found = {"0.1.0": self.rate(self.options.earlier)}
        for way in self.options.ways:
            backend, precision = WAYS[way]
            found[way] = self.rate(_ROOT, "--backend", backend, "--precision", precision)
        if self.options.loop:
            found["loop"] = self.stages.loop()
        decode, draw = self.stages.decode(), self.stages.encode()
        ratios = {}
        for way in self.options.ways:
            ceiling = 1 / (1 / decode + 1 / draw + 1 / self.engine(way))
            ratios[f"{way} × 0.1.0"] = found[way] / found["0.1.0"]
            ratios[f"{way} of its ceiling"] = found[way] / ceiling
            if "loop" in found:
                ratios[f"{way} × the loop"] = found[way] / found["loop"]
        return found | {"decode": decode, "draw": draw} | ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--earlier", type=Path, required=True, help="a checkout of version 0.1.0")
    parser.add_argument("--model", default="mobilenetv2_100")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--size", type=int, nargs=2, default=(500, 375), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--loop", action="store_true", help="also the loop with pytorch-grad-cam and cv2")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.earlier = options.earlier.resolve()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "photos", options.images, tuple(options.size))
        turns = Turns(options, Path(folder))
        rounds = []
        for number in range(options.rounds):
            rounds.append(turns.round())
            print(f"round {number + 1}: " + ", ".join(f"{k} {v:.3g}" for k, v in rounds[-1].items()), flush=True)
    for key in rounds[0]:
        values = [one[key] for one in rounds]
        print(f"{key}: {median(values):.3g} ({min(values):.3g} to {max(values):.3g})")
    if options.json:
        asked = {"model": options.model, "images": options.images, "size": options.size}
        options.json.write_text(
            json.dumps({"machine": machine(turns.stages.explainer.device), **asked, "rounds": rounds}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
