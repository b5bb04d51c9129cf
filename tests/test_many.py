"""A hundred thousand images: memory grows far less than the number of images."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, re, sys, time
from pathlib import Path
from cam_cli.outputs.rows import OK
from cam_cli.outputs.renderer import Rendered, base_row
from tests.stub import run_stub

def rendered(result):
    return Rendered({**base_row(result.picture), "status": OK, "top": [], "maps": []}, {})

began = time.perf_counter()
summary = run_stub(Path(sys.argv[1]), Path(sys.argv[2]), batch_size=64, report=False, render=rendered)
print(json.dumps({
    "images": summary.progress.counts["ok"],
    # Not ru_maxrss: a process begins with that of the one that started it.
    "peak_mb": int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024,
    "seconds": time.perf_counter() - began,
}))
"""


def peak(images: Path, out: Path, count: int) -> float:
    """Peak megabytes of a run over so many images, and of its repetition without work."""
    root = str(Path(__file__).parents[1])
    figures = []
    for _ in range(2):
        printed = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(images), str(out)],
            env={**os.environ, "PYTHONPATH": root},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        figures.append(json.loads(printed))
        print(figures[-1])
    assert figures[0]["images"] == figures[1]["images"] == count
    with open(out / "predictions.csv", "rb") as table:
        assert sum(1 for _ in table) == count + 1
    return max(figure["peak_mb"] for figure in figures)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_for_a_hundred_thousand_images(tmp_path: Path) -> None:
    peaks = []
    for count in (10_000, 100_000):
        folder = tmp_path / str(count)
        for index in range(count):
            parent = folder / f"{index // 1000:03}"
            if index % 1000 == 0:
                parent.mkdir(parents=True)
            (parent / f"image-{index:06}.jpg").write_bytes(b"-")
        peaks.append(peak(folder, tmp_path / f"out-{count}", count))
    assert peaks[1] - peaks[0] < 50
