"""Measures `camx patterns` on a large run: `python -m benchmarks.patterns_many [--images 100000] [--turns 2]`.

Writes a finished run of ten classes with three spots for each map, whose vectors are one of twelve cues of the class
with noise, and runs the command on it. Prints processor time and peak memory of the command for each turn. Every turn
after the first has the same images in another order; its line says whether the patterns are equal.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cam_cli.images.geometry import Frame
from cam_cli.maps.spots import MOST, NUMBERS, Peak, Spot, quantised
from cam_cli.outputs.spots import encoded

CLASSES, CUES, SIDE = 10, 12, 100
_CELLS = {"width": 10, "height": 10, "values": base64.b64encode(bytes(100)).decode()}
#: Runs the command in its own process, and prints processor seconds and peak kilobytes.
_TIMED = (
    "import os, resource, runpy\n"
    "try: runpy.run_module('cam_cli', run_name='__main__')\n"
    "finally: used = resource.getrusage(resource.RUSAGE_SELF); "
    "os.write(2, f'{used.ru_utime + used.ru_stime} {used.ru_maxrss}\\n'.encode())"
)


def row(number: int, target: int) -> dict[str, Any]:
    """The row of an image; nine of ten are predicted right."""
    name, label = f"class{target}", f"class{target if number % 10 else (target + 1) % CLASSES}"
    shown = {
        "method": "gradcam", "layer": "layer4", "target_index": target, "target_name": name, "target_prob": 0.9,
        "peak": 2.0, "area": 0.2, "center_x": 0.5, "center_y": 0.5, "border": 0.1, "entropy": 0.7,
        "box": [0, 0, 1, 1], "sketch": _CELLS,
    }  # fmt: skip
    return {
        "image": f"{label}/{number:07}.jpg", "status": "ok", "error": "", "label": label, "correct": name == label,
        "label_index": int(label[-1]), "bytes": 1, "mtime_ns": 1, "width": SIDE, "height": SIDE, "seen": [0, 0, 1, 1],
        "maps": [shown], "top": [{"index": target, "name": name, "prob": 0.9}],
    }  # fmt: skip


def write_run(folder: Path, images: int, order: np.ndarray) -> None:
    """Writes a finished run of the images in this order; their rows do not depend on it."""
    means = np.random.default_rng(0).normal(size=(CLASSES, CUES, NUMBERS))
    folder.mkdir(parents=True)
    with (folder / "spots.jsonl").open("wb") as spots, (folder / "manifest.jsonl").open("w") as journal:
        for index, number in enumerate(order.tolist()):
            one = row(number, number % CLASSES)
            rng = np.random.default_rng((1, number))
            cues = rng.choice(CUES, MOST, replace=False)
            vectors = quantised(means[number % CLASSES, cues] + rng.normal(size=(MOST, NUMBERS)))
            # The first cue lies at one place.
            places = [(0.9, 0.9) if cue == 0 else rng.uniform(0.1, 0.9, 2).tolist() for cue in cues]
            found = [Spot(Peak(x, y, 2.0 - 0.1 * i), vectors[i]) for i, (x, y) in enumerate(places)]
            maps = [encoded(found, Frame(0, 0, SIDE, SIDE), SIDE, SIDE)]
            line = json.dumps({"image": one["image"], "maps": maps}).encode() + b"\n"
            spots.write(line)
            journal.write(json.dumps({**one, "index": index, "spots": f"{zlib.crc32(line):08x}"}) + "\n")
    record = {
        "state": "finished", "plan": {"model": "synthetic"}, "classes": [f"class{i}" for i in range(CLASSES)],
        "fingerprint": {"command": "explain", "inputs": "", "layer": "layer4", "methods": ["gradcam"]},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))


def turns(images: int, count: int, work: Path) -> Iterator[dict[str, Any]]:
    """Figures of each turn: processor seconds, MB, patterns, and whether they equal those of the first turn."""
    first = ""
    for turn in range(count):
        order = np.arange(images) if turn == 0 else np.random.default_rng(turn).permutation(images)
        out = work / f"turn{turn}"
        write_run(out, images, order)
        ran = subprocess.run(
            [sys.executable, "-c", _TIMED, "patterns", out, "-q"],
            check=True,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        seconds, kilobytes = map(float, ran.stderr.splitlines()[-1].split())
        table = (out / "patterns" / "patterns.csv").read_bytes()
        digest = hashlib.sha256(table + (out / "patterns" / "images.csv").read_bytes()).hexdigest()
        first = first or digest
        yield {
            "images": images,
            "spots": MOST * images,
            "processor_seconds": round(seconds, 1),
            "peak_mb": round(kilobytes / 1000),
            "patterns": len(table.splitlines()) - 1,
            "as_in_the_first_turn": digest == first,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        for found in turns(options.images, options.turns, Path(work)):
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
