"""The tensors that go by in a forward, sorted out: which of them can be read as a feature map, and how alive it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ...models.layouts import Layout, Path, possible_layouts, tensors_in


@dataclass(frozen=True)
class Output:
    """One appearance of a tensor: which module gave it, in which of its calls, and where in its output."""

    name: str
    module: nn.Module
    call: int
    path: Path


@dataclass
class GradientCoverage:
    """Where the gradient of the score lives on a feature map, as shares in [0, 1]; `finite` of gradient and map.

    `positions` that a direction in all scores reaches, and `top1_positions` that the best class alone does.
    """

    layout: Layout
    positions: float = 0.0
    top1_positions: float = 1.0
    elements: float = 0.0
    variation: float = 0.0
    finite: bool = True


@dataclass
class Candidate:
    """A tensor inside the network that can be read as a feature map; several modules may return the same one."""

    shape: torch.Size
    layouts: list[Layout]
    edge: Any
    activations: Tensor
    outputs: list[Output] = field(default_factory=list)
    dominator: bool = False
    energy: GradientCoverage | None = None

    @property
    def node(self) -> int:
        return id(self.edge.node)


class Collector:
    """The hook of the probe. `candidates()` when the forward is over; `head_input` is what the last layer read."""

    def __init__(self, module: nn.Module, inputs: Tensor) -> None:
        self._modules = dict(module.named_modules())
        self._input_size = (inputs.shape[2], inputs.shape[3])
        self._prefixes = list(dict.fromkeys([int(getattr(module, "num_prefix_tokens", 0) or 0), 0, 1, 2, 5]))
        self._grids: set[tuple[int, int]] = set()
        self._by_edge: dict[tuple[int, int], Candidate] = {}
        self.calls: dict[str, int] = {}
        self.head_input: Tensor | None = None
        self.single: set[str] = set()
        self.shrunk = False

    def seen(self, name: str, call: int, inputs: tuple[Any, ...], output: Any) -> None:
        self.calls[name] = call + 1
        module = self._modules[name]
        if isinstance(module, (nn.Linear, nn.Conv2d)) and _is_pooled(inputs):
            self.head_input = inputs[0]
        for path, tensor in tensors_in(output):
            if not tensor.is_floating_point() or not tensor.requires_grad:
                continue
            if isinstance(module, nn.Conv2d) and tensor.dim() == 4:
                self._grids.add((tensor.shape[2], tensor.shape[3]))
                self._grids |= self._patches(tensor.shape[0])
                # A window larger than all there is to see: meant for a larger picture.
                self.shrunk |= max(module.kernel_size) > 1 and inputs[0].shape[2:] == (1, 1)
            if tensor.dim() == 4 and tensor.shape[2:] == (1, 1):
                self.single.add(name)
            self._add(Output(name, module, call, path), tensor)

    def _patches(self, count: int) -> set[tuple[int, int]]:
        """The grid of patches where a convolution sees the picture cut up, one patch per row of the batch (TNT)."""
        found = possible_layouts(torch.Size((1, count, 1)), 1, self._input_size, (0,))
        return {(layout.height, layout.width) for layout in found if layout.kind == "NLC"}

    def _add(self, output: Output, tensor: Tensor) -> None:
        edge = torch.autograd.graph.get_gradient_edge(tensor)
        key = (id(edge.node), edge.output_nr)
        known = self._by_edge.get(key)
        if known is None or known.shape != tensor.shape:
            layouts = possible_layouts(tensor.shape, 1, self._input_size, self._prefixes)
            if not layouts:
                return
            known = Candidate(tensor.shape, layouts, edge, tensor.detach())
            self._by_edge[key] = known
        known.outputs.append(output)

    def candidates(self) -> list[Candidate]:
        """Those whose layout is credible: token sequences must fit a grid that a convolution has shown."""
        found = []
        for candidate in self._by_edge.values():
            credible = [layout for layout in candidate.layouts if self._credible(layout)]
            # As many channels as tokens fit the grid: channels last is the rule, channels first the exception.
            candidate.layouts = [layout for layout in credible if layout.kind != "NCL"] or credible
            if candidate.layouts:
                found.append(candidate)
        return found

    def _credible(self, layout: Layout) -> bool:
        grid = (layout.height, layout.width)
        if layout.kind in ("NCHW", "NHWC"):
            return True
        if not self._grids:  # linear patch embedding: one whole stride on both axes
            height, width = self._input_size
            return (
                layout.kind != "NCL"
                and height % grid[0] == 0
                and width % grid[1] == 0
                and height // grid[0] == width // grid[1]
            )
        return grid in (self._grids if layout.kind == "NCL" else _pooled(self._grids))


def _pooled(grids: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """The grids and what halving or thirding them, again and again, makes of them."""
    found, todo = set(grids), list(grids)
    while todo:
        height, width = todo.pop()
        for smaller in (
            (-(-height // 2), -(-width // 2)),
            (height // 2, width // 2),
            (-(-height // 3), -(-width // 3)),
        ):
            if min(smaller) > 1 and smaller not in found:
                found.add(smaller)
                todo.append(smaller)
    return found


def _is_pooled(inputs: tuple[Any, ...]) -> bool:
    """Whether a layer's input is one vector per image: what the head of a classifier reads."""
    if not inputs or not isinstance(inputs[0], Tensor) or not inputs[0].requires_grad:
        return False
    return inputs[0].dim() == 2 or (inputs[0].dim() == 4 and inputs[0].shape[2:] == (1, 1))


def energy_of(layout: Layout, gradient: Tensor | None, activations: Tensor) -> GradientCoverage:
    if gradient is None:
        return GradientCoverage(layout)
    g, a = layout.to_nchw(gradient).float(), layout.to_nchw(activations).float()
    return GradientCoverage(
        layout,
        positions=reached(layout, gradient),
        elements=float((g != 0).float().mean()),
        variation=float((a - a.mean((2, 3), keepdim=True)).norm() / a.norm().clamp_min(1e-30)),
        finite=bool(torch.isfinite(g).all() and torch.isfinite(a).all()),
    )


def reached(layout: Layout, gradient: Tensor | None) -> float:
    """The share of positions at which a gradient is not zero."""
    if gradient is None:
        return 0.0
    magnitude = layout.to_nchw(gradient).float().abs().sum(1)
    return float((magnitude > 1e-7 * magnitude.max()).float().mean())
