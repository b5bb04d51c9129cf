"""Forwards of a network's head alone, from activations that are not the image's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ...models.hooks import TargetLayer, answering, hooked
from ...models.layouts import dequantised, quantised_like, replaced, tensors_in
from .network_state import undisturbed
from .scores import scores_of, two_sided
from .upstream import UpstreamModules


class HeadRunner:
    """Computes scores n×K from activations n×C×h×w at a target layer, for one image 1×C×H×W.

    Only what lies behind the layer runs: each module that finished before it answers with its output for this image.
    The constructor proves this on the image's own activations. Where the scores differ (work between modules, in
    place or across the batch), `head_only` is False and every call runs the whole network.
    """

    def __init__(self, module: nn.Module, layer: TargetLayer, picture: Tensor) -> None:
        self._module, self._layer, self._picture = module, layer, picture
        self._upstream = UpstreamModules([layer])
        with undisturbed(module), torch.no_grad(), hooked(dict(module.named_modules()), self._upstream.hook):
            expected = scores_of(module(picture))
        own = dequantised(layer.layout.to_nchw(dict(tensors_in(self._upstream.output))[layer.path]))
        self.head_only = True
        try:
            with undisturbed(module), torch.no_grad():
                found = self._run_head(own.expand(2, -1, -1, -1))
            tolerance = 1e-3 if expected.dtype == torch.float32 else 3e-2
            limit = tolerance * float(expected.abs().max())
            self.head_only = torch.allclose(found, expected.expand(2, -1), rtol=tolerance, atol=limit)
        except (RuntimeError, IndexError, TypeError):
            self.head_only = False
        #: Numbers that one image brings to where a run begins: its activations, or its pixels.
        self.input_numbers = own.numel() if self.head_only else picture.numel()

    def __call__(self, features: Tensor) -> Tensor:
        """Returns the scores n×K of activations n×C×h×w, without a gradient."""
        with undisturbed(self._module), torch.no_grad():
            found = self._run_head(features) if self.head_only else self._run_network(features)
            return two_sided(found, self._module)

    def _output_with(self, features: Tensor) -> Any:
        """The output of the layer's module with other activations in it, all its other tensors repeated n times."""
        own = dict(tensors_in(self._upstream.output))[self._layer.path]
        new = quantised_like(own, self._layer.layout.put(dequantised(own), features.to(dequantised(own).dtype)))
        output = self._upstream.output
        for path, tensor in tensors_in(output):
            output = replaced(output, path, new if path == self._layer.path else _repeated(tensor, len(features)))
        return output

    def _run_head(self, features: Tensor) -> Tensor:
        count = len(features)
        given = {
            name: [_repeated_output(output, count) for output in outputs]
            for name, outputs in self._upstream.outputs.items()
        }
        # The module of the layer may have run before, as a ReLU that serves several places does.
        given.setdefault(self._layer.name, []).append(self._output_with(features))
        modules = {name: self._module.get_submodule(name) for name in given}
        with answering({modules[name]: _one_by_one(outputs, modules[name].forward) for name, outputs in given.items()}):
            return scores_of(self._module(self._picture.expand(count, -1, -1, -1)))

    def _run_network(self, features: Tensor) -> Tensor:
        output = self._output_with(features)

        def replace_output(_name: str, call: int, _inputs: tuple[Any, ...], _output: Any) -> Any:
            return output if call == self._layer.call else None

        with hooked({self._layer.name: self._module.get_submodule(self._layer.name)}, replace_output):
            return scores_of(self._module(self._picture.repeat(len(features), 1, 1, 1)))


def _repeated_output(output: Any, count: int) -> Any:
    """A module's output for one image, as it would be for `count` equal ones."""
    for path, tensor in tensors_in(output):
        output = replaced(output, path, _repeated(tensor, count))
    return output


def _repeated(tensor: Tensor, count: int) -> Tensor:
    if not tensor.dim() or tensor.shape[0] != 1:
        return tensor
    return quantised_like(tensor, dequantised(tensor).expand(count, *tensor.shape[1:]))


def _one_by_one(outputs: list[Any], forward: Callable[..., Any]) -> Callable[..., Any]:
    """A function that returns the outputs one after the other, one per call, and then what `forward` does."""
    remaining: Iterator[Any] = iter(outputs)

    def answer(*args: Any, **kwargs: Any) -> Any:
        output = next(remaining, None)
        return forward(*args, **kwargs) if output is None else output

    return answer
