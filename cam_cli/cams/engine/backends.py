"""Backends: run the part of a network before its target layer, eagerly or compiled by torch.compile.

That part takes most of the time, and no gradient passes it. The compiled backend compiles whole modules that finish
before the layer, so the hook of a trace and the head, which autograd records, stay outside. The network is unchanged:
compiled functions replace the forwards of its modules while a context is open.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ...errors import CamxError
from ...models.hooks import TargetLayer, answering, hooked
from ..tracing.scores import network_name
from ..tracing.trace import traces
from ..tracing.upstream import UpstreamModules

#: The compiler of torch.compile.
BACKEND = "inductor"
#: The most compiled versions of one function: every stage of a network is a `nn.Sequential.forward`.
_MOST_CODE = 1024
#: Batch sizes that show torch that the size varies: it makes a dimension dynamic when it meets a second size.
_FIRST_SIZES, _LAST_SIZE = (2, 3), 5
#: Modules that hold others and run them in order, or whose owner runs them.
_CONTAINERS = (nn.Sequential, nn.ModuleList)


class Backend(Protocol):
    """Runs the part of a network before its target layer; there are no gradients in it."""

    def __call__(self, batch: Tensor) -> AbstractContextManager[Tensor]:
        """Opens the context of one forward of a batch B×C×H×W; yields the batch, perhaps in another memory layout."""

    def replica(self, module: nn.Module) -> Backend:
        """Returns a backend for a replica of the network."""


class EagerBackend:
    """Runs the network as it is."""

    def __call__(self, batch: Tensor) -> AbstractContextManager[Tensor]:
        return contextlib.nullcontext(batch)

    def replica(self, module: nn.Module) -> EagerBackend:
        return self


class CompiledBackend:
    """Runs compiled functions in place of the modules `names` of a network. Replicas share the compiled code."""

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._answers = {one: _compiled(one.forward) for one in map(module.get_submodule, self.names)}

    def replica(self, module: nn.Module) -> CompiledBackend:
        return CompiledBackend(module, self.names)

    @contextlib.contextmanager
    def __call__(self, batch: Tensor) -> Iterator[Tensor]:
        """Opens a context in which the network runs compiled; yields the batch with channels last.

        A batch of 1 runs uncompiled: torch.compile specialises on size 1.
        """
        if len(batch) == 1:
            yield batch
            return
        # In every forward: some batch sizes have code of their own, such as small convolutions from 16 images on.
        limits = torch._dynamo.config.patch(recompile_limit=_MOST_CODE, accumulated_recompile_limit=_MOST_CODE)
        with answering(self._answers), limits:
            # Another memory layout would be compiled separately.
            yield batch.contiguous(memory_format=torch.channels_last)


def _compiled(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Returns `forward` compiled for batches of any size; the first call compiles it."""
    compiled_forward = torch.compile(forward, backend=BACKEND)

    def answer(*args: Any, **kwargs: Any) -> Any:
        for value in (*args, *kwargs.values()):
            if isinstance(value, Tensor) and value.dim():
                torch._dynamo.maybe_mark_dynamic(value, 0)
        # Another gradient mode would be compiled separately; there are no gradients here.
        with torch.no_grad():
            return compiled_forward(*args, **kwargs)

    return answer


def compile_upstream(
    module: nn.Module,
    layers: Sequence[TargetLayer],
    picture: Tensor,
    autocast: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
) -> CompiledBackend:
    """Compiles the part before the first of `layers`, and checks its values on a normalised image 1×C×H×W.

    autocast: the context in which the network will run. Raises `CamxError` if there is nothing to compile, no compiler,
    or a module that cannot be compiled, needs other code for every batch size, or gives other values.
    """
    upstream = UpstreamModules(layers)
    with autocast(), hooked(dict(module.named_modules()), upstream.hook):
        expected = traces(module, picture.repeat(_LAST_SIZE, 1, 1, 1), layers)[0].features
    backend = CompiledBackend(module, compiled_modules(module, upstream))
    name = network_name(module)
    if not backend.names:
        raise CamxError(
            f"{name} has no blocks before {layers[0].name!r}, only single operations, which compiling does not make "
            "faster. Leave `backend=compile` out."
        )

    def run(size: int) -> Tensor:
        with autocast(), backend(picture.repeat(size, 1, 1, 1)) as batch:
            return traces(module, batch, layers)[0].features

    try:
        with warnings.catch_warnings():
            # Advice to authors of networks.
            warnings.simplefilter("ignore")
            for size in _FIRST_SIZES:
                run(size)
            with torch._dynamo.config.patch(error_on_recompile=True):
                features = run(_LAST_SIZE)
    except CamxError:
        raise
    # Dynamo, the compiler of the platform and the network itself: each raises errors of its own.
    except Exception as error:
        raise CamxError(
            f"{name} cannot be compiled on this machine: {_reason(error)}. Leave `backend=compile` out."
        ) from error
    tolerance = 1e-3 if features.dtype == torch.float32 else 3e-2
    if not torch.allclose(features, expected, rtol=tolerance, atol=tolerance * float(expected.abs().max())):
        raise CamxError(f"{name} gives other values when it is compiled. Leave `backend=compile` out.")
    return backend


def _reason(error: Exception) -> str:
    # Dynamo wraps the error of the compiler.
    error = getattr(error, "inner_exception", error)
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".:")


def compiled_modules(module: nn.Module, upstream: UpstreamModules) -> list[str]:
    """Chooses the modules to compile, by name, among those that finish before the layer and the layer's own.

    They are the outermost ones, but equal blocks are compiled one by one, because they share their code.
    """
    names = list(upstream.outputs)
    if upstream.layer is not None and upstream.layer.name not in names:
        names.append(upstream.layer.name)
    finished = {*upstream.finished, *names}
    # A module that also runs behind the layer has a gradient there.
    first = [name for name in names if name not in upstream.later]
    return [region for name in first for region in _regions(name, module.get_submodule(name), finished)]


def _regions(name: str, module: nn.Module, finished: set[str]) -> Iterator[str]:
    """Yields the names of the modules within a module that are compiled as one piece each."""
    if isinstance(module, nn.ModuleList) or _has_equal_blocks(module):
        for child_name, child in module.named_children():
            yield from _regions(f"{name}.{child_name}", child, finished)
    # A module without others in it is one operation.
    elif name in finished and any(module.children()):
        yield name


def _has_equal_blocks(module: nn.Module) -> bool:
    """Whether a module holds a sequence of four or more blocks, most of which have equal text."""
    for container in module.modules():
        if isinstance(container, _CONTAINERS):
            blocks = [repr(block) for block in container.children() if any(block.children())]
            if len(blocks) >= 4 and len(blocks) >= 2 * len(set(blocks)):
                return True
    return False
