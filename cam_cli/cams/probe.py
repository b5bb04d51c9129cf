"""One forward of one picture through a network, with every output that looks like a feature map kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CamxError
from ..models.layouts import Layout, Path, possible_layouts, tensors_in
from .cut import hooked, scores_of, undisturbed
from .graph import Dominators, dominators


@dataclass(frozen=True)
class Output:
    """One appearance of a tensor: which module gave it, in which of its calls, and where in its output."""

    name: str
    module: nn.Module
    call: int
    path: Path


@dataclass
class Energy:
    """Where the gradient of the score lives on a feature map, as shares in [0, 1]; `finite` of gradient and map."""

    layout: Layout
    positions: float = 0.0
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
    energy: Energy | None = None

    @property
    def node(self) -> int:
        return id(self.edge.node)


@dataclass
class Probe:
    """What the forward showed: candidates in order of execution, the class `scores` 1×K, one `score` that depends on
    all of them, and its graph.

    `calls[name]` counts the runs of a module. `indirect` says that the score stands for a head that is zero,
    so that a random direction of its input was taken.
    """

    candidates: list[Candidate]
    graph: Dominators
    score: Tensor
    scores: Tensor
    calls: dict[str, int]
    indirect: bool

    def measure(self, candidates: Iterable[Candidate]) -> None:
        """Fill in the `energy` of candidates that have none yet, by one backward for all of them."""
        missing = [c for c in candidates if c.energy is None]
        if not missing:
            return
        gradients = torch.autograd.grad(self.score, [c.edge for c in missing], allow_unused=True, retain_graph=True)
        for candidate, gradient in zip(missing, gradients):
            energies = [_energy(layout, gradient, candidate.activations) for layout in candidate.layouts]
            candidate.energy = max(energies, key=lambda e: (e.positions >= 0.95, -candidate.layouts.index(e.layout)))

    def is_class_map(self, candidate: Candidate) -> bool:
        """Whether a map holds the scores themselves, one channel per class, before they are pooled."""
        layout = candidate.layouts[0]
        if layout.channels != self.scores.shape[1]:
            return False
        best = int(self.scores.argmax())
        (gradient,) = torch.autograd.grad(self.scores[0, best], candidate.edge, allow_unused=True, retain_graph=True)
        return gradient is not None and layout.to_nchw(gradient)[0].flatten(1).any(1).nonzero().flatten().tolist() in (
            [],
            [best],
        )


def probe(module: nn.Module, picture: Tensor) -> Probe:
    """Run one normalised picture 1×C×H×W through the network and collect what could be its target layer."""
    modules = {name: m for name, m in module.named_modules() if name}
    with undisturbed(module):
        inputs = picture.detach().clone().requires_grad_()
        collector = _Collector(module, inputs)
        with hooked(modules, collector.seen):
            # A copy of the leaf: the network may change its input in place.
            scores = scores_of(_forward(module, inputs.clone()))
        score, indirect = _live_score(scores, collector.head_input)
        graph = dominators(score.grad_fn, torch.autograd.graph.get_gradient_edge(inputs).node)
    on_path = set(map(id, graph.order))
    candidates = [c for c in collector.candidates() if c.node in on_path]
    for candidate in candidates:
        candidate.dominator = candidate.node in graph.crossed
    return Probe(candidates, graph, score, scores, collector.calls, indirect)


def _forward(module: nn.Module, inputs: Tensor) -> Any:
    """The network's output; normalisations that start at zero (residual branches before training) count as one.

    Such a zero is a matter of initialisation, and would hide what a layer could do.
    """
    revived = {
        name: torch.ones_like(parameter)
        for name, parameter in module.named_parameters()
        if parameter.dim() == 1 and name.endswith(("weight", "gamma")) and not parameter.any()
    }
    try:
        return torch.func.functional_call(module, revived, (inputs,)) if revived else module(inputs)
    except (RuntimeError, AssertionError, ValueError, IndexError) as error:
        if "allocate memory" in str(error) or isinstance(error, torch.OutOfMemoryError):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise CamxError(
            f"{type(module).__name__} does not run on {inputs.shape[2]}×{inputs.shape[3]} pixels: {reason}. "
            "Leave --image-size out, or check --model-arg."
        ) from error


def probe_picture(channels: int, input_size: tuple[int, int]) -> Tensor:
    """A picture 1×C×H×W with structure at all scales, mean 0 and about unit variance; the same at every call.

    The choice of the layer must not depend on the user's images, or a run could not be continued.
    """
    generator = torch.Generator().manual_seed(0)
    picture = torch.zeros(1, channels, *input_size)
    for size in (2, 4, 8, 16, 32, 64):
        noise = torch.randn(1, channels, size, size, generator=generator)
        picture += nn.functional.interpolate(noise, size=input_size, mode="bicubic", align_corners=False)
    return picture / picture.std()


class _Collector:
    """The hook of the probe: sorts the tensors that go by."""

    def __init__(self, module: nn.Module, inputs: Tensor) -> None:
        self._modules = dict(module.named_modules())
        self._input_size = (inputs.shape[2], inputs.shape[3])
        self._prefixes = list(dict.fromkeys([int(getattr(module, "num_prefix_tokens", 0) or 0), 0, 1, 2, 5]))
        self._grids: set[tuple[int, int]] = set()
        self._by_edge: dict[tuple[int, int], Candidate] = {}
        self.calls: dict[str, int] = {}
        self.head_input: Tensor | None = None

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
            self._add(Output(name, module, call, path), tensor)

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


def _live_score(scores: Tensor, head_input: Tensor | None) -> tuple[Tensor, bool]:
    """A number that depends on whatever any class score depends on: a random direction in the scores.

    One class alone would not do: behind a ReLU its gradient is dead wherever its own evidence is negative.
    A head that is zero lets no gradient through; then it is a random direction in the head's input.
    """
    score = _random_direction(scores)
    if head_input is not None:
        (gradient,) = torch.autograd.grad(score, head_input, allow_unused=True, retain_graph=True)
        if gradient is not None and not gradient.any():
            return _random_direction(head_input), True
    return score, False


def _random_direction(tensor: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return (tensor * torch.randn(tensor.shape, generator=generator).to(tensor)).sum()


def _energy(layout: Layout, gradient: Tensor | None, activations: Tensor) -> Energy:
    if gradient is None:
        return Energy(layout)
    g, a = layout.to_nchw(gradient).float(), layout.to_nchw(activations).float()
    magnitude = g.abs().sum(1)
    peak = float(magnitude.max())
    return Energy(
        layout,
        positions=float((magnitude > 1e-7 * peak).float().mean()) if peak > 0 else 0.0,
        elements=float((g != 0).float().mean()),
        variation=float((a - a.mean((2, 3), keepdim=True)).norm() / a.norm().clamp_min(1e-30)),
        finite=bool(torch.isfinite(g).all() and torch.isfinite(a).all()),
    )
