"""The biases of a network, explicit and implicit, with the tensors of the graph to which they are added."""

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
#: The second argument minus the first one.
_REVERSED = {torch.rsub, Tensor.__rsub__}
#: Elementwise functions other than ReLU, leaky ReLU and PReLU, whose value is their derivative times the input.
_ACTIVATIONS: set[Callable[..., Any]] = {
    *(functional.relu6, functional.hardtanh, functional.hardtanh_, functional.hardswish, functional.hardsigmoid),
    *(functional.silu, functional.gelu, functional.mish, functional.elu, functional.elu_, functional.selu),
    *(functional.celu, functional.softplus, functional.logsigmoid, functional.softsign, functional.tanhshrink),
    *(functional.sigmoid, functional.tanh, torch.sigmoid, torch.sigmoid_, torch.tanh, torch.tanh_),
    *(Tensor.sigmoid, Tensor.sigmoid_, Tensor.tanh, Tensor.tanh_, torch.clamp, torch.clamp_, Tensor.clamp),
    *(Tensor.clamp_, Tensor.clamp_min, Tensor.clamp_max, torch.clamp_min, torch.clamp_max),
}


class BiasRecorder(TorchFunctionMode):
    """While active, records the result of each operation with a bias, and the bias (Srinivas and Fleuret 2019).

    Convolutions, linear layers and added constants have one; a batch normalisation in evaluation mode has β − μγ/√(σ² +
    ε). An elementwise function f has the implicit bias f(z) − f′(z)·z, which is zero for a ReLU. terms: (result, bias),
    of shapes that broadcast to each other.
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
            bias = _argument(args, kwargs, 2, "bias")
            dimensions = args[1].dim() - 2 if len(args) > 1 else kwargs["weight"].dim() - 2
            return None if bias is None else bias.reshape(-1, *(1,) * dimensions)
        if func is functional.linear:
            bias = _argument(args, kwargs, 2, "bias")
            return bias if isinstance(bias, Tensor) else None
        if func in (functional.batch_norm, torch.batch_norm):
            return _of_normalisation(func, args, kwargs)
        if func in _ADDITIONS or func in _SUBTRACTIONS or func in _REVERSED:
            return _of_sum(args, kwargs, (-1 if func in _REVERSED else 1, -1 if func in _SUBTRACTIONS else 1))
        if func in _ACTIVATIONS:
            return _of_activation(func, args, kwargs)
        return None


def _argument(args: Any, kwargs: Any, place: int, name: str) -> Any:
    return args[place] if len(args) > place else kwargs.get(name)


def _of_normalisation(func: Any, args: Any, kwargs: Any) -> Tensor | None:
    """Returns β − μγ/√(σ² + ε) per channel, without γ or β if there is none; None if the batch gives μ and σ."""
    names = ("running_mean", "running_var", "weight", "bias")
    if func is torch.batch_norm:
        names = ("weight", "bias", "running_mean", "running_var")
    values = {name: _argument(args, kwargs, place, name) for place, name in enumerate(names, start=1)}
    epsilon = _argument(args, kwargs, 7, "eps")
    if values["running_mean"] is None or _argument(args, kwargs, 5, "training"):
        return None
    mean = values["running_mean"].float()
    scale = (values["running_var"].float() + (1e-5 if epsilon is None else epsilon)).rsqrt()
    if values["weight"] is not None:
        scale = scale * values["weight"].float()
    bias: Tensor = -mean * scale if values["bias"] is None else values["bias"].float() - mean * scale
    inputs = _argument(args, kwargs, 0, "input")
    return bias.reshape(-1, *(1,) * (inputs.dim() - 2))


def _of_sum(args: Any, kwargs: Any, signs: tuple[int, int]) -> Tensor | None:
    """Returns the summand, with its sign, that does not depend on the image; None if both do, or if they are scaled."""
    if len(args) != 2 or kwargs:
        return None
    first, second = args
    moving = [isinstance(one, Tensor) and one.requires_grad for one in args]
    if moving == [True, False]:
        return signs[1] * torch.as_tensor(second, device=first.device).float()
    if moving == [False, True]:
        return signs[0] * torch.as_tensor(first, device=second.device).float()
    return None


def _of_activation(func: Any, args: Any, kwargs: Any) -> Tensor | None:
    """Returns the implicit bias f(z) − f′(z)·z; the graph of the network is not used."""
    if not args or not isinstance(args[0], Tensor) or not args[0].is_floating_point():
        return None
    inputs = args[0].detach().clone().requires_grad_()
    with torch.enable_grad():
        outputs = func(inputs.clone(), *args[1:], **kwargs)
    (slope,) = torch.autograd.grad(outputs.sum(), inputs)
    found: Tensor = outputs.detach() - slope * inputs.detach()
    return found
