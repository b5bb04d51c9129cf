"""Checks a converted network against torch: in float32 by its values, in bf16 by the size of its rounding errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from ...models.hooks import TargetLayer
from ..tracing.cut import NoCut
from ..tracing.trace import Trace, traces
from .backends import Backend, EagerBackend

#: Batch sizes of the comparison; their images differ, so that swapped values are found.
_SIZES = (3, 1, 2)
#: The largest deviation in float32: as a share of the largest feature, gradient or logit; and of a probability.
_TOLERANCE, _PROBABILITY = 1e-4, 1e-5
#: In bf16: the largest deviation of OpenVINO from float32, in multiples of torch's; and the deviation that always
#: passes.
_TIMES, _ROUNDING = 2.0, 0.01


def prove_values(backend: Backend, module: nn.Module, layers: Sequence[TargetLayer], picture: Tensor) -> None:
    """Raises `NoCut` unless features, logits and gradients in float32 are those of the network, for several batches.

    picture: a normalised image 1×C×H×W.
    """
    pictures = _pictures(picture)
    for size in _SIZES:
        batch = pictures[-size:].contiguous(memory_format=torch.channels_last)
        wanted, found = _trace(EagerBackend(), module, layers, batch), _trace(backend, module, layers, batch)
        _compare("features", found.features, wanted.features)
        _compare("logits", found.logits, wanted.logits)
        difference = float((found.logits.softmax(1) - wanted.logits.softmax(1)).abs().max())
        if not difference <= _PROBABILITY:
            raise NoCut(f"its probabilities differ by {difference:.1g}")
        classes = wanted.logits.argmax(1, keepdim=True)
        _compare("gradients", found.gradients(classes), wanted.gradients(classes))


def prove_rounding(
    backend: Backend,
    module: nn.Module,
    layers: Sequence[TargetLayer],
    picture: Tensor,
    autocast: Callable[[], AbstractContextManager[object]],
) -> None:
    """Raises `NoCut` if a backend in bf16 is much further from float32 than torch in bf16 (`autocast`).

    Single values decide nothing: in a deep network with clipped activations, some are off by a fifth of the largest one
    in torch, too. So the deviations of all features, logits and gradients are compared by their root mean squares.
    """
    batch = _pictures(picture).contiguous(memory_format=torch.channels_last)
    exact = _trace(EagerBackend(), module, layers, batch)
    with autocast():
        in_torch, found = _trace(EagerBackend(), module, layers, batch), _trace(backend, module, layers, batch)
    classes = exact.logits.argmax(1, keepdim=True)
    values: dict[str, Callable[[Trace], Tensor]] = {
        "features": lambda trace: trace.features,
        "logits": lambda trace: trace.logits,
        "gradients": lambda trace: trace.gradients(classes),
    }
    for name, of in values.items():
        own, of_torch = _deviation(of(found), of(exact)), _deviation(of(in_torch), of(exact))
        if not own <= max(_ROUNDING, _TIMES * of_torch):
            raise NoCut(
                f"in bf16 its {name} are off from float32 by {own:.2g} of their size, those of torch by {of_torch:.2g}"
            )


def _pictures(picture: Tensor) -> Tensor:
    return torch.cat([picture, picture.flip(-1), picture * 0.5])


def _trace(backend: Backend, module: nn.Module, layers: Sequence[TargetLayer], batch: Tensor) -> Trace:
    with backend(batch) as same:
        return traces(module, same, layers)[0]


def _compare(name: str, found: Tensor, wanted: Tensor) -> None:
    limit = _TOLERANCE * float(wanted.abs().max())
    if found.shape != wanted.shape or not float((found - wanted).abs().max()) <= limit:
        raise NoCut(f"its {name} differ")


def _deviation(found: Tensor, exact: Tensor) -> float:
    """Returns the root mean square of the differences, as a share of that of the values."""
    if found.shape != exact.shape:
        return float("inf")
    wanted = exact.detach().double()
    return float((found.detach().double() - wanted).norm() / wanted.norm().clamp_min(1e-30))
