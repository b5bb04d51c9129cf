"""Previews of a training for its page: the same images over the epochs."""

from __future__ import annotations

import re
from typing import Any

from ..outputs.captions import read_captions
from ..outputs.run_folder import RunFolder
from .pictures import EMBEDDED, embedded, link

_EPOCH = re.compile(r"epoch-(\d{1,6})")
_FOLDERS = ("cams", "gradcams", "activations")
_SIDE = 384


def samples_of(run: RunFolder) -> tuple[dict[str, Any], bool]:
    """Images with the addresses of their previews by epoch, by folder; and whether they are embedded."""
    samples = {folder: _samples(run, folder) for folder in _FOLDERS}
    names = [f for found in samples.values() for epochs in found.values() for f in epochs.values()]
    inside = len(names) <= EMBEDDED
    addresses = embedded(run, names, _SIDE) if inside else {name: link(name) for name in names}

    def shown(epochs: dict[int, str]) -> dict[int, str]:
        return {epoch: addresses[name] for epoch, name in epochs.items() if name in addresses}

    listed = {folder: [[image, shown(epochs)] for image, epochs in found.items()] for folder, found in samples.items()}
    return {folder: found for folder, found in listed.items() if found}, inside


def captions_of(run: RunFolder) -> dict[str, dict[int, list[Any]]]:
    """Top class, its probability, and whether it is right, by image and epoch."""
    captions: dict[str, dict[int, list[Any]]] = {}
    for row in run.metrics:
        for name, one in read_captions(run, row["epoch"]).items():
            shown = [one["name"], one["prob"], one["right"]]
            captions.setdefault(name.removesuffix(".png"), {})[row["epoch"]] = shown
    return captions


def _samples(run: RunFolder, folder: str) -> dict[str, dict[int, str]]:
    """Previews `folder/epoch-003/<image>.png` by image, then epoch."""
    samples: dict[str, dict[int, str]] = {}
    for name in run.files_in(folder):
        _, epoch, *image = name.split("/")
        number = _EPOCH.fullmatch(epoch)
        if number and image and name.endswith(".png"):
            samples.setdefault("/".join(image).removesuffix(".png"), {})[int(number[1])] = name
    return dict(sorted(samples.items()))
