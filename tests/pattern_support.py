"""Runs with spots as `camx explain --save spots` writes them; cues are directions in a space."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cam_cli.images.geometry import Frame
from cam_cli.maps.spots import NUMBERS, Peak, Spot, quantised
from cam_cli.outputs.spots import encoded

from .run_folders import image_row, run_folder

Camx = Callable[..., int]


class Cue(NamedTuple):
    """A spot of an image: the number of its cue, and its place as shares of the image."""

    number: int
    x: float
    y: float


def direction(cue: int, seed: int, noise: float = 0.5) -> np.ndarray:
    """The vector of a cue, with noise that depends on the seed."""
    mean = np.random.default_rng((1, cue)).normal(size=NUMBERS)
    return quantised((mean + noise * np.random.default_rng((2, cue, seed)).normal(size=NUMBERS))[None])[0]


def with_spots(folder: Path, rows: Sequence[dict[str, Any]], cues: Sequence[Iterable[Cue]], **record: Any) -> Path:
    """A finished run of these rows; `cues` of each image, strongest first."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = []
    with (folder / "spots.jsonl").open("wb") as file:
        for row, found in zip(rows, cues):
            spots = [
                Spot(
                    Peak(one.x, one.y, 2.0 - 0.1 * place),
                    direction(one.number, 10 * zlib.crc32(row["image"].encode()) + place),
                )
                for place, one in enumerate(found)
            ]
            one_map = encoded(spots, Frame(0, 0, row["width"], row["height"]), row["width"], row["height"])
            line = json.dumps({"image": row["image"], "maps": [one_map]}).encode() + b"\n"
            file.write(line)
            kept.append({**row, "spots": f"{zlib.crc32(line):08x}"})
    return run_folder(folder, kept, classes=["cat", "dog", "fish"], **record)


def planted(folder: Path, count: int = 60, share: float = 0.4, order: Sequence[int] | None = None, **more: Any) -> Path:
    """Cats, the first `share` of them with a mark in the lower left corner, and dogs; both have parts of an animal."""
    rng, rows, cues = np.random.default_rng(0), [], []
    for number in range(2 * count):
        label, marked = number % 2, number % 2 == 0 and number < 2 * count * share
        wrong = number % 20 == 7
        rows.append(image_row(f"{number:04}.jpg", label, 1 - label if wrong else label, **more))
        parts = [Cue(k, *rng.uniform(0.2, 0.8, 2)) for k in rng.choice(3, 2, replace=False)]
        cues.append([*([Cue(99, *(0.08 + 0.01 * rng.normal(size=2) + (0, 0.84)))] if marked and not wrong else []), *parts])  # fmt: skip
    places = list(range(len(rows))) if order is None else list(order)
    return with_spots(folder, [rows[i] for i in places], [cues[i] for i in places])


def truth_csv(path: Path, images: Iterable[str], box: Sequence[float]) -> Path:
    """A truth with one object per image, in pixels of images of 40×30."""
    lines = [f"{image},thing,{','.join(map(str, box))}" for image in images]
    path.write_text("\n".join(["image,label,x0,y0,x1,y1", *lines]) + "\n")
    return path
