"""One forward of a network, cut at a target layer: activations, scores, and the graph of the head alone.

A forward hook replaces the output of the target layer by a new leaf, so autograd records only the head: the forward
takes the time of one without gradients, and the backward only runs through the head. The network stays unchanged, also
after an exception.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...errors import CamxError
from ...models.hooks import TargetLayer, hooked
from ...models.layouts import dequantised, replaced, tensors_in
from ...models.tasks import DETECTION, SEGMENTATION, VALUES
from .classifier import Classifier
from .detections import BoxScores
from .network_state import undisturbed
from .replay import Replay
from .scored_network import PixelSums, ScoredNetwork, task_of
from .scores import scores_of, two_sided
from .sparse_backward import materialise, mean_over_grid, sparse_backward


@dataclass(frozen=True)
class HeadGraph:
    """The recorded head of one forward.

    scores: B×K, with their graph. leaves: the activations of each target layer, laid out as the network has them.
    sparse: use `sparse_backward`, which is slower for heads of many small operations. The gradients of the first
    requested classes are cached, because methods share them.
    """

    scores: Tensor
    leaves: tuple[Tensor, ...]
    sparse: bool = True
    _cache: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def columns(self, classes: Tensor) -> list[tuple[Tensor, ...]]:
        """Returns ∂scores[b, classes[b, t]] / ∂leaf[b] of each leaf, for every column t of `classes` B×T.

        One backward per column differentiates the whole batch: no image influences the score of another. The gradients
        may be those of `sparse_backward`, which `materialise` and `mean_over_grid` read.
        """
        if "classes" in self._cache and torch.equal(self._cache["classes"], classes):
            cached: list[tuple[Tensor, ...]] = self._cache["columns"]
            return cached
        columns = [self._column(column) for column in classes.unbind(1)]
        if not self._cache:
            self._cache.update(classes=classes, columns=columns)
        return columns

    def forget(self) -> None:
        """Frees the cached gradients; those of the next requested classes are cached instead."""
        self._cache.clear()

    def _column(self, column: Tensor) -> tuple[Tensor, ...]:
        one_hot = torch.zeros_like(self.scores).scatter_(1, column[:, None], 1.0)
        with sparse_backward(self.scores) if self.sparse else contextlib.nullcontext():
            return torch.autograd.grad(self.scores, self.leaves, one_hot, retain_graph=True, materialize_grads=True)

    def gradient_and_hvp(self, utility: Callable[[Tensor], Tensor], leaf_index: int) -> tuple[Tensor, Tensor]:
        """Returns the gradient ∂u/∂A and the Hessian-vector product (∂²u/∂A²)·A for the activations A of one leaf.

        `utility` is u: scores B×K → B.
        """
        leaf = self.leaves[leaf_index]
        value = utility(self.scores.float()).sum()
        (gradient,) = torch.autograd.grad(value, leaf, create_graph=True, materialize_grads=True)
        if not gradient.requires_grad:
            return gradient, torch.zeros_like(gradient)
        (hvp,) = torch.autograd.grad(gradient, leaf, leaf.detach(), retain_graph=True, materialize_grads=True)
        return gradient.detach(), hvp


@dataclass(frozen=True)
class Trace:
    """One forward of a batch, cut at a target layer.

    features: B×C×h×w float32, the activations of the target layer.
    logits: B×K float32, the class scores; a head with one logit z is read as the two classes −z/2 and z/2.
    head: the graph from the activations to the scores. index: of this layer among the leaves of the head.
    replay: runs the network again, for methods that need other images or activations.
    classifier: the linear head over global average pooling, where the network has one (for CAM).
    one_logit: whether the network has a single logit.
    sign: 1 for evidence for a class, −1 for evidence against it: the maps explain `sign` × the score.
    """

    features: Tensor
    logits: Tensor
    layer: TargetLayer
    head: HeadGraph = field(repr=False)
    replay: Replay = field(repr=False)
    index: int = 0
    classifier: Classifier | None = None
    one_logit: bool = False
    sign: int = 1

    def gradients(self, classes: Tensor) -> Tensor:
        """Returns `sign` × ∂logits[b, classes[b, t]] / ∂features[b] for B×T class indices: B×T×C×h×w float32."""
        columns = [materialise(column[self.index]) for column in self.head.columns(classes)]
        return self.sign * torch.stack([self.layer.layout.to_nchw(one).float() for one in columns], dim=1)

    def mean_gradients(self, classes: Tensor) -> Tensor:
        """Returns the means of `gradients` over positions, B×T×C×1×1 float32; faster for a transformer."""
        columns = [column[self.index] for column in self.head.columns(classes)]
        means = torch.stack([mean_over_grid(one, self.layer.layout) for one in columns], dim=1)
        return self.sign * means[..., None, None]

    def gradient_and_hvp(self, utility: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Returns `sign` × (gradient, Hessian · features) of a `utility` (B×K scores → B): B×C×h×w float32 each."""
        gradient, hvp = self.head.gradient_and_hvp(utility, self.index)
        to_nchw = self.layer.layout.to_nchw
        return self.sign * to_nchw(gradient).float(), self.sign * to_nchw(hvp).float()

    def head_scores(self, image: int, count: int, features: Callable[[slice], Tensor]) -> Tensor:
        """Returns the scores count×K of one image of the batch with other activations; see `Replay.head_scores`."""
        return self.replay.head_scores(self.layer, image, count, features)

    def retrace(self, pictures: Tensor) -> Trace:
        """Runs the network on another normalised batch B×C×H×W and returns its trace at this layer."""
        replay = replace(self.replay, inputs=pictures)
        with replay.autocast(), replay.backend(pictures) as batch:
            found = traces(replay.module, batch, replay.layers, self.classifier, replay=replay)
        return replace(found[self.index], sign=self.sign)

    def against(self) -> Trace:
        """Returns this trace with the opposite sign: maps then show evidence against a class."""
        return replace(self, sign=-self.sign)


