"""Forwards of a network's head alone, from other activations than the image's own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...models.hooks import TargetLayer, answering, hooked
from ...models.layouts import Path, dequantised, map_tensors, quantised_like, tensors_in
from .network_state import undisturbed
from .scores import scores_of, two_sided
from .upstream import UpstreamModules, in_turn


class HeadRunner:
    """Computes scores n×K from activations n×C×h×w at a target layer, for one image 1×C×H×W.

    Only the modules behind the layer run: the stored outputs of this image replace those that finish before it. The
    constructor checks this on the image's own activations. If the scores differ (operations between modules, in place
    or across the batch), `head_only` is False and every call runs the whole network.
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
        #: Numbers per image at the start of a run: its activations, or its pixels if the whole network runs.
        self.input_numbers = own.numel() if self.head_only else picture.numel()

    def __call__(self, features: Tensor) -> Tensor:
        """Returns the scores n×K of activations n×C×h×w, without a gradient."""
        with undisturbed(self._module), torch.no_grad():
            found = self._run_head(features) if self.head_only else self._run_network(features)
            return two_sided(found, self._module)

    def _output_with(self, features: Tensor) -> Any:
        """Returns the output of the layer's module with n other activations; its other tensors are repeated n times."""
        own = dict(tensors_in(self._upstream.output))[self._layer.path]
        new = quantised_like(own, self._layer.layout.put(dequantised(own), features.to(dequantised(own).dtype)))

        def value(path: Path, tensor: Tensor) -> Tensor:
            return new if path == self._layer.path else _repeated(tensor, len(features))

        return map_tensors(self._upstream.output, value)

    def _run_head(self, features: Tensor) -> Tensor:
        count = len(features)
        stored = {
            name: [map_tensors(output, lambda _path, tensor: _repeated(tensor, count)) for output in outputs]
            for name, outputs in self._upstream.outputs.items()
        }
        # The module of the layer may run before it, too: a ReLU may serve several places.
        stored.setdefault(self._layer.name, []).append(self._output_with(features))
        modules = {name: self._module.get_submodule(name) for name in stored}
        with answering({modules[name]: in_turn(outputs, modules[name].forward) for name, outputs in stored.items()}):
            return scores_of(self._module(self._picture.expand(count, -1, -1, -1)))

    def _run_network(self, features: Tensor) -> Tensor:
        output = self._output_with(features)

        def replace_output(_name: str, call: int, _inputs: tuple[Any, ...], _output: Any) -> Any:
            return output if call == self._layer.call else None

        with hooked({self._layer.name: self._module.get_submodule(self._layer.name)}, replace_output):
            return scores_of(self._module(self._picture.repeat(len(features), 1, 1, 1)))


def _repeated(tensor: Tensor, count: int) -> Tensor:
    if not tensor.dim() or tensor.shape[0] != 1:
        return tensor
    return quantised_like(tensor, dequantised(tensor).expand(count, *tensor.shape[1:]))
