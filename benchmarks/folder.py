"""Measures `camx explain` on a folder relative to its stages alone, and to the usual loop over images.

    python -m benchmarks.folder --model mobilenetv2_100 --images 600 --json folder.json

Every round measures `camx explain` on the folder, and before and after it decoding alone, the plain network alone and
encoding alone, each on the whole machine without other work; and with `--loop` one image after the other with
pytorch-grad-cam and cv2. A round gives ratios to the means of before and after, because the speed of a shared machine
drifts; prints the medians over the rounds.

On a CPU the stages share the cores: a machine that does D, F and E images per second of each stage alone can do
1 / (1/D + 1/F + 1/E) of all three. With a GPU the network has a device of its own: the ceiling is the smaller of F and
1 / (1/D + 1/E). Weights are random; speed does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch

from cam_cli.cams.engine.explainer import Explainer
from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.images.listing import Source, find
from cam_cli.images.picture import load
from cam_cli.machine import cpus, keep_freed_memory
from cam_cli.maps.explanation import Explanation
from cam_cli.models.catalog import load_model
from cam_cli.models.options import ModelSpec
from cam_cli.outputs.folder import OutputFolder
from cam_cli.outputs.options import Rendering
from cam_cli.outputs.renderer import ExplanationRenderer
from cam_cli.pipeline.lanes import share

from .machine import machine, synchronised
from .photos import make

_ROOT = Path(__file__).parents[1]
#: Seconds of the measurement of one stage alone.
_SECONDS = 4.0


class Bench:
    """One network and one folder."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        network = load_model(ModelSpec(options.model, pretrained=False))
        self.explainer = Explainer(network, ExplainOptions(device=options.device, precision=options.precision))
        self.sources = find([str(folder / "photos")]).sources
        self.preprocessing = network.preprocessing
        # Enough to evict an image from the caches before it is used again.
        pictures = [load(source, self.preprocessing) for source in self.sources[:64]]
        self.explanations: list[Explanation] = []
        for start in range(0, len(pictures), 8):
            self.explanations += self.explainer.explain(pictures[start : start + 8])  # type: ignore[arg-type]

    def decode(self) -> float:
        """Images per second of all cores: read, decode, prepare."""
        return _on_all_cores(lambda item: load(item, self.preprocessing), self.sources)

    def encode(self) -> float:
        """Images per second of all cores: draw, encode, measure and write."""
        results, target = ExplanationRenderer(Rendering(), 192), OutputFolder(self._new_folder())

        def written(explanation: Explanation) -> None:
            for name, data in results.render(explanation).files.items():
                target.write(name, data)

        return _on_all_cores(written, self.explanations)

    def forward(self) -> float:
        """Images per second of the plain network in the fastest of several configurations."""
        if self.explainer.device.type != "cpu":
            ways = [(1, 1, size) for size in (64, 128, 256)]
        else:
            threads = {(1, torch.get_num_threads()), share(self.explainer.device, 1000)}
            ways = [(*one, size) for one in sorted(threads) for size in (4, 8, 16)]
        best = max(ways, key=lambda way: self._forwards(*way, _SECONDS / 8))
        return self._forwards(*best, _SECONDS)

    def _forwards(self, lanes: int, threads: int, size: int, seconds: float) -> float:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        explainers = [self.explainer, *(self.explainer.replica() for _ in range(1, lanes))]
        height, width = self.preprocessing.input_size
        inputs = torch.randn(size, self.preprocessing.channels, height, width, device=self.explainer.device)
        inputs = inputs.to(memory_format=torch.channels_last)
        counts: list[int] = []

        def run(explainer: Explainer, until: float) -> None:
            done = 0
            with torch.inference_mode(), explainer._runner.autocast():
                while time.perf_counter() < until:
                    explainer.network.module(inputs)
                    done += size
                    if done % (8 * size) == 0:
                        synchronised(explainer.device)
                synchronised(explainer.device)
            counts.append(done)

        run(explainers[0], time.perf_counter())
        began = time.perf_counter()
        until = began + seconds
        threads_of = [threading.Thread(target=run, args=(one, until)) for one in explainers]
        for thread in threads_of:
            thread.start()
        for thread in threads_of:
            thread.join()
        rate = sum(counts) / (time.perf_counter() - began)
        torch.set_num_threads(before)
        return rate

    def explain(self) -> float:
        """Images per second of `camx explain`, from the difference of a long and a short run: without the time to start
        its processes."""
        few, many = cpus(), len(self.sources)
        return (many - few) / (-self._process(few) + self._process(many))

    def _process(self, images: int) -> float:
        options = self.options
        command = [sys.executable, "-m", "cli.main", "explain", str(self.folder / "photos"), "--limit", str(images),
                   "-m", options.model, "--no-pretrained", "-q", "-o", self._new_folder(), "--device", options.device,
                   "--precision", options.precision, *options.flags]  # fmt: skip
        began = time.perf_counter()
        subprocess.run(command, env={**os.environ, "PYTHONPATH": str(_ROOT)}, check=True)
        return time.perf_counter() - began

    def loop(self) -> float:
        """Images per second of `benchmarks.written_loop`, for a tenth of the images."""
        from .written_loop import explained

        sources = self.sources[: max(8, len(self.sources) // 10)]
        module = self.explainer.network.module
        layer, out = module.get_submodule(self.explainer.layer.name), self._new_folder()
        explained(module, layer, self.preprocessing, [sources[0].path], out)
        began = time.perf_counter()
        explained(module, layer, self.preprocessing, [source.path for source in sources], out)
        return len(sources) / (time.perf_counter() - began)

    def _new_folder(self) -> str:
        """An empty folder that stays to the end: ext4 creates files slowly for a minute after many deletions."""
        return tempfile.mkdtemp(dir=self.folder)


def _on_all_cores(work: Callable[[Any], Any], items: Sequence[Source] | Sequence[Explanation]) -> float:
    """Items per second of one process per core."""
    context = multiprocessing.get_context("fork")
    barrier, counts = context.Barrier(cpus() + 1), context.Queue()

    def run(first: int) -> None:
        keep_freed_memory()
        done = 0
        for item in items[:8]:
            work(item)
        barrier.wait()
        until = time.perf_counter() + _SECONDS
        while time.perf_counter() < until:
            work(items[(first + done * cpus()) % len(items)])
            done += 1
        counts.put(done)

    processes = [context.Process(target=run, args=(first,)) for first in range(cpus())]
    for process in processes:
        process.start()
    barrier.wait()
    began = time.perf_counter()
    total = sum(counts.get() for _ in processes)
    seconds = time.perf_counter() - began
    for process in processes:
        process.join()
    return total / seconds


def stages(bench: Bench) -> dict[str, float]:
    """Images per second of each stage alone."""
    return {"decode": bench.decode(), "forward": bench.forward(), "encode": bench.encode()}


def measured(bench: Bench, before: dict[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """Rates of one round, and the rates of the stages after it."""
    explain = bench.explain()
    loop = {"loop": bench.loop()} if bench.options.loop else {}
    after = stages(bench)
    found = {name: mean([before[name], after[name]]) for name in before} | {"explain": explain} | loop
    both = 1 / (1 / found["decode"] + 1 / found["encode"])
    on_cpu = bench.explainer.device.type == "cpu"
    found["ceiling"] = 1 / (1 / both + 1 / found["forward"]) if on_cpu else min(both, found["forward"])
    found["of the ceiling"] = explain / found["ceiling"]
    if loop:
        found["of the loop"] = explain / found["loop"]
    return found, after


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mobilenetv2_100")
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--size", type=int, nargs=2, default=(500, 375), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loop", action="store_true", help="also the loop with pytorch-grad-cam and cv2")
    parser.add_argument(
        "--flags", nargs=argparse.REMAINDER, default=[], help="more flags for camx explain; must be last"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "photos", options.images, tuple(options.size))
        bench = Bench(options, Path(folder))
        before, rounds = stages(bench), []
        for number in range(options.rounds):
            found, before = measured(bench, before)
            rounds.append(found)
            print(f"round {number + 1}: " + ", ".join(f"{k} {v:.3g}" for k, v in rounds[-1].items()), flush=True)
    medians = {key: round(median(one[key] for one in rounds), 3) for key in rounds[0]}
    print("median: " + ", ".join(f"{k} {v:.3g}" for k, v in medians.items()))
    if options.json:
        asked = {"model": options.model, "images": options.images, "size": options.size, "flags": options.flags}
        content = {"machine": machine(bench.explainer.device), **asked, "precision": bench.explainer.precision}
        options.json.write_text(json.dumps({**content, "median": medians, "rounds": rounds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
