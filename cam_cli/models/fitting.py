"""Builds the network that the tensors of a checkpoint describe, and loads every tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from ..errors import CamxError
from .checkpoints import Checkpoint
from .heads import HeadOptions, rebuilt_head
from .inferred import proposals
from .libraries import Architecture
from .matching import Match, matched, mismatch
from .options import ModelSpec
from .renamed import renamings
from .weights import Tensors


@dataclass(frozen=True)
class Fitted:
    """A network with the weights of a checkpoint.

    args: arguments of the architecture. prefix: removed from the names. notes: one line for each fact that was inferred
    or part that was rebuilt. idle: tensors without influence on the scores. inferred: arguments read from tensors.
    normalisation: mean and std, for values in [0, 1], of a layer that normalised images inside the network.
    """

    module: nn.Module
    args: Mapping[str, Any]
    prefix: str = ""
    notes: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    inferred: Mapping[str, Any] = field(default_factory=dict)
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = None


def fitted(architecture: Architecture, args: Mapping[str, Any], spec: ModelSpec, checkpoint: Checkpoint) -> Fitted:
    """Network of the checkpoint with its weights.

    Names are tried unchanged, then as positions of the network's parts, then as renamed by the filters of timm. Raises
    `CamxError` for tensors that are missing, left over, or of other shapes.
    """
    head, own = HeadOptions.taken_from(args)
    module = architecture.build(pretrained=False, num_classes=None, args=own)
    trial = _Trial(architecture, spec, checkpoint, own, head)
    first: Match | None = None
    for tensors, note in renamings(checkpoint.tensors, module):
        found = trial.run(module, tensors, note)
        if isinstance(found, Fitted):
            return found
        first = first or found
        # The attempt may have replaced a head.
        module = architecture.build(pretrained=False, num_classes=None, args=own)
    assert first is not None
    raise mismatch(checkpoint, first, module.state_dict(), str(architecture))


@dataclass(frozen=True)
class _Trial:
    architecture: Architecture
    spec: ModelSpec
    checkpoint: Checkpoint
    args: Mapping[str, Any]
    head: HeadOptions

    def run(self, module: nn.Module, tensors: Tensors, note: str) -> Fitted | Match:
        """Network with these tensors, or the mismatch."""
        match = self._match(module, tensors)
        args: Mapping[str, Any] = self.args
        inferred: dict[str, Any] = {}
        for _ in range(4):
            if match.complete:
                break
            better = self._better(module, match, tensors, {**args, **inferred})
            if better is None:
                break
            module, match, change = better
            inferred |= change
        notes = [note] * bool(note)
        if inferred:
            notes.append("read from the tensors: " + ", ".join(f"{k}={v}" for k, v in inferred.items()))
        match, normalisation = _without_normalisation(match)
        loaded = match.tensors
        if not match.complete:
            rebuilt = rebuilt_head(module, match, self.head) if match.tensors else None
            if rebuilt is None:
                return match
            module, loaded = rebuilt.module, rebuilt.tensors
            notes.append(rebuilt.note)
            _strictly(module, loaded)
            _check_forward(module, self.checkpoint.path, rebuilt.note)
        else:
            _strictly(module, loaded)
        # Without the number of classes: the weights in the fingerprint determine it.
        built = {**args, **{key: value for key, value in inferred.items() if key != "num_classes"}}
        return Fitted(module, built, match.prefix, tuple(notes), match.idle, inferred, normalisation)

    def _match(self, module: nn.Module, tensors: Tensors) -> Match:
        spec, path = self.spec, self.checkpoint.path
        return matched(tensors, module.state_dict(), path=path, ignored=spec.ignore_tensors, ema=spec.ema)

    def _better(
        self, module: nn.Module, match: Match, tensors: Tensors, args: Mapping[str, Any]
    ) -> tuple[nn.Module, Match, dict[str, Any]] | None:
        """First change of the arguments with which more tensors fit."""
        if not match.tensors:
            return None
        for change in proposals(module, match):
            if set(change) & set(args):
                continue
            try:
                other = self.architecture.build(pretrained=False, num_classes=None, args={**args, **change})
            except (CamxError, RuntimeError, MemoryError):
                continue
            found = self._match(other, tensors)
            if found.problems < match.problems:
                return other, found, change
        return None


def _without_normalisation(
    match: Match,
) -> tuple[Match, tuple[tuple[float, ...], tuple[float, ...]] | None]:
    """Match without the mean and std of a normalisation layer, and these for values in [0, 1]."""
    left = {**match.inside, **match.outside}
    for name, mean in left.items():
        if not name.endswith("mean"):
            continue
        other = name.removesuffix("mean") + "std"
        std = left.get(other)
        if std is None or mean.numel() not in (1, 3) or std.shape != mean.shape or not (std > 0).all():
            continue
        scale = 255.0 if float(mean.max()) > 1 else 1.0
        kept = [{n: t for n, t in part.items() if n not in (name, other)} for part in (match.inside, match.outside)]
        values = tuple(tuple(round(v / scale, 6) for v in t.flatten().tolist()) for t in (mean, std))
        return replace(match, inside=kept[0], outside=kept[1]), (values[0], values[1])
    return match, None


def _strictly(module: nn.Module, tensors: Tensors) -> None:
    """Loads all tensors. With a complete match only buffers that the network computes itself may be missing."""
    module.load_state_dict(tensors, strict=False)


def _check_forward(module: nn.Module, path: str, note: str) -> None:
    """Raises `CamxError` if a network with a rebuilt head does not run."""
    config = getattr(module, "pretrained_cfg", None) or {}
    size = config.get("input_size", (3, 224, 224))[1:]
    side = getattr(module, "image_size", None)
    first = next((p for p in module.parameters() if p.dim() == 4), None)
    channels = first.shape[1] if first is not None else 3
    picture = torch.zeros(1, channels, *((side, side) if isinstance(side, int) else size))
    try:
        with torch.no_grad():
            module.eval()(picture)
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CamxError(
            f"The network of {path!r} does not run with the head that its tensors describe ({note}): {reason}.",
            "Give your own code, `model=my_module.py:build`.",
        ) from error