def _scoring(
    module: nn.Module, replay: Replay | None
) -> contextlib.AbstractContextManager[PixelSums | BoxScores | None]:
    """Context in which a segmentation sums its logits, and a detector keeps boxes, as the replay says."""
    if replay is None or not isinstance(module, ScoredNetwork):
        return contextlib.nullcontext()
    if module.reading.task == DETECTION:
        return module.detecting(replay.least)
    if module.reading.task != SEGMENTATION:
        return contextlib.nullcontext()
    return module.summed_over(replay.regions, replay.mask)


def trace(module: nn.Module, inputs: Tensor, layer: TargetLayer, classifier: Classifier | None = None) -> Trace:
    """Runs `module` on a normalised batch B×C×H×W and cuts it at `layer`, in any gradient mode.

    Raises `CamxError` if the layer does not run in this forward or the scores do not depend on it.
    """
    return traces(module, inputs, [layer], classifier)[0]


def traces(
    module: nn.Module,
    inputs: Tensor,
    layers: Sequence[TargetLayer],
    classifier: Classifier | None = None,
    *,
    second_order: bool = False,
    gradients: bool = True,
    replay: Replay | None = None,
) -> list[Trace]:
    """Runs one forward and cuts it at the earliest of `layers`; returns a trace of each layer, in their order.

    second_order: the head will be differentiated twice, so fused attention is off. gradients: record the head; without
    it the traces have no gradients. replay: the settings of the traces; None for the defaults. A segmentation sums its
    logits over the regions of the replay; if that has none, over the pixels of its mask or of each predicted class;
    without a replay, over the whole image. Raises `CamxError` as `trace` does.
    """
    leaves: dict[int, Tensor] = {}

    def cut(name: str, call: int, _inputs: tuple[Any, ...], output: Any) -> Any:
        for index, layer in enumerate(layers):
            if (layer.name, layer.call) == (name, call):
                found = dict(tensors_in(output))[layer.path]
                if not gradients:
                    leaves[index] = dequantised(found).clone()
                    continue
                # The graph begins at the first layer that runs; later ones are parts of it. A copy, because the network
                # may change the memory of its output in place later on.
                leaves[index] = found.clone() if found.requires_grad else found.detach().clone().requires_grad_()
                # Another copy: the next operation may work in place, which autograd forbids on a leaf.
                output = replaced(output, layer.path, leaves[index].clone())
        return output

    modules = {layer.name: module.get_submodule(layer.name) for layer in layers}
    attention = sdpa_kernel(SDPBackend.MATH) if second_order else contextlib.nullcontext()
    recording = contextlib.nullcontext() if gradients else torch.no_grad()
    with undisturbed(module), recording, hooked(modules, cut), attention, _scoring(module, replay) as scoring:
        raw = scores_of(module(inputs.clone() if inputs.is_inference() else inputs))
        scores = two_sided(raw, module)
    for index, layer in enumerate(layers):
        if index not in leaves:
            raise CamxError(
                f"The layer {layer.name!r} does not run in a forward of this network. "
                "Choose one that `camx layers` lists."
            )
    if gradients and not scores.requires_grad:
        names = " or ".join(repr(layer.name) for layer in layers)
        raise CamxError(f"No class score depends on the layer {names}. Choose one that `camx layers` lists.")
    sparse = task_of(module) != DETECTION
    head = HeadGraph(scores, tuple(leaves[index] for index in range(len(layers))), sparse)
    logits = scores.detach().float()
    if replay is None:
        replay = Replay(module, inputs, tuple(layers))
    elif isinstance(scoring, BoxScores):
        replay = replace(replay, boxes=scoring)
    elif scoring is not None:
        replay = replace(replay, regions=scoring.regions)
    return [
        Trace(
            features=layer.layout.to_nchw(leaf.detach()).float(),
            logits=logits,
            layer=layer,
            head=head,
            replay=replay,
            index=index,
            classifier=classifier,
            one_logit=raw.shape[1] == 1 and task_of(module) not in (*VALUES, DETECTION),
        )
        for index, (layer, leaf) in enumerate(zip(layers, head.leaves))
    ]
