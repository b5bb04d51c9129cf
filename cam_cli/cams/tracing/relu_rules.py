"""Other derivatives for ReLU, without a change to the network: guided backpropagation and deconvnet."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ...errors import CamxError
from .scores import network_name

_RELUS = {functional.relu, functional.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}
_CLIPPED = {functional.relu6, functional.hardtanh, functional.hardtanh_}

_ACTIVATION = re.compile(r"elu|silu|swish|mish|tanh", re.IGNORECASE)

#: (gradient of the output, where the ReLU is open) → gradient of the input.
ReluRule = Callable[[Tensor, Tensor], Tensor]


def guided(gradient: Tensor, is_open: Tensor) -> Tensor:
    """Keeps positive gradients where the activation is positive (Springenberg et al. 2015)."""
    return gradient.clamp_min(0) * is_open


def deconvolved(gradient: Tensor, _is_open: Tensor) -> Tensor:
    """Keeps positive gradients, whatever the activation is (Zeiler and Fergus 2014)."""
    return gradient.clamp_min(0)


class _ReluWithRule(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, inputs: Tensor, ceiling: float, rule: ReluRule) -> Tensor:
        outputs = inputs.clamp(0, ceiling)
        context.rule = rule
        context.save_for_backward((inputs > 0) & (inputs < ceiling))
        return outputs

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (is_open,) = context.saved_tensors
        return context.rule(gradients[0], is_open), None, None


class ReluOverride(TorchFunctionMode):
    """While active, replaces the backward of every ReLU, module or function, with `rule`.

    `map_count` counts the ReLUs that ran over maps with several positions.
    """

    def __init__(self, rule: ReluRule) -> None:
        super().__init__()
        self.rule, self.map_count = rule, 0

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _RELUS or (func in _CLIPPED and _floor(func, args, kwargs) == 0):
            inputs = args[0] if args else kwargs["input"]
            self.map_count += inputs.dim() > 2 and inputs[0].numel() > inputs.shape[1]
            ceiling = float("inf") if func in _RELUS else _ceiling(func, args, kwargs)
            return _ReluWithRule.apply(inputs, ceiling, self.rule)
        return func(*args, **kwargs)


def _floor(func: Any, args: Any, kwargs: Any) -> float:
    return 0.0 if func is functional.relu6 else float(args[1] if len(args) > 1 else kwargs.get("min_val", -1.0))


def _ceiling(func: Any, args: Any, kwargs: Any) -> float:
    return 6.0 if func is functional.relu6 else float(args[2] if len(args) > 2 else kwargs.get("max_val", 1.0))


def require_relu(module: nn.Module, run: Callable[[], object]) -> None:
    """Raises `CamxError` if no ReLU runs on a map while `run` runs the network."""
    with ReluOverride(guided) as override:
        run()
    if override.map_count:
        return
    others = sorted({name for m in module.modules() if _ACTIVATION.search(name := type(m).__name__)})
    instead = f" (it has {', '.join(others)})" if others else ""
    raise CamxError(
        f"Guided backpropagation and deconvnet change the derivative of ReLU, and {network_name(module)} has no ReLU "
        f"on its feature maps{instead}: they would show the plain gradient. Use `methods=saliency`, smoothgrad or "
        "integrated-gradients."
    )
