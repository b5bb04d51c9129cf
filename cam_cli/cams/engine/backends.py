"""The part of a network before its target layer, compiled by torch.compile.

It is the expensive part, and no gradient passes it. Whole modules that end before the layer are compiled, so that the
hook of the cut and the head, which autograd records, stay outside. The network is not changed: compiled functions
answer for its modules while a context is open.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import CamxError
from ...models.hooks import TargetLayer, answering, hooked
from ..tracing.trace import traces
from ..tracing.upstream import UpstreamModules

#: The compiler of torch.compile.
BACKEND = "inductor"
#: Into how many pieces of code one function may be compiled: every stage of a network is a `nn.Sequential.forward`.
_MOST = 1024
#: Batches that show that the size does not matter: torch makes a dimension dynamic when it has seen a second size.
_FIRST_SIZES, _LAST_SIZE = (2, 3), 5
#: Modules that hold others and run them one after the other, or leave that to their owner.
_CONTAINERS = (nn.Sequential, nn.ModuleList)


class Compiled:
    """Compiled functions for the modules `names` of a network. Twins of a network share what was compiled for one."""

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        self.names = tuple(names)
        parts = map(module.get_submodule, self.names)
        self._answers = {part: _compiled(part.forward) for part in parts}

    def of(self, module: nn.Module) -> Compiled:
        """The same for a twin of the network."""
        return Compiled(module, self.names)

    @contextlib.contextmanager
    def __call__(self, batch: Tensor) -> Iterator[Tensor]:
        """A context in which the network runs compiled, without a gradient to its input; gives the batch to run it on.

        A picture alone runs as ever: to the compiler a size of 1 is always another network.
        """
        if len(batch) == 1:
            yield batch
            return
        # Also in a run: some sizes have code of their own, such as small convolutions from 16 pictures on.
        limits = torch._dynamo.config.patch(recompile_limit=_MOST, accumulated_recompile_limit=_MOST)
        with answering(self._answers), limits:
            # Another layout would be other code.
            yield batch.contiguous(memory_format=torch.channels_last)


def _compiled(forward: Callable[..., Any]) -> Callable[..., Any]:
    """`forward` compiled for batches of any size; nothing is compiled before the first call."""
    fast = torch.compile(forward, backend=BACKEND)

    def answer(*args: Any, **kwargs: Any) -> Any:
        for value in (*args, *kwargs.values()):
            if isinstance(value, Tensor) and value.dim():
                torch._dynamo.maybe_mark_dynamic(value, 0)
        # One gradient mode, one code: no gradient passes here.
        with torch.no_grad():
            return fast(*args, **kwargs)

    return answer


def compiled(
    module: nn.Module,
    layers: Sequence[TargetLayer],
    picture: Tensor,
    autocast: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
) -> Compiled:
    """Compile what runs before the first of `layers`, and prove on a normalised picture 1×C×H×W that it is the network.

    autocast: the context in which the network will run. Raises `CamxError` where there is nothing to compile, no
    compiler, or a module that cannot be compiled, needs other code for every size of a batch, or gives other values.
    """
    before = UpstreamModules(layers)
    with autocast(), hooked(dict(module.named_modules()), before.hook):
        expected = traces(module, picture.repeat(_LAST_SIZE, 1, 1, 1), layers)
    found = Compiled(module, parts(module, before))
    name = type(module).__name__
    if not found.names:
        raise CamxError(
            f"{name} has no blocks before {layers[0].name!r}, only single operations, which compiling does not make "
            "faster. Leave --compile out."
        )

    def run(size: int) -> Tensor:
        with autocast(), found(picture.repeat(size, 1, 1, 1)) as batch:
            return traces(module, batch, layers)[0].features

    try:
        with warnings.catch_warnings():
            # Advice for those who write networks.
            warnings.simplefilter("ignore")
            for size in _FIRST_SIZES:
                run(size)
            with torch._dynamo.config.patch(error_on_recompile=True):
                values = run(_LAST_SIZE)
    except CamxError:
        raise
    # Dynamo, the compiler of the platform and the network itself: each raises errors of its own.
    except Exception as error:
        raise CamxError(f"{name} cannot be compiled on this machine: {_reason(error)}. Leave --compile out.") from error
    reference = expected[0].features
    rough = 1e-3 if values.dtype == torch.float32 else 3e-2
    if not torch.allclose(values, reference, rtol=rough, atol=rough * float(reference.abs().max())):
        raise CamxError(f"{name} gives other values when it is compiled. Leave --compile out.")
    return found


def _reason(error: Exception) -> str:
    # The compiler's own error, in dynamo's.
    error = getattr(error, "inner_exception", error)
    said = str(error).strip() or type(error).__name__
    return said.splitlines()[0].rstrip(".:")


def parts(module: nn.Module, before: UpstreamModules) -> list[str]:
    """The names of the modules to compile, of those that end before the layer, and of the layer itself.

    The outermost ones, except that equal blocks are compiled one by one: they share their code.
    """
    names = list(before.outputs)
    if before.layer is not None and before.layer.name not in names:
        names.append(before.layer.name)
    ended = {*before.finished, *names}
    # What runs behind the layer as well has a gradient there.
    return [one for n in names if n not in before.later for one in _regions(n, module.get_submodule(n), ended)]


def _regions(name: str, module: nn.Module, ended: set[str]) -> Iterator[str]:
    if isinstance(module, nn.ModuleList) or _repeats(module):
        for child, inner in module.named_children():
            yield from _regions(f"{name}.{child}", inner, ended)
    # A module without others in it is one operation.
    elif name in ended and any(module.children()):
        yield name


def _repeats(module: nn.Module) -> bool:
    """Whether there is a row of blocks in a module of which most are equal: those print the same."""
    for container in module.modules():
        if isinstance(container, _CONTAINERS):
            blocks = [repr(block) for block in container.children() if any(block.children())]
            if len(blocks) >= 4 and len(blocks) >= 2 * len(set(blocks)):
                return True
    return False
