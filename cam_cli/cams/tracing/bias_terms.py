"""The biases of a network, explicit and implicit, with the places in the graph where they enter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_CONVOLUTIONS: set[Callable[..., Any]] = {torch.conv1d, torch.conv2d, torch.conv3d}
_CONVOLUTIONS |= {torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d}
_ADDITIONS = {torch.add, Tensor.add, Tensor.add_, Tensor.__add__, Tensor.__radd__, Tensor.__iadd__}
_SUBTRACTIONS = {torch.sub, Tensor.sub, Tensor.sub_, Tensor.__sub__, Tensor.__isub__}
#: The second argument less the first one.
_REVERSED = {torch.rsub, Tensor.__rsub__}
#: Functions of single values that do not hand a factor through, as ReLU, leaky ReLU and PReLU do.
_ACTIVATIONS: set[Callable[..., Any]] = {
    *(functional.relu6, functional.hardtanh, functional.hardtanh_, functional.hardswish, functional.hardsigmoid),
    *(functional.silu, functional.gelu, functional.mish, functional.elu, functional.elu_, functional.selu),
    *(functional.celu, functional.softplus, functional.logsigmoid, functional.softsign, functional.tanhshrink),
    *(functional.sigmoid, functional.tanh, torch.sigmoid, torch.sigmoid_, torch.tanh, torch.tanh_),
    *(Tensor.sigmoid, Tensor.sigmoid_, Tensor.tanh, Tensor.tanh_, torch.clamp, torch.clamp_, Tensor.clamp),
    *(Tensor.clamp_, Tensor.clamp_min, Tensor.clamp_max, torch.clamp_min, torch.clamp_max),
}


class BiasRecorder(TorchFunctionMode):
    """While active, records the result of each operation with a bias, and the bias: what is left of it at input 0.

    Convolutions, linear layers and constants that are added have one; a batch normalisation in evaluation mode has
    β − μγ/√(σ² + ε). A function f of single values that is no straight line through 0 has f(z) − f′(z)·z, its implicit
    bias, as at a clipped ReLU. terms: (result, bias), of shapes that broadcast to each other.
    """

    def __init__(self) -> None:
        super().__init__()
        self.terms: list[tuple[Tensor, Tensor]] = []

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        # Before the function runs: it may work in place.
        bias = self._bias(func, args, kwargs)
        result = func(*args, **kwargs)
        if bias is None or not isinstance(result, Tensor) or not result.requires_grad:
            return result
        self.terms.append((result, bias.detach()))
        # The next function may work in place on this one's result.
        return result.clone()

    def _bias(self, func: Any, args: Any, kwargs: Any) -> Tensor | None:
        if func in _CONVOLUTIONS:
            given = _argument(args, kwargs, 2, "bias")
            dimensions = args[1].dim() - 2 if len(args) > 1 else kwargs["weight"].dim() - 2
            return None if given is None else given.reshape(-1, *(1,) * dimensions)
        if func is functional.linear:
            given = _argument(args, kwargs, 2, "bias")
            return given if isinstance(given, Tensor) else None
        if func in (functional.batch_norm, torch.batch_norm):
            return _of_normalisation(func, args, kwargs)
        if func in _ADDITIONS or func in _SUBTRACTIONS or func in _REVERSED:
            return _of_sum(args, kwargs, -1 if func in _SUBTRACTIONS else 1)
        if func in _ACTIVATIONS:
            return _of_activation(func, args, kwargs)
        return None


def _argument(args: Any, kwargs: Any, place: int, name: str) -> Any:
    return args[place] if len(args) > place else kwargs.get(name)


def _of_normalisation(func: Any, args: Any, kwargs: Any) -> Tensor | None:
    """β − μγ/√(σ² + ε) per channel, with what is known of these; None where the batch itself gives μ and σ."""
    names = ("running_mean", "running_var", "weight", "bias")
    if func is torch.batch_norm:
        names = ("weight", "bias", "running_mean", "running_var")
    given = {name: _argument(args, kwargs, place, name) for place, name in enumerate(names, start=1)}
    epsilon = _argument(args, kwargs, 7, "eps")
    if given["running_mean"] is None or _argument(args, kwargs, 5, "training"):
        return None
    mean = given["running_mean"].float()
    scale = (given["running_var"].float() + (1e-5 if epsilon is None else epsilon)).rsqrt()
    if given["weight"] is not None:
        scale = scale * given["weight"].float()
    bias: Tensor = -mean * scale if given["bias"] is None else given["bias"].float() - mean * scale
    inputs = _argument(args, kwargs, 0, "input")
    return bias.reshape(-1, *(1,) * (inputs.dim() - 2))


def _of_sum(args: Any, kwargs: Any, sign: int) -> Tensor | None:
    """The summand that does not depend on the image; None where both do, or are scaled."""
    if len(args) != 2 or kwargs:
        return None
    first, second = args
    moving = [isinstance(one, Tensor) and one.requires_grad for one in args]
    if moving == [True, False]:
        return sign * torch.as_tensor(second, device=first.device).float()
    if moving == [False, True]:
        # What is taken off moves with its sign turned, which is a straight line: the rest is the first one.
        return torch.as_tensor(first, device=second.device).float()
    return None


def _of_activation(func: Any, args: Any, kwargs: Any) -> Tensor | None:
    """f(z) − f′(z)·z, in a graph of its own."""
    if not args or not isinstance(args[0], Tensor) or not args[0].is_floating_point():
        return None
    inputs = args[0].detach().clone().requires_grad_()
    with torch.enable_grad():
        outputs = func(inputs.clone(), *args[1:], **kwargs)
    (slope,) = torch.autograd.grad(outputs.sum(), inputs)
    found: Tensor = outputs.detach() - slope * inputs.detach()
    return found
