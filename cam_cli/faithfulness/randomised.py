"""Builds networks with weights permuted from the head downwards (Adebayo et al. 2018), for sanity checks of maps."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..models.hooks import hooked
from ..models.network import Network

#: Shares of the modules to permute, after a stage with the head alone.
SHARES = (0.25, 0.5, 0.75, 1.0)
#: Names of the stages, in their order.
STAGES = ("head", *(f"{share:.0%}" for share in SHARES))


def weighted_modules(module: nn.Module, forward: Callable[[], object]) -> list[str]:
    """Names of the modules with own weights, in reverse order of their run in `forward`: the head is first.

    Modules that hold others (position embeddings of a transformer) and modules that do not run are last.
    """
    own = {name: one for name, one in module.named_modules() if any(True for _ in one.parameters(recurse=False))}
    leaves = {name: one for name, one in own.items() if not any(True for _ in one.children())}
    last: dict[str, int] = {}
    count = 0

    def record_run(name: str, _call: int, _inputs: tuple[Any, ...], _output: Any) -> None:
        nonlocal count
        last[name] = count = count + 1

    with torch.no_grad(), hooked(leaves, record_run):
        forward()
    ran = sorted(last, key=last.__getitem__, reverse=True)
    return [*ran, *(name for name in own if name not in last)]


def randomised_networks(network: Network, forward: Callable[[], object], seed: int) -> list[Network]:
    """Copies of the network, one for each stage of `STAGES`. forward: runs the network once on any image.

    Permutes the values of each tensor, so that scale and spread stay the same. Later stages include earlier ones.
    """
    names = weighted_modules(network.module, forward)
    ends = [1, *(max(1, round(share * len(names))) for share in SHARES)]
    generator = torch.Generator().manual_seed(seed)
    networks, module, done = [], network.module, 0
    for end in ends:
        module = copy.deepcopy(module)
        _permute([module.get_submodule(name) for name in names[done:end]], generator)
        done = max(done, end)
        networks.append(replace(network, module=module))
    return networks


@torch.no_grad()
def _permute(modules: Sequence[nn.Module], generator: torch.Generator) -> None:
    """Permutes the tensors of each module. Tensors of equal length move together, as the statistics of a channel
    must."""
    for module in modules:
        orders: dict[int, Tensor] = {}
        tensors = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        for tensor in tensors:
            if not tensor.is_floating_point() or tensor.numel() < 2:
                continue
            if tensor.numel() not in orders:
                orders[tensor.numel()] = torch.randperm(tensor.numel(), generator=generator).to(tensor.device)
            tensor.copy_(tensor.flatten()[orders[tensor.numel()]].view_as(tensor))
