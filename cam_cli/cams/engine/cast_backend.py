"""A backend for half precision on a CPU: the weights before the target layer are cast once, not in every forward."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from ...models.hooks import TargetLayer, hooked
from ..tracing.network_state import undisturbed
from ..tracing.upstream import UpstreamModules

#: Modules whose weights autocast would cast in every forward.
_CAST = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)


class CastBackend:
    """While its context is open, modules of a network use cast weights, by their names. Replicas share them."""

    def __init__(self, module: nn.Module, weights: dict[str, dict[str, nn.Parameter]]) -> None:
        self._module, self._weights = module, weights

    def replica(self, module: nn.Module) -> CastBackend:
        return CastBackend(module, self._weights)

    @contextlib.contextmanager
    def __call__(self, batch: Tensor) -> Iterator[Tensor]:
        """Opens a context in which the network runs with the cast weights; yields the batch unchanged."""
        before = {name: dict(self._module.get_submodule(name)._parameters) for name in self._weights}
        try:
            for name, own in self._weights.items():
                self._module.get_submodule(name)._parameters.update(own)
            yield batch
        finally:
            for name, parameters in before.items():
                self._module.get_submodule(name)._parameters.update(parameters)


def cast_upstream(module: nn.Module, layers: Sequence[TargetLayer], picture: Tensor, dtype: torch.dtype) -> CastBackend:
    """Casts weights that are only used before the first of `layers`, as autocast would in every forward: equal values.

    picture: a normalised image 1×C×H×W. A module that also runs behind the layer keeps its weights, since gradients
    pass there.
    """
    upstream = UpstreamModules(layers)
    with undisturbed(module), torch.no_grad(), hooked(dict(module.named_modules()), upstream.hook):
        module(picture)
    names = (upstream.finished | {layer.name for layer in [upstream.layer] if layer}) - upstream.later
    weights = {
        name: {
            key: nn.Parameter(one.detach().to(dtype), requires_grad=False)
            for key, one in module.get_submodule(name)._parameters.items()
            if one is not None
        }
        for name in sorted(names)
        if type(module.get_submodule(name)) in _CAST
    }
    return CastBackend(module, weights)
