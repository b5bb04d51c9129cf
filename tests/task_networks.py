"""Networks of other tasks than classification, and their scene."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate

from cam_cli.models.network import Network

SIDE = 64
NAMES = ("background", "red", "blue")
RED, BLUE = (slice(4, 24), slice(6, 26)), (slice(34, 60), slice(30, 60))


class Colours(nn.Module):
    """A segmentation of red and blue: channels of `act` are the redness and blueness of a cell.

    form: of the result: one tensor, in a dictionary, softmax, small maps, or two tensors.
    """

    def __init__(self, form: str = "tensor", *, classes: int = 3) -> None:
        super().__init__()
        self.form = form
        self.seen = nn.Conv2d(3, 4, 1)
        self.act = nn.ReLU()
        self.pool = nn.AvgPool2d(4)
        self.mix = nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.ReLU()
        self.head = nn.Conv2d(4, classes, 1)
        with torch.no_grad():
            self.seen.weight.copy_(torch.tensor([[2, -1, -1], [-1, -1, 2], [1, 1, 1], [-1, 2, -1.0]])[..., None, None])
            self.seen.bias.zero_()
            self.mix.weight.zero_()
            for channel in range(4):
                self.mix.weight[channel, channel] = torch.tensor([[0, 0.1, 0], [0.1, 0.6, 0.1], [0, 0.1, 0]])
            self.mix.bias.fill_(0.05)
            weight = torch.tensor([[0, 0, 0.1, 0], [2, -1, 0, 0], [-1, 2, 0, 0.0]])[..., None, None]
            self.head.weight.copy_(weight if classes == 3 else weight[1:2])
            self.head.bias.copy_(torch.tensor([1.5, 0, 0] if classes == 3 else [-1.6]))

    def forward(self, x: Tensor) -> object:
        maps = self.head(self.last(self.mix(self.pool(self.act(self.seen(x))))))
        found = interpolate(maps, x.shape[2:], mode="bilinear", align_corners=False)
        if self.form == "softmax":
            return found.softmax(1)
        return {"tensor": found, "out": {"out": found, "aux": maps}, "small": maps, "pair": (found, found * 2)}[
            self.form
        ]


class Encoder(nn.Module):
    """Embeds an image as its mean amount of each colour."""

    def __init__(self) -> None:
        super().__init__()
        self.seen, self.act, self.pool = Colours().seen, nn.ReLU(), nn.AvgPool2d(4)
        self.mean = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.mean(self.pool(self.act(self.seen(x)))).flatten(1)


class Redness(nn.Module):
    """Returns a value that grows with the redness of an image and falls with its blueness."""

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.body = Encoder()
        self.head = nn.Linear(4, outputs, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[3, -1, 0, 0], [0, 5, 0, 0.0]])[:outputs])

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def scene() -> Image.Image:
    pixels = np.full((SIDE, SIDE, 3), 90, np.uint8)
    pixels[RED], pixels[BLUE] = (230, 20, 20), (20, 20, 230)
    return Image.fromarray(pixels)


def network_of(module: nn.Module, task: str = "auto", names: tuple[str, ...] = NAMES) -> Network:
    return Network.of(module.eval(), image_size=SIDE, mean=(0, 0, 0), std=(1, 1, 1), class_names=names, task=task)


def centre(values: np.ndarray) -> tuple[float, float]:
    """Centre of mass of the positive part: x, y in [0, 1]."""
    mass = np.maximum(values, 0)
    ys, xs = np.mgrid[: mass.shape[0], : mass.shape[1]]
    return float((xs * mass).sum() / mass.sum() / xs.max()), float((ys * mass).sum() / mass.sum() / ys.max())


def red_square(place: tuple[slice, slice]) -> Image.Image:
    pixels = np.full((SIDE, SIDE, 3), 90, np.uint8)
    pixels[place] = (230, 20, 20)
    return Image.fromarray(pixels)


def rows_of(out: Path) -> dict[str, Any]:
    return {row["image"]: row for row in map(json.loads, (out / "manifest.jsonl").read_text().splitlines())}


def record_of(task: str) -> dict[str, object]:
    """The record of a run with this task; "" for a classifier."""
    fingerprint = {"command": "explain", "inputs": "/in", **({"task": task} if task else {})}
    return {"fingerprint": fingerprint, "state": "finished"}
