"""Writes a folder of class folders with single-object images."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from .catalogue import CLASSES
from .scene import render

Job = tuple[Path, int, tuple[int, int], str]


def _write(job: Job) -> None:
    path, seed, size, name = job
    render(seed, size, (name,)).image.save(path, quality=92)


def _jobs(folder: Path, per_class: int, seed: int, size: tuple[int, int], val_share: float) -> list[Job]:
    seeds = np.random.SeedSequence(seed).generate_state(per_class * len(CLASSES), np.uint64)
    held_out = round(per_class * val_share)
    jobs: list[Job] = []
    for index, name in enumerate(CLASSES):
        for k in range(per_class):
            part = "val" if k < held_out else "train"
            path = folder / part / name / f"{name}-{k:05d}.jpg"
            jobs.append((path, int(seeds[index * per_class + k]), size, name))
    return jobs


def write_dataset(
    folder: Path | str,
    per_class: int = 300,
    seed: int = 0,
    size: tuple[int, int] = (160, 160),
    val_share: float = 0.15,
    processes: int | None = None,
) -> int:
    """Writes ``folder/train/<class>/*.jpg`` and ``folder/val/<class>/*.jpg``; returns the number of images.

    ``per_class`` images of every class, the share ``val_share`` (0..1) of them under ``val``; ``size`` is (width,
    height) in pixels. The images depend on ``seed`` only, not on the number of ``processes``.
    """
    jobs = _jobs(Path(folder), per_class, seed, size, val_share)
    for directory in {job[0].parent for job in jobs}:
        directory.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(processes) as pool:
        for _ in pool.map(_write, jobs, chunksize=16):
            pass
    return len(jobs)
