"""What `camx train-gap` leaves, as the data of a page: curves, confusion, the same images over the epochs."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from typing import Any

from ..run_layout import METRICS
from .pictures import EMBEDDED, embedded, link
from .run import Run

_EPOCH = re.compile(r"epoch-(\d+)")
_FOLDERS = ("cams", "activations")
_SIDE = 384


def samples_of(run: Run) -> tuple[dict[str, Any], bool]:
    """By folder: images and the addresses of their pictures by epoch; and whether these are embedded."""
    samples = {folder: _samples(run, folder) for folder in _FOLDERS}
    names = [f for found in samples.values() for epochs in found.values() for f in epochs.values()]
    inside = len(names) <= EMBEDDED
    addresses = embedded(run, names, _SIDE) if inside else {name: link(name) for name in names}

    def shown(epochs: dict[int, str]) -> dict[int, str]:
        return {epoch: addresses[name] for epoch, name in epochs.items() if name in addresses}

    listed = {folder: [[image, shown(epochs)] for image, epochs in found.items()] for folder, found in samples.items()}
    return {folder: found for folder, found in listed.items() if found}, inside


def metrics_of(run: Run) -> list[dict[str, float]]:
    """`metrics.csv`, one object per epoch; a loss that is not finite is left out."""
    try:
        with open(run.file(METRICS), newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError:
        return []
    return [{name: float(value) for name, value in row.items() if _is_finite(value)} for row in rows]


def _is_finite(text: str | None) -> bool:
    return bool(text) and text not in ("nan", "inf", "-inf")


def _samples(run: Run, folder: str) -> dict[str, dict[int, str]]:
    """The pictures of `folder/epoch-003/<image>.png`: by image, then epoch."""
    samples: dict[str, dict[int, str]] = {}
    for entry in _listed(run.file(folder)):
        epoch = _EPOCH.fullmatch(entry)
        if epoch is None:
            continue
        for inside in _files(run.file(f"{folder}/{entry}"), ""):
            image = inside.removesuffix(".png")
            samples.setdefault(image, {})[int(epoch[1])] = f"{folder}/{entry}/{inside}"
    return dict(sorted(samples.items()))


def _files(folder: str, inside: str) -> Iterator[str]:
    for name in _listed(os.path.join(folder, inside)):
        path = f"{inside}/{name}" if inside else name
        if os.path.isdir(os.path.join(folder, path)):
            yield from _files(folder, path)
        elif name.endswith(".png"):
            yield path


def _listed(folder: str) -> list[str]:
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []
