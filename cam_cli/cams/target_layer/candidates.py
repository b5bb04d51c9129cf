"""Candidates for the target layer: the tensors of a forward that can be feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ...models.layouts import Layout, Path, possible_layouts, tensors_in

#: The most tokens before a grid that count as prefix tokens, unless the network states their number.
_MOST_PREFIXES = 32


@dataclass(frozen=True)
class Output:
    """One occurrence of a tensor: the module that returned it, the number of the call, and the path in its output."""

    name: str
    module: nn.Module
    call: int
    path: Path


@dataclass
class GradientCoverage:
    """The shares of a feature map, in [0, 1], on which the gradient of the score is not zero.

    positions: for a random direction in all scores. top1_positions: for the score of the best class alone. elements: of
    single values instead of positions. finite: whether all values of gradient and map are finite.
    """

    layout: Layout
    positions: float = 0.0
    top1_positions: float = 1.0
    elements: float = 0.0
    finite: bool = True


@dataclass
class Candidate:
    """A tensor inside the network that can be a feature map; several modules may return the same tensor.

    layouts: the likely ways to read it. others: less likely ones. edge: its place in the autograd graph. outputs: its
    occurrences. dominator: whether every path from the image to the score crosses it. coverage: None until it is
    measured.
    """

    shape: torch.Size
    layouts: list[Layout]
    edge: Any
    activations: Tensor
    outputs: list[Output] = field(default_factory=list)
    dominator: bool = False
    coverage: GradientCoverage | None = None
    others: list[Layout] = field(default_factory=list)

    @property
    def node(self) -> int:
        return id(self.edge.node)


class Collector:
    """Collects candidates in one forward, as `hook` of all modules; `candidates()` returns them.

    calls: by name, how often a module ran. head_input: the input of the last layer that reads one vector per image.
    single: the names of modules that returned a map with one position. shrunk: whether the image was too small for
    them.
    """

    def __init__(self, module: nn.Module, inputs: Tensor) -> None:
        self._modules = dict(module.named_modules())
        self._input_size = (inputs.shape[2], inputs.shape[3])
        self._prefixes = _known_prefixes(module)
        self._grids: set[tuple[int, int]] = set()
        self._by_edge: dict[tuple[int, int], Candidate] = {}
        self.calls: dict[str, int] = {}
        self.head_input: Tensor | None = None
        self.single: set[str] = set()
        self.shrunk = False

    def hook(self, name: str, call: int, inputs: tuple[Any, ...], output: Any) -> None:
        """Forward hook. Stores the tensors of an output that can be feature maps and have a gradient."""
        self.record_call(name, call, inputs, output)
        module = self._modules[name]
        if isinstance(module, (nn.Linear, nn.Conv2d)) and _is_pooled(inputs):
            self.head_input = inputs[0]
        for path, tensor in tensors_in(output):
            if tensor.is_floating_point() and tensor.requires_grad:
                self._add(Output(name, module, call, path), tensor)

    def record_call(self, name: str, call: int, inputs: tuple[Any, ...], output: Any) -> None:
        """Counts a call of a module and stores the grids of its outputs."""
        self.calls[name] = call + 1
        module = self._modules[name]
        for _, tensor in tensors_in(output):
            if tensor.dim() != 4:
                continue
            if isinstance(module, nn.Conv2d):
                self._grids.add((tensor.shape[2], tensor.shape[3]))
                self._grids |= self._patches(tensor.shape[0])
                # A kernel larger than its input: the network is meant for larger images.
                self.shrunk |= max(module.kernel_size) > 1 and inputs[0].shape[2:] == (1, 1)
            if tensor.shape[2:] == (1, 1):
                self.single.add(name)

    def _patches(self, count: int) -> set[tuple[int, int]]:
        """Returns the grids of patches, if a convolution gets them as `count` rows of a batch (TNT)."""
        found = possible_layouts(torch.Size((1, count, 1)), 1, self._input_size, (0,))
        return {(layout.height, layout.width) for layout in found if layout.kind == "NLC"}

    def _add(self, output: Output, tensor: Tensor) -> None:
        edge = torch.autograd.graph.get_gradient_edge(tensor)
        key = (id(edge.node), edge.output_nr)
        known = self._by_edge.get(key)
        if known is None or known.shape != tensor.shape:
            layouts = self.layouts(tensor.shape)
            if not layouts:
                return
            known = Candidate(tensor.shape, layouts, edge, tensor.detach())
            self._by_edge[key] = known
        known.outputs.append(output)

    def layouts(self, shape: torch.Size) -> list[Layout]:
        """Returns the layouts of a tensor: with known numbers of prefix tokens, then with the rest of a grid."""
        if len(shape) != 3:
            return possible_layouts(shape, 1, self._input_size, (0,))
        left_over = {
            length - height * width
            for length in shape
            for height, width in self._grids or _whole_strides(self._input_size)
            if 0 < length - height * width <= min(_MOST_PREFIXES, height * width)
        }
        known = possible_layouts(shape, 1, self._input_size, self._prefixes)
        more = possible_layouts(shape, 1, self._input_size, sorted(left_over - {*self._prefixes}))
        return [*known, *(layout for layout in more if layout.kind != "NCL")]

    def candidates(self) -> list[Candidate]:
        """Returns the tensors with a credible layout: tokens must fit a grid that is the output of a convolution."""
        found = []
        for candidate in self._by_edge.values():
            credible = self.credible(candidate.layouts)
            # If both axes fit a grid, channels last is the likely reading.
            candidate.layouts = [layout for layout in credible if layout.kind != "NCL"] or credible
            candidate.others = [layout for layout in credible if layout not in candidate.layouts]
            if candidate.layouts:
                found.append(candidate)
        return found

    def credible(self, layouts: Sequence[Layout]) -> list[Layout]:
        """Returns the layouts whose grid is that of a convolution's output; NCHW and NHWC always count."""
        return [layout for layout in layouts if self._credible(layout)]

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


