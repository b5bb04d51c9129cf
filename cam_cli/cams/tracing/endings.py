"""The end of a network: logits, or probabilities out of a softmax or a sigmoid, whose own input is then read."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Ending = Literal["logits", "softmax", "log-softmax", "sigmoid"]

_FUNCTIONS: dict[Any, Ending] = {
    torch.softmax: "softmax",
    Tensor.softmax: "softmax",
    functional.softmax: "softmax",
    torch.log_softmax: "log-softmax",
    Tensor.log_softmax: "log-softmax",
    functional.log_softmax: "log-softmax",
    torch.sigmoid: "sigmoid",
    Tensor.sigmoid: "sigmoid",
    functional.sigmoid: "sigmoid",
    torch.special.expit: "sigmoid",
}
_NODES: dict[str, Ending] = {
    "SoftmaxBackward0": "softmax",
    "LogSoftmaxBackward0": "log-softmax",
    "SigmoidBackward0": "sigmoid",
}
#: Nodes of the graph that change neither values nor their number.
_SHAPES = ("View", "UnsafeView", "Reshape", "Squeeze", "Unsqueeze", "Clone", "ToCopy", "Transpose", "T", "Alias")
#: How many results of such functions are kept during a forward: the last ones.
_KEPT = 4


class EndingRecorder(TorchFunctionMode):
    """While active, keeps the inputs of the last softmaxes and sigmoids."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[Tensor, Tensor, Ending]] = []

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        ending = _FUNCTIONS.get(func)
        if ending is not None and args and isinstance(result, Tensor):
            self._calls = [*self._calls[-_KEPT + 1 :], (result, args[0], ending)]
        return result

    def before(self, scores: Tensor) -> tuple[Tensor, Ending] | None:
        """Returns the input of the function that gave these scores, perhaps in another shape, and its kind."""
        for result, given, ending in reversed(self._calls):
            if result.data_ptr() == scores.data_ptr() and result.numel() == scores.numel():
                return given.reshape(scores.shape), ending
        return None


def ending_of(scores: Tensor, recorder: EndingRecorder) -> Ending:
    """Finds how scores B×K end: by the functions that ran, else by their graph, else by values that add up to 1."""
    recorded = recorder.before(scores)
    ending = recorded[1] if recorded else _ending_in_graph(scores.grad_fn)
    values = scores.detach().float()
    shares = values.exp() if ending == "log-softmax" else values
    one_each = bool(((shares.sum(1) - 1).abs() < 1e-2).all()) and float(shares.min()) >= 0
    if ending in ("softmax", "log-softmax"):
        # Over another axis than the classes it is part of the network.
        return ending if one_each else "logits"
    if ending == "logits" and scores.shape[1] > 1 and one_each and bool(((values.sum(1) - 1).abs() < 1e-4).all()):
        return "softmax"
    return ending


def as_logits(scores: Tensor, ending: Ending, recorder: EndingRecorder) -> Tensor:
    """Returns the logits behind scores B×K that end in this way: what went into the last function, or its inverse."""
    if ending == "logits":
        return scores.float()
    recorded = recorder.before(scores)
    if recorded:
        return recorded[0].float()
    found = scores.float()
    if ending == "log-softmax":
        return found
    if ending == "softmax":
        return found.clamp_min(torch.finfo(torch.float32).tiny).log()
    return torch.logit(found, eps=1e-6)


def _ending_in_graph(node: Any) -> Ending:
    while node is not None:
        name = node.name()
        if name in _NODES:
            return _NODES[name]
        if name.removesuffix("0").removesuffix("Backward") not in _SHAPES or not node.next_functions:
            return "logits"
        node = node.next_functions[0][0]
    return "logits"
