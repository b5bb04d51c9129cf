"""One forward of a probe picture through a network, with every output that could be a feature map."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import CamxError
from ...models.hooks import hooked
from ..tracing.autograd_graph import Dominators, dominators
from ..tracing.network_state import undisturbed
from ..tracing.scores import scores_of
from .candidates import Candidate, Collector, coverage_of, reached_share


@dataclass
class Probe:
    """The results of a probe.

    candidates: in order of execution. scores: 1×K. score: one number that depends on all scores. graph: its autograd
    graph. calls, single, shrunk: as in `Collector`. indirect: the head is zero, so that `score` is a random direction
    in the head's input instead of the scores.
    """

    candidates: list[Candidate]
    graph: Dominators
    score: Tensor
    scores: Tensor
    calls: dict[str, int]
    indirect: bool
    single: frozenset[str]
    shrunk: bool

    def measure(self, candidates: Iterable[Candidate]) -> None:
        """Sets the `coverage` of candidates that have none yet, by one backward for all of them."""
        missing = [c for c in candidates if c.coverage is None]
        if not missing:
            return
        edges = [c.edge for c in missing]
        gradients = torch.autograd.grad(self.score, edges, allow_unused=True, retain_graph=True)
        of_best_class: Sequence[Tensor | None] = gradients
        if not self.indirect:
            of_best_class = torch.autograd.grad(self.scores[0].max(), edges, allow_unused=True, retain_graph=True)
        for candidate, gradient, best in zip(missing, gradients, of_best_class):
            measured = [coverage_of(layout, gradient, candidate.activations) for layout in candidate.layouts]
            coverage = max(measured, key=lambda c: (c.positions >= 0.95, -candidate.layouts.index(c.layout)))
            coverage.top1_positions = reached_share(coverage.layout, best)
            candidate.coverage = coverage

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
    """Runs a network on one normalised picture 1×C×H×W and collects the candidates for its target layer."""
    modules = {name: m for name, m in module.named_modules() if name}
    with undisturbed(module):
        inputs = picture.detach().clone().requires_grad_()
        collector = Collector(module, inputs)
        with hooked(modules, collector.hook):
            # A copy of the leaf: the network may change its input in place.
            scores = scores_of(_forward(module, inputs.clone()))
        score, indirect = _live_score(scores, collector.head_input)
        graph = dominators(score.grad_fn, torch.autograd.graph.get_gradient_edge(inputs).node)
    on_path = set(map(id, graph.order))
    candidates = [c for c in collector.candidates() if c.node in on_path]
    for candidate in candidates:
        candidate.dominator = candidate.node in graph.crossed
    single, shrunk = frozenset(collector.single), collector.shrunk
    return Probe(candidates, graph, score, scores, collector.calls, indirect, single, shrunk)


def _forward(module: nn.Module, inputs: Tensor) -> Any:
    """The network's output, with normalisation weights that are all zero replaced by ones.

    Residual branches start that way before training; such zeros would hide the layers before them.
    """
    ones = {
        name: torch.ones_like(parameter)
        for name, parameter in module.named_parameters()
        if parameter.dim() == 1 and name.endswith(("weight", "gamma")) and not parameter.any()
    }
    try:
        return torch.func.functional_call(module, ones, (inputs,)) if ones else module(inputs)
    except (RuntimeError, AssertionError, ValueError, IndexError) as error:
        if "allocate memory" in str(error) or isinstance(error, torch.OutOfMemoryError):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise CamxError(
            f"{type(module).__name__} does not run on {inputs.shape[2]}×{inputs.shape[3]} pixels: {reason}. "
            "Leave `image_size` out, or check `model_arg`."
        ) from error


def probe_picture(channels: int, input_size: tuple[int, int]) -> Tensor:
    """Returns a synthetic picture 1×C×H×W with structure at all scales and about unit variance, equal at every call.

    The choice of the layer must not depend on the user's images, or a run could not be continued.
    """
    generator = torch.Generator().manual_seed(0)
    picture = torch.zeros(1, channels, *input_size)
    for size in (2, 4, 8, 16, 32, 64):
        noise = torch.randn(1, channels, size, size, generator=generator)
        picture += nn.functional.interpolate(noise, size=input_size, mode="bicubic", align_corners=False)
    return picture / picture.std()


def _live_score(scores: Tensor, head_input: Tensor | None) -> tuple[Tensor, bool]:
    """A random direction in the scores, which depends on all that any score depends on; and whether it is indirect.

    One class alone would not do: behind a ReLU its gradient is dead wherever its own evidence is negative. A head that
    is zero lets no gradient through; the direction is then one in the head's input.
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
