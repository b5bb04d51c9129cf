"""Feature maps of one image at one layer: numbers per channel, and the maps to draw.

Drawing workers import this file, so it must not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..images.geometry import fitted
from ..images.picture import Picture

if TYPE_CHECKING:
    from torch import Tensor

    from .options import ChannelChoice

#: Longest side of a map in pixels; larger ones are reduced by area before drawing.
LARGEST_MAP = 128
#: Levels per sign: −255 … 255.
LEVELS = 255


@dataclass(frozen=True)
class Channels:
    """Statistics of all C channels over the positions of one image, float64 arrays of length C.

    energy: mean square. dead: share of positions, in [0, 1], whose value is zero or below: those that a ReLU has set or
    would set to zero. 1 means that the channel is never positive.
    """

    mean: np.ndarray
    maximum: np.ndarray
    energy: np.ndarray
    dead: np.ndarray


@dataclass(frozen=True)
class FeatureMaps:
    """Feature maps of one image at a layer of C channels on a grid of `height`×`width`.

    shown: indices of the K drawn channels, in this order. peaks: K, largest magnitude of each.
    levels: K×h×w int16 in −255 … 255, each map divided by its own peak (0 stays 0) and, where its long side is over
    `LARGEST_MAP`, reduced to that. finite: False if the layer gave NaN, infinity, or values whose squares overflow;
    the statistics are then meaningless.
    """

    layer: str
    height: int
    width: int
    channels: Channels
    shown: np.ndarray
    peaks: np.ndarray
    levels: np.ndarray
    finite: bool

    @property
    def blank(self) -> bool:
        """Whether the maps are zero everywhere or not finite."""
        return not self.finite or not self.channels.energy.any()


@dataclass(frozen=True)
class Reading:
    """One image with its maps; `maps` is None if there are none, and `problem` has the reason."""

    picture: Picture
    maps: FeatureMaps | None = None
    problem: str = ""


def feature_maps(maps: Tensor, layer: str, choice: ChannelChoice) -> list[FeatureMaps]:
    """Returns one `FeatureMaps` per image of maps B×C×h×w of any sign and scale."""
    height, width = maps.shape[2:]
    maps = maps.float()
    energy = maps.square().mean((2, 3))
    numbers = {
        "mean": maps.mean((2, 3)),
        "maximum": maps.amax((2, 3)),
        "energy": energy,
        "dead": (maps <= 0).float().mean((2, 3)),
    }
    on_host = {name: values.cpu().double().numpy() for name, values in numbers.items()}
    shown = _chosen(energy, choice)
    drawn = maps.gather(1, shown[..., None, None].expand(-1, -1, height, width))
    peaks = drawn.abs().amax((2, 3))
    levels = _levels(drawn, peaks).cpu().numpy()
    order, tops = shown.cpu().numpy(), peaks.cpu().numpy()
    finite = energy.isfinite().all(1).tolist()
    return [
        FeatureMaps(
            layer=layer,
            height=height,
            width=width,
            channels=Channels(**{name: values[i] for name, values in on_host.items()}),
            shown=order[i],
            peaks=tops[i],
            levels=levels[i],
            finite=finite[i],
        )
        for i in range(len(maps))
    ]


def _chosen(energy: Tensor, choice: ChannelChoice) -> Tensor:
    """Drawn channels of each image, B×K, from energies B×C."""
    if choice.sort == "energy":
        order = energy.nan_to_num().sort(dim=1, descending=True, stable=True).indices
    else:
        import torch

        order = torch.arange(energy.shape[1], device=energy.device).expand_as(energy)
    return order[:, : choice.max_channels]


def _levels(maps: Tensor, peaks: Tensor) -> Tensor:
    """Converts maps B×K×h×w to int16 levels of their peaks B×K."""
    import torch

    scaled = torch.where(peaks > 0, 1 / peaks, 0.0)[..., None, None] * maps
    width, height = fitted(maps.shape[3], maps.shape[2], LARGEST_MAP)
    if (height, width) != tuple(maps.shape[2:]):
        scaled = torch.nn.functional.interpolate(scaled, size=(height, width), mode="area")
    return (scaled.nan_to_num().clamp(-1, 1) * LEVELS).round().to(torch.int16)
