"""Measures listing and merging, per image: `python benchmarks/scaling.py [IMAGES]`. The figures of docs/scaling.md."""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from cam_cli.distributed import merge
from cam_cli.images.listing import find
from cam_cli.images.shard import Shard
from cam_cli.outputs.shards import locked_shard_folder

#: A row as `camx explain` writes it for one map with a sketch of 24 × 18 cells.
ROW = {
    "status": "ok", "error": "", "label": "", "bytes": 100000, "mtime_ns": 1700000000000000000, "width": 640, "height": 480,
    "top": [{"index": 281 + k, "name": "tabby, tabby cat", "prob": 0.5123456789 / (k + 1)} for k in range(5)],
    "maps": [{"method": "gradcam", "layer": "layer4", "target_index": 281, "target_name": "tabby, tabby cat", "target_prob": 0.5123456789,
              "peak": 0.0123456789, "area": 0.2123456789, "center_x": 0.5123456789, "center_y": 0.5123456789, "border": 0.0123456789,
              "entropy": 0.9123456789, "box": [0.1123456789, 0.2123456789, 0.7123456789, 0.8123456789],
              "sketch": {"width": 24, "height": 18, "values": "A" * 576}, "overlay": "overlays/000/00000000.jpg.png"}],
}  # fmt: skip
SHARDS = 8


def main(images: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "images"
        for number in range(images):
            if number % 1000 == 0:
                (source / f"{number // 1000:05}").mkdir(parents=True)
            (source / f"{number // 1000:05}" / f"{number:08}.jpg").touch()
        before, began = memory(), time.perf_counter()
        sources = find([str(source)]).sources
        print_line("listing", began, images, memory() - before)
        began = time.perf_counter()
        shards = [Shard(number, SHARDS) for number in range(1, SHARDS + 1)]
        for shard in shards:
            shard.of(sources)
        print_line(f"{SHARDS} × choosing the images of a shard", began, images, 0)
        out, size = str(Path(folder) / "out"), 0
        for shard in shards:
            with locked_shard_folder(out, shard) as part:
                part.begin({"command": "explain", "top_k": 5}, [one.key for one in sources])
                rows = [{"image": one.key, "index": n, **ROW} for n, one in enumerate(sources) if shard.holds(one.key)]
                for start in range(0, len(rows), 1000):
                    part.append(rows[start : start + 1000])
                part.record({"fingerprint": {"command": "explain", "top_k": 5}, "state": "finished", **SUMMARY})
                size += os.path.getsize(part.file("manifest.jsonl"))
        del sources
        before, began = peak(), time.perf_counter()
        merge(out)
        print_line("merging (bytes above the peak before)", began, images, peak() - before)
        print(
            f"journal: {size / images:.0f} bytes per image, table: {os.path.getsize(f'{out}/predictions.csv') / images:.0f}"
        )


SUMMARY = {"images": 0, "skipped": 0, "ok": 0, "failed": 0, "blank": 0, "seconds": 1.0, "stages": {}, "plan": {}, "job": {}, "finished": ""}  # fmt: skip


def memory() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak() -> int:
    """Peak of the resident bytes of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def print_line(step: str, began: float, images: int, nbytes: int) -> None:
    seconds = time.perf_counter() - began
    print(f"{step}: {seconds:.1f} s, {seconds / images * 1e6:.1f} µs and {nbytes / images:.0f} bytes per image")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
