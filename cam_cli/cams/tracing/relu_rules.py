"""Other rules for the way back through a ReLU, without a change to the network.

While the context is open, every ReLU that runs (as a module or as a function) gets another derivative.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ...errors import CamxError

_RELUS = {functional.relu, functional.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}
_CLIPPED = {functional.relu6, functional.hardtanh, functional.hardtanh_}

_ACTIVATION = re.compile(r"elu|silu|swish|mish|tanh", re.IGNORECASE)

#: (gradient from above, where the ReLU is open) → gradient handed down.
Rule = Callable[[Tensor, Tensor], Tensor]


def guided(gradient: Tensor, open_here: Tensor) -> Tensor:
    """Only positive gradients, and only where the activation was positive (Springenberg et al. 2015)."""
    return gradient.clamp_min(0) * open_here


def deconvolved(gradient: Tensor, _open_here: Tensor) -> Tensor:
    """Only positive gradients, whatever the activation was (Zeiler and Fergus 2014)."""
    return gradient.clamp_min(0)


class _Ruled(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, inputs: Tensor, ceiling: float, rule: Rule) -> Tensor:
        outputs = inputs.clamp(0, ceiling)
        context.rule = rule
        context.save_for_backward((inputs > 0) & (inputs < ceiling))
        return outputs

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (open_here,) = context.saved_tensors
        return context.rule(gradients[0], open_here), None, None


class ReluRule(TorchFunctionMode):
    """The context in which every ReLU goes back by `rule`. `seen` counts those over maps of several positions."""

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule, self.seen = rule, 0

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _RELUS or (func in _CLIPPED and _lowest(func, args, kwargs) == 0):
            inputs = args[0] if args else kwargs["input"]
            self.seen += inputs.dim() > 2 and inputs[0].numel() > inputs.shape[1]
            ceiling = float("inf") if func in _RELUS else _highest(func, args, kwargs)
            return _Ruled.apply(inputs, ceiling, self.rule)
        return func(*args, **kwargs)


def _lowest(func: Any, args: Any, kwargs: Any) -> float:
    return 0.0 if func is functional.relu6 else float(args[1] if len(args) > 1 else kwargs.get("min_val", -1.0))


def _highest(func: Any, args: Any, kwargs: Any) -> float:
    return 6.0 if func is functional.relu6 else float(args[2] if len(args) > 2 else kwargs.get("max_val", 1.0))


def require_relu(module: nn.Module, run: Callable[[], object]) -> None:
    """Raise `CamxError` if no ReLU works on a map while `run` runs the network."""
    with ReluRule(guided) as rules:
        run()
    if rules.seen:
        return
    others = sorted({name for m in module.modules() if _ACTIVATION.search(name := type(m).__name__)})
    instead = f" (it has {', '.join(others)})" if others else ""
    raise CamxError(
        f"Guided backpropagation and deconvnet change the derivative of ReLU, and {type(module).__name__} has no ReLU "
        f"on its feature maps{instead}: they would show the plain gradient. Use --method saliency, smoothgrad or "
        "integrated-gradients."
    )
