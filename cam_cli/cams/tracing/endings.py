"""Detects whether a network ends in a softmax, log-softmax or sigmoid, and returns the logits in front of it."""

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
#: A recorder keeps the last calls of such functions, at most so many.
_KEPT = 4


class EndingRecorder(TorchFunctionMode):
    """While active, keeps the inputs and results of the last softmaxes and sigmoids."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[Tensor, Tensor, Ending]] = []

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        ending = _FUNCTIONS.get(func)
        if ending is not None and args and isinstance(result, Tensor):
            self._calls = [*self._calls[-_KEPT + 1 :], (result, args[0], ending)]
        return result

    def input_behind(self, scores: Tensor) -> tuple[Tensor, Ending] | None:
        """Returns the input, in the scores' shape, of the call that gave these scores, and its kind; else None."""
        for result, inputs, ending in reversed(self._calls):
            if result.data_ptr() == scores.data_ptr() and result.numel() == scores.numel():
                return inputs.reshape(scores.shape), ending
        return None


def ending_of(scores: Tensor, recorder: EndingRecorder) -> Ending:
    """Returns the last function of a network with scores B×K or B×K×H×W.

    The recorded calls decide, else the autograd graph, else the values: scores in [0, 1] that add up to 1 over the
    classes are those of a softmax. A softmax over another axis than the classes is a part of the network, not its
    ending.
    """
    recorded = recorder.input_behind(scores)
    ending = recorded[1] if recorded else _ending_in_graph(scores.grad_fn)
    values = scores.detach().float()
    shares = values.exp() if ending == "log-softmax" else values
    one_each = bool(((shares.sum(1) - 1).abs() < 1e-2).all()) and float(shares.min()) >= 0
    if ending in ("softmax", "log-softmax"):
        return ending if one_each else "logits"
    if ending == "logits" and scores.shape[1] > 1 and one_each and bool(((values.sum(1) - 1).abs() < 1e-4).all()):
        return "softmax"
    return ending


def as_logits(scores: Tensor, ending: Ending, recorder: EndingRecorder) -> Tensor:
    """Returns the logits (float32) of scores that end in this way: the input of the last function, else its inverse.

    Log-softmax scores are logits already. Probabilities are limited to float32's smallest normal number (softmax) or to
    [1e-6, 1 − 1e-6] (sigmoid).
    """
    if ending == "logits":
        return scores.float()
    recorded = recorder.input_behind(scores)
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
