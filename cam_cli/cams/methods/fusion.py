"""From several layers, several views and two signs to one map of each class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ...errors import CamxError, nearest
from ..tracing.trace import Trace
from . import METHODS, Method
from .concepts import Concepts

EVIDENCE = ("for", "against", "both")


@dataclass(frozen=True)
class Maps:
    """The maps of one method for one batch.

    values: B×T×h×w, raw. energies: B×T×L, the root mean square of each layer's own map. scores: B×T×K, for
    concepts only: what the head says of each.
    """

    values: Tensor
    energies: Tensor
    scores: Tensor | None = None

    def cpu(self) -> Maps:
        """The same in main memory."""
        return Maps(self.values.cpu(), self.energies.cpu(), None if self.scores is None else self.scores.cpu())


def maps_of(method: Method, traces: Sequence[Trace], classes: Tensor, evidence: str = "for") -> Maps:
    """The maps of a method from the traces of one forward at one or several layers, for B×T classes.

    evidence `against`: the score with its sign turned. `both`: ReLU(for) − ReLU(against), which is positive
    where something speaks for the class, and negative where more speaks against it.
    """
    if method.grid != "layer":
        traces = traces[:1]
    if method.per == "image":
        classes = classes[:, :1]
    if evidence == "both":
        one, other = maps_of(method, traces, classes, "for"), maps_of(method, traces, classes, "against")
        return Maps(one.values.clamp_min(0) - other.values.clamp_min(0), one.energies)
    signed = [trace.against() for trace in traces] if evidence == "against" else traces
    found = [method.maps(trace, classes) for trace in signed]
    scores = found[0].scores if isinstance(found[0], Concepts) else None
    maps = [one.maps if isinstance(one, Concepts) else one for one in found]
    energies = torch.stack([one.square().mean(dim=(2, 3)).sqrt() for one in maps], dim=2)
    return Maps(fused(maps), energies, scores)


def fused(maps: Sequence[Tensor]) -> Tensor:
    """Maps B×T×h×w of several layers as one on the finest grid: the largest of them at each position.

    Each is divided by its own peak before (Jiang et al. 2021, without their tanh): layers have different units.
    One layer alone stays as it is.
    """
    if len(maps) == 1:
        return maps[0]
    finest = max((one.shape[2:] for one in maps), key=lambda shape: shape[0] * shape[1])
    large = [interpolate(_by_peak(one), tuple(finest), mode="bilinear", align_corners=False) for one in maps]
    return torch.stack(large).amax(dim=0)


def _by_peak(maps: Tensor) -> Tensor:
    """Maps divided by their peaks; one that is nowhere positive counts for nothing."""
    peak = maps.amax(dim=(2, 3), keepdim=True)
    return torch.where(peak > 0, maps / peak.clamp_min(1e-38), 0.0)


@dataclass(frozen=True)
class Augmentation:
    """A picture seen differently: `apply` to a normalised batch B×C×H×W, `back` turns B×T×h×w maps back exactly."""

    apply: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]


def _mirrored(tensor: Tensor) -> Tensor:
    return tensor.flip(-1)


def _itself(tensor: Tensor) -> Tensor:
    return tensor


def _contrast(factor: float, *, mirrored: bool = False) -> Callable[[Tensor], Tensor]:
    return lambda tensor: (tensor.flip(-1) if mirrored else tensor) * factor


#: What `--smooth` averages over, beside the picture itself: its mirror image, and both with ±10 % of contrast.
SMOOTH: dict[str, tuple[Augmentation, ...]] = {
    "none": (),
    "flip": (Augmentation(_mirrored, _mirrored),),
    "aug": (
        Augmentation(_mirrored, _mirrored),
        *(Augmentation(_contrast(factor), _itself) for factor in (0.9, 1.1)),
        *(Augmentation(_contrast(factor, mirrored=True), _mirrored) for factor in (0.9, 1.1)),
    ),
}


def average_views(found: Sequence[Maps], backs: Sequence[Callable[[Tensor], Tensor]]) -> Maps:
    """The mean of the maps of several views, each turned back first; the scores are those of the first."""
    values = torch.stack([back(one.values) for one, back in zip(found, backs)]).mean(dim=0)
    return Maps(values, torch.stack([one.energies for one in found]).mean(dim=0), found[0].scores)


def check_methods(names: Sequence[str], evidence: str, smooth: str) -> None:
    """Raise `CamxError` for methods, evidence or smoothing that do not exist, or do not go together."""
    for flag, value, known in (("--evidence", evidence, EVIDENCE), ("--smooth", smooth, tuple(SMOOTH))):
        if value not in known:
            raise CamxError(f"{flag} {value!r} is unknown.{nearest(value, known)} It is one of {', '.join(known)}.")
    for name in names:
        if name not in METHODS:
            raise CamxError(f"Unknown method {name!r}.{nearest(name, METHODS)} Methods: {', '.join(METHODS)}.")
        method = METHODS[name]
        if evidence != "for" and not method.signed:
            raise CamxError(
                f"--evidence {evidence}: the method {name} does not tell what speaks for a class from what speaks "
                "against it. Use --evidence for, or a method such as gradcam."
            )
        if smooth != "none" and method.per == "concept":
            raise CamxError(f"--smooth {smooth}: the concepts of {name} are others in every view. Use --smooth none.")
