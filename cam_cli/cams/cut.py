"""Run a network once and keep the graph of its head only.

A hook on the target layer replaces its output by a fresh leaf, so that autograd sees nothing before it: the
forward costs what a plain one costs, and the backward goes through the head alone. The network is left as it
was found, also when something fails in between.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CamxError
from ..models.hooks import TargetLayer, hooked
from ..models.layouts import Layout, replaced, tensors_in
from .classifier import Classifier

__all__ = ["TargetLayer", "Trace", "hooked", "scores_of", "trace", "undisturbed"]


@dataclass(frozen=True)
class Trace:
    """One forward of a batch, cut at the target layer.

    features: B×C×h×w float32, the activations of the target layer.
    logits: B×K float32, the class scores.
    classifier: the linear head over global average pooling, where the network has one (for CAM).
    """

    features: Tensor
    logits: Tensor
    classifier: Classifier | None = None
    _leaf: Tensor | None = field(default=None, repr=False)
    _scores: Tensor | None = field(default=None, repr=False)
    _layout: Layout | None = field(default=None, repr=False)

    def gradients(self, classes: Tensor) -> Tensor:
        """∂logits[b, classes[b, t]] / ∂features[b] for B×T class indices: B×T×C×h×w float32.

        The batch is differentiated at once: no image reaches another's score, so one backward of the head
        per column of `classes` gives every image the gradient of its own class.
        """
        assert self._leaf is not None
        assert self._scores is not None
        assert self._layout is not None
        columns = []
        for column in classes.unbind(1):
            one_hot = torch.zeros_like(self._scores).scatter_(1, column[:, None], 1.0)
            (gradient,) = torch.autograd.grad(self._scores, self._leaf, one_hot, retain_graph=True)
            columns.append(self._layout.to_nchw(gradient).float())
        return torch.stack(columns, dim=1)


def trace(module: nn.Module, inputs: Tensor, layer: TargetLayer, classifier: Classifier | None = None) -> Trace:
    """Run `module` on a normalised batch B×C×H×W and cut it at `layer`.

    Works whatever the caller's gradient mode. Raises `CamxError` if the layer does not run in this forward
    or the scores do not depend on it.
    """
    leaves: list[Tensor] = []

    def cut(_name: str, call: int, _inputs: tuple[Any, ...], output: Any) -> Any:
        if call != layer.call:
            return None
        # A copy of its own: what shares memory with the output may be changed in place later on.
        leaf = dict(tensors_in(output))[layer.path].detach().clone().requires_grad_()
        leaves.append(leaf)
        # Another one: the next operation may work in place, which autograd forbids on a leaf.
        return replaced(output, layer.path, leaf.clone())

    with undisturbed(module), hooked({layer.name: module.get_submodule(layer.name)}, cut):
        scores = scores_of(module(inputs.clone() if inputs.is_inference() else inputs))
    if not leaves:
        raise CamxError(
            f"The layer {layer.name!r} does not run in a forward of this network. Choose one that `camx layers` lists."
        )
    if not scores.requires_grad:
        raise CamxError(f"No class score depends on the layer {layer.name!r}. Choose one that `camx layers` lists.")
    leaf = leaves[0]
    features = layer.layout.to_nchw(leaf.detach()).float()
    return Trace(features, scores.detach().float(), classifier, leaf, scores, layer.layout)


@contextlib.contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, no parameter gradients, autograd on; all of it as before on leaving."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    training = [m for m in module.modules() if m.training]
    if any(p.is_inference() for p in module.parameters()):
        raise CamxError(
            "The network was made under torch.inference_mode(), so no gradient can pass it. Build it outside."
        )
    try:
        for parameter in parameters:
            parameter.requires_grad_(False)
        for one in training:
            one.training = False
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
        for one in training:
            one.training = True


def scores_of(output: Any) -> Tensor:
    """The class scores B×K in what a classifier returns: a tensor, or the `logits` of a richer output."""
    found = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if found is None and isinstance(output, dict):
        found = output.get("logits")
    if found is None:
        found = next((tensor for _, tensor in tensors_in(output)), None)
    if found is None or found.dim() < 2 or any(side != 1 for side in found.shape[2:]):
        shape = "nothing" if found is None else f"a tensor of shape {tuple(found.shape)}"
        raise CamxError(f"The network returns {shape}, not one score per image and class. camx explains classifiers.")
    return found.flatten(1)
