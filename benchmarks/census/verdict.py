"""Examines one network: is its automatic layer a map, with gradients everywhere, and in the right place?"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from cam_cli.cams.methods.registry import METHODS
from cam_cli.cams.target_layer.choose import choose_layer
from cam_cli.cams.tracing.trace import Trace, trace
from cam_cli.errors import CamxError
from cam_cli.images.geometry import Preprocessing
from cam_cli.models.hooks import TargetLayer
from cam_cli.models.options import PreprocessingOptions

from .specimens import QuickDraws, Specimen, resized_args

PHOTO = Path(__file__).parents[2] / "sample_images" / "cat-and-dog.jpg"
#: Share of positions that the gradients of the top-5 classes must reach.
EVERYWHERE = 0.95


@dataclass
class Row:
    """Result of one network; `verdict` is `right`, or the fault."""

    library: str
    name: str
    family: str
    parameters: int
    how: str = "whole"
    mended: str = ""
    input_size: int = 0
    layer: str = ""
    layout: str = ""
    grid: tuple[int, int] = (0, 0)
    channels: int = 0
    prefix: int = 0
    reason: str = ""
    gradient: float = 0.0
    finite: bool = False
    varies: bool = False
    placed: str = ""
    verdict: str = ""
    seconds: float = 0.0
    rivals: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Built:
    """A network with random weights, its input and its layer. mended: weights that got ordinary values."""

    module: nn.Module
    preprocessing: Preprocessing
    picture: Tensor
    layer: TargetLayer
    mended: str


def build(specimen: Specimen, args: dict[str, Any], size: int) -> Built:
    """Builds the network with random weights and finds its automatic layer. Passes on every error."""
    torch.manual_seed(0)
    architecture = specimen.architecture
    options = PreprocessingOptions(image_size=size if size != specimen.input_size else None)
    with QuickDraws():
        if options.image_size:
            args = {**args, **resized_args(specimen, size)}
        module = architecture.build(pretrained=False, num_classes=None, args=args).eval()
    mended = mend(module)
    preprocessing = architecture.preprocessing(module, options, args)
    layer = choose_layer(module, preprocessing.input_size, preprocessing.channels)
    return Built(module, preprocessing, photo(preprocessing), layer, mended)


def examine(built: Built, row: Row) -> None:
    """Fills in the row from forwards of a photo, unchanged and with noise in one quarter."""
    layer, layout = built.layer, built.layer.layout
    row.mended, row.input_size = built.mended, built.preprocessing.input_size[0]
    row.layer, row.layout, row.reason = layer.name, layout.kind, layer.reason
    row.grid, row.channels, row.prefix = (layout.height, layout.width), layout.channels, layout.prefix
    traced = trace(built.module, built.picture, layer)
    classes = traced.logits.topk(min(5, traced.logits.shape[1])).indices
    gradients = traced.gradients(classes)
    heat = METHODS["gradcam"].maps(traced, classes[:, :1])
    row.gradient = float((gradients != 0).any(dim=(1, 2)).float().mean())
    row.finite = bool(torch.isfinite(heat).all())
    row.varies = row.finite and float(heat.std()) > 1e-6 * float(heat.abs().max())
    row.placed = _placed(built, traced)
    wrong = [
        text
        for fine, text in (
            (row.gradient >= EVERYWHERE, f"gradient at {row.gradient:.0%} of the positions"),
            (row.finite, "not finite"),
            (row.varies, "constant"),
            (row.placed != "no", "not where the picture changed"),
        )
        if not fine
    ]
    row.verdict = "; ".join(wrong) or "right"


def photo(preprocessing: Preprocessing, path: Path = PHOTO) -> Tensor:
    """A sample photo as an input 1×C×H×W of the network."""
    with Image.open(path) as image:
        pixels, _ = preprocessing.apply(image.convert("RGB"))
    mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
    return torch.from_numpy(((pixels / 255 - mean) / std).astype(np.float32)).permute(2, 0, 1)[None]


def _placed(built: Built, traced: Trace) -> str:
    """`yes` if the features change where the image does: rows, columns and prefix tokens are where they should be.

    The quarters of the image get noise one at a time. Of all pairings with the quarters of the map, the straight one
    must explain the changes best. `even`: all pairings explain them equally, as in transformers whose attention is
    uniform while its weights are random. One quarter usually decides.
    """
    if int(_moved(built, traced, 1).argmax()) == 1:
        return "yes"
    moved = torch.stack([_moved(built, traced, quarter) for quarter in range(4)]).log()
    straight, *others = (sum(float(moved[i, j]) for i, j in enumerate(order)) for order in permutations(range(4)))
    if straight >= max(others):
        return "yes"
    return "even" if max(others) - straight < math.log(1.5) else "no"


def _moved(built: Built, traced: Trace, quarter: int) -> Tensor:
    """Change of the features in each quarter (left to right, top to bottom) if one quarter of the image gets noise."""
    noise = torch.randn(built.picture.shape, generator=torch.Generator().manual_seed(quarter))
    changed = built.picture.clone()
    part = _quarters(changed)[quarter]
    part += 0.3 * _quarters(noise)[quarter]
    difference = trace(built.module, changed, built.layer).features - traced.features
    # An equal change of all positions carries no information about places.
    difference = (difference - difference.mean((2, 3), keepdim=True)).square()
    return torch.stack([part.mean() for part in _quarters(difference)]).sqrt()


def _quarters(maps: Tensor) -> list[Tensor]:
    height, width = maps.shape[2] // 2, maps.shape[3] // 2
    rows, columns = (slice(0, height), slice(-height, None)), (slice(0, width), slice(-width, None))
    return [maps[:, :, row, column] for row in rows for column in columns]


def calibrated(built: Built) -> Built | None:
    """The network with batch statistics of four photos; None if it has no batch normalisation.

    Otherwise the signal of some random networks fades until all positions are equal.
    """
    norms = [m for m in built.module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return None
    photos = torch.cat([photo(built.preprocessing, path) for path in sorted(PHOTO.parent.glob("*.jpg"))[:4]])
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum, norm.training = None, True
    with torch.no_grad():
        built.module(photos)
    built.module.eval()
    layer = choose_layer(built.module, built.preprocessing.input_size, built.preprocessing.channels)
    mended = "; ".join(filter(None, [built.mended, "batch statistics of four photos"]))
    return replace(built, layer=layer, mended=mended)


def mend(module: nn.Module) -> str:
    """Sets weights that start at zero (heads, last normalisations) or nearly so (layer scale) to ordinary values.

    Untrained, they hide the effect of a layer. Returns a description of the changes, or "".
    """
    zeros, scales = [], []
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.dim() >= 2 and name.endswith("weight") and not parameter.any():
                nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
                zeros.append(name)
            elif parameter.dim() <= 1 and name.endswith(("weight", "gamma", "gain")) and not parameter.any():
                parameter.fill_(1.0)
                zeros.append(name)
            elif "gamma" in name and 0 < float(parameter.abs().max()) < 1e-2:
                parameter.fill_(1.0)
                scales.append(name)
    return "; ".join(f"{kind}: {_some(names)}" for kind, names in (("zero", zeros), ("layer scale", scales)) if names)


def _some(names: list[str]) -> str:
    return names[-1] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def failed(row: Row, error: BaseException) -> None:
    kind = "refused" if isinstance(error, CamxError) else type(error).__name__
    row.verdict = f"{kind}: {(str(error) or '').splitlines()[0] if str(error) else ''}"[:300]


def timed(began: float) -> float:
    return round(time.monotonic() - began, 2)