def _known_prefixes(module: nn.Module) -> list[int]:
    """Returns numbers of prefix tokens: those that the network or a part of it states, then the usual ones."""
    stated = [getattr(one, "num_prefix_tokens", 0) for one in module.modules()]
    return list(dict.fromkeys([*(n for n in stated if isinstance(n, int) and n > 0), 0, 1, 2, 5]))


def _whole_strides(input_size: tuple[int, int]) -> set[tuple[int, int]]:
    """Returns the grids of whole strides on an image, for networks that cut it into patches without a convolution."""
    height, width = input_size
    sides = range(2, min(height, width) // 2 + 1)
    return {(height // s, width // s) for s in sides if height % s == 0 and width % s == 0}


def _pooled(grids: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Returns the grids, and all that result from halving or thirding their sides repeatedly."""
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
    """Whether a layer's input is one vector per image, as for the head of a classifier."""
    if not inputs or not isinstance(inputs[0], Tensor) or not inputs[0].requires_grad:
        return False
    return inputs[0].dim() == 2 or (inputs[0].dim() == 4 and inputs[0].shape[2:] == (1, 1))


def coverage_of(layout: Layout, gradient: Tensor | None, activations: Tensor) -> GradientCoverage:
    """Measures the gradient of a map, both laid out as the network has them; None is a gradient of zeros."""
    if gradient is None:
        return GradientCoverage(layout)
    g, a = layout.to_nchw(gradient).float(), layout.to_nchw(activations).float()
    return GradientCoverage(
        layout,
        positions=reached_share(layout, gradient),
        elements=float((g != 0).float().mean()),
        finite=bool(torch.isfinite(g).all() and torch.isfinite(a).all()),
    )


def reached_share(layout: Layout, gradient: Tensor | None) -> float:
    """Returns the share of positions at which a gradient is not zero."""
    if gradient is None:
        return 0.0
    magnitude = layout.to_nchw(gradient).float().abs().sum(1)
    return float((magnitude > 1e-7 * magnitude.max()).float().mean())
