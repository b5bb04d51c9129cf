"""A map on the pixels of gradients to the image and to all biases: B×T×H×W of the network's input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ...errors import CamxError
from ..tracing.bias_terms import BiasRecorder
from ..tracing.replay import Replay
from ..tracing.scores import network_name
from ..tracing.trace import Trace
from .method import method

#: The largest deviation of the sum of all terms from the score: a share of the score, plus one of the sum of their
#: magnitudes.
MISSED, ROUNDED = 1e-2, 1e-5

#: (image x, gradient to it, [(gradient, bias) of each operation]) → values per image.
_Reading = Callable[[Tensor, Tensor, list[tuple[Tensor, Tensor]]], Tensor]


def needs_completeness(trace: Trace) -> None:
    """Raises `CamxError` for a network whose score is not the sum of gradient ⊙ image and the terms of biases."""
    replay = replace(trace.replay, inputs=trace.replay.inputs[:1], autocast=Replay.autocast)
    classes = trace.logits[:1].abs().argmax(1, keepdim=True)
    total, magnitude = sums(replay, classes)[0, 0].tolist()
    with torch.no_grad():
        score = float(replay.scores(1, lambda _: replay.inputs)[0, classes[0, 0]])
    if abs(total - score) <= MISSED * abs(score) + ROUNDED * magnitude:
        return
    raise CamxError(
        f"`methods=fullgrad` splits a score into the gradient of the image and of all biases. Those of "
        f"{network_name(replay.module)} add up to {total:.3g}, its score is {score:.3g}: it has operations "
        "without such a split, such as layer normalisation, attention, or a product of two feature maps.",
        "Use `methods=integrated-gradients`.",
        field="methods",
    )


@method(
    "fullgrad",
    summary="gradients to the image and to all biases",
    paper="Srinivas and Fleuret 2019",
    equation="ψ(∂y_c/∂x⊙x) + Σ_l Σ_k ψ(∂y_c/∂b_l⊙b_l)_k, ψ = U(|·| from its least value to its largest)",
    forwards="1",
    works="CNN",
    grid="pixels",
    reads_layer=False,
    signed=False,
    check=needs_completeness,
)
def fullgrad(trace: Trace, classes: Tensor) -> Tensor:
    """Σ of ψ(gradient ⊙ image) and of ψ(gradient ⊙ bias) of every layer and channel (Srinivas and Fleuret 2019, eq. 8).

    ψ takes magnitudes, scales those of a layer from their least to their largest value to [0, 1], and enlarges them to
    the image. Biases are the explicit ones and the implicit ones of batch normalisations and of activations; those of
    layers without positions have a share of the score, but none of the map.
    """
    size = trace.replay.inputs.shape[2:]

    def read(picture: Tensor, gradient: Tensor, terms: list[tuple[Tensor, Tensor]]) -> Tensor:
        found = _spread(gradient * picture, size)
        for slope, bias in terms:
            if slope.dim() == 4 and slope.shape[2] * slope.shape[3] > 1:
                found = found + _spread(slope * bias, size)
        return found

    return _full_gradients(trace.replay, classes, read)


def sums(replay: Replay, classes: Tensor) -> Tensor:
    """Returns the sum of all terms of each class's score, and the sum of their magnitudes: B×T×2."""

    def read(picture: Tensor, gradient: Tensor, terms: list[tuple[Tensor, Tensor]]) -> Tensor:
        products = [gradient * picture, *(slope * bias for slope, bias in terms)]
        parts = torch.stack(
            [torch.stack([one.flatten(1).sum(1), one.flatten(1).abs().sum(1)], dim=1) for one in products]
        )
        return parts.sum(dim=0)

    return _full_gradients(replay, classes, read)


def _full_gradients(replay: Replay, classes: Tensor, reading: _Reading) -> Tensor:
    """Joins the results of `reading` on the gradients of each class, in chunks of the batch: B×T×…"""
    recorder = BiasRecorder()

    def recording() -> BiasRecorder:
        # A forward that ran out of memory has left terms of its own.
        recorder.terms.clear()
        return recorder

    def read(leaf: Tensor, scores: Tensor, part: slice) -> Tensor:
        results, biases = [one for one, _ in recorder.terms], [bias for _, bias in recorder.terms]
        columns = []
        for column in classes[part].unbind(1):
            start = torch.zeros_like(scores).scatter_(1, column[:, None], 1.0)
            found = torch.autograd.grad(scores, [leaf, *results], start, retain_graph=True, materialize_grads=True)
            slopes = [(one.float(), bias.float()) for one, bias in zip(found[1:], biases)]
            columns.append(reading(leaf.detach().float(), found[0].float(), slopes))
        return torch.stack(columns, dim=1)

    return replay.differentiated(replay.inputs, read, recording)


def _spread(products: Tensor, size: torch.Size) -> Tensor:
    """ψ: scales the magnitudes B×C×h×w of a layer to [0, 1], sums them over C and enlarges them to B×H×W."""
    sizes = products.abs()
    low, high = (ends(sizes, dim=(1, 2, 3), keepdim=True) for ends in (torch.amin, torch.amax))
    shown = ((sizes - low) / (high - low).clamp_min(1e-38)).sum(dim=1, keepdim=True)
    return interpolate(shown, tuple(size), mode="bilinear", align_corners=False)[:, 0]
