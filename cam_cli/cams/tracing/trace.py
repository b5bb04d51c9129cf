"""Run a network once and keep the graph of its head only.

A hook on the target layer replaces its output by a fresh leaf, so that autograd sees nothing before it: the
forward costs what a plain one costs, and the backward goes through the head alone. The network is left as it
was found, also when something fails in between.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...errors import CamxError
from ...models.hooks import TargetLayer, hooked
from ...models.layouts import replaced, tensors_in
from .classifier import Classifier
from .sparse_backward import mean_over_grid, sparse_backward, whole

if TYPE_CHECKING:
    from .replay import Replay

__all__ = ["TargetLayer", "Trace", "hooked", "scores_of", "trace", "traces", "undisturbed"]


@dataclass(frozen=True)
class HeadGraph:
    """The recorded head of one forward: the class scores B×K and the cut activations of each layer, as the
    network has them. Gradients of the classes that are asked for first are kept: the methods share them."""

    scores: Tensor
    leaves: tuple[Tensor, ...]
    _known: dict[str, Any] = field(default_factory=dict)

    def columns(self, classes: Tensor) -> list[tuple[Tensor, ...]]:
        """For every column of `classes` ∂scores[b, classes[b, t]] / ∂leaf[b] of each layer, left by `sparse_backward`.

        The batch is differentiated at once: no image reaches another's score, so one backward of the head
        per column of `classes` gives every image, and every layer, the gradient of its own class.
        """
        if "classes" in self._known and torch.equal(self._known["classes"], classes):
            known: list[tuple[Tensor, ...]] = self._known["columns"]
            return known
        columns = [self._column(column) for column in classes.unbind(1)]
        if not self._known:
            self._known.update(classes=classes, columns=columns)
        return columns

    def _column(self, column: Tensor) -> tuple[Tensor, ...]:
        one_hot = torch.zeros_like(self.scores).scatter_(1, column[:, None], 1.0)
        with sparse_backward(self.scores):
            return torch.autograd.grad(self.scores, self.leaves, one_hot, retain_graph=True, materialize_grads=True)

    def gradient_and_hvp(self, utility: Callable[[Tensor], Tensor], layer: int) -> tuple[Tensor, Tensor]:
        """∂u/∂A and (∂²u/∂A²)·A of a `utility` u (B×K scores → B) for the activations A of one layer."""
        leaf = self.leaves[layer]
        value = utility(self.scores.float()).sum()
        (slope,) = torch.autograd.grad(value, leaf, create_graph=True, materialize_grads=True)
        if not slope.requires_grad:
            return slope, torch.zeros_like(slope)
        (curve,) = torch.autograd.grad(slope, leaf, leaf.detach(), retain_graph=True, materialize_grads=True)
        return slope.detach(), curve


@dataclass(frozen=True)
class Trace:
    """One forward of a batch, cut at a target layer.

    features: B×C×h×w float32, the activations of the target layer.
    logits: B×K float32, the class scores; a head with one logit z is read as the two classes −z/2 and z/2.
    classifier: the linear head over global average pooling, where the network has one (for CAM).
    replay: runs the network again, for methods that ask it about other pictures or activations.
    one_logit: whether it is such a head.
    sign: 1 for evidence for a class, −1 for evidence against it: what is explained is `sign` × the score.
    """

    features: Tensor
    logits: Tensor
    layer: TargetLayer
    tape: HeadGraph = field(repr=False)
    index: int = 0
    classifier: Classifier | None = None
    replay: Replay | None = field(default=None, repr=False)
    one_logit: bool = False
    sign: int = 1

    def gradients(self, classes: Tensor) -> Tensor:
        """`sign` × ∂logits[b, classes[b, t]] / ∂features[b] for B×T class indices: B×T×C×h×w float32."""
        columns = [whole(column[self.index]) for column in self.tape.columns(classes)]
        return self.sign * torch.stack([self.layer.layout.to_nchw(one).float() for one in columns], dim=1)

    def mean_gradients(self, classes: Tensor) -> Tensor:
        """The means of `gradients` over positions, B×T×C×1×1: for a transformer much cheaper than those themselves."""
        columns = [column[self.index] for column in self.tape.columns(classes)]
        means = torch.stack([mean_over_grid(one, self.layer.layout) for one in columns], dim=1)
        return self.sign * means[..., None, None]

    def gradient_and_hvp(self, utility: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """`sign` × (gradient, Hessian · features) of a `utility` (B×K scores → B): B×C×h×w float32 each."""
        slope, curve = self.tape.gradient_and_hvp(utility, self.index)
        to_nchw = self.layer.layout.to_nchw
        return self.sign * to_nchw(slope).float(), self.sign * to_nchw(curve).float()

    def against(self) -> Trace:
        """The same forward, explained by what speaks against a class."""
        return replace(self, sign=-self.sign)

    @property
    def again(self) -> Replay:
        """The network, to be run again. Only a trace that an `Explainer` made has it."""
        assert self.replay is not None, "this trace was made without its network"
        return self.replay


def trace(module: nn.Module, inputs: Tensor, layer: TargetLayer, classifier: Classifier | None = None) -> Trace:
    """Run `module` on a normalised batch B×C×H×W and cut it at `layer`.

    Works whatever the caller's gradient mode. Raises `CamxError` if the layer does not run in this forward
    or the scores do not depend on it.
    """
    return traces(module, inputs, [layer], classifier)[0]


def traces(
    module: nn.Module,
    inputs: Tensor,
    layers: Sequence[TargetLayer],
    classifier: Classifier | None = None,
    *,
    twice: bool = False,
) -> list[Trace]:
    """One forward, cut at the earliest of `layers`: a trace of each, in their order. Errors as for `trace`.

    twice: the head will be differentiated twice, which fused attention does not allow.
    """
    leaves: dict[int, Tensor] = {}

    def cut(name: str, call: int, _inputs: tuple[Any, ...], output: Any) -> Any:
        for index, layer in enumerate(layers):
            if (layer.name, layer.call) == (name, call):
                found = dict(tensors_in(output))[layer.path]
                # The first layer to run is the leaf where the graph begins; what comes later is a part of it. A copy
                # of its own: what shares memory with the output may be changed in place later on.
                leaves[index] = found.clone() if found.requires_grad else found.detach().clone().requires_grad_()
                # Another one: the next operation may work in place, which autograd forbids on a leaf.
                output = replaced(output, layer.path, leaves[index].clone())
        return output

    modules = {layer.name: module.get_submodule(layer.name) for layer in layers}
    plain = sdpa_kernel(SDPBackend.MATH) if twice else contextlib.nullcontext()
    with undisturbed(module), hooked(modules, cut), plain:
        raw = scores_of(module(inputs.clone() if inputs.is_inference() else inputs))
        scores = two_sided(raw)
    for index, layer in enumerate(layers):
        if index not in leaves:
            raise CamxError(
                f"The layer {layer.name!r} does not run in a forward of this network. "
                "Choose one that `camx layers` lists."
            )
    if not scores.requires_grad:
        named = ", ".join(repr(layer.name) for layer in layers)
        raise CamxError(f"No class score depends on the layer {named}. Choose one that `camx layers` lists.")
    tape = HeadGraph(scores, tuple(leaves[index] for index in range(len(layers))))
    logits = scores.detach().float()
    return [
        Trace(
            features=layer.layout.to_nchw(leaf.detach()).float(),
            logits=logits,
            layer=layer,
            tape=tape,
            index=index,
            classifier=classifier,
            one_logit=raw.shape[1] == 1,
        )
        for index, (layer, leaf) in enumerate(zip(layers, tape.leaves))
    ]


def two_sided(scores: Tensor) -> Tensor:
    """Scores B×K; one logit z becomes the two classes (−z/2, z/2), whose softmax is 1 − sigmoid(z), sigmoid(z)."""
    return torch.cat([-scores / 2, scores / 2], dim=1) if scores.shape[1] == 1 else scores


@contextlib.contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, no parameter gradients, autograd on; all of it as before on leaving."""
    modules = list(module.modules())
    training = [m for m in modules if m.training]
    own = [p for m in modules for p in m.parameters(recurse=False)]
    parameters = [p for p in own if p.requires_grad]
    if any(p.is_inference() for p in own):
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
