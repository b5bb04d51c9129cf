"""One forward of a probe image through a network, with every output that could be a feature map."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import CamxError
from ...models.hooks import hooked
from ...models.tasks import SEGMENTATION
from ..tracing.autograd_graph import Dominators, dominators, reachable
from ..tracing.first_forward import running
from ..tracing.network_state import undisturbed
from ..tracing.scored_network import task_of
from ..tracing.scores import network_name, scores_of
from .candidates import Candidate, Collector, coverage_of, reached_share

#: Operations that change a map position by position, or only its shape.
_LIGHT = re.compile(
    r"(Relu|Hardtanh|LeakyRelu|Silu|Gelu|Sigmoid|Clone|View|UnsafeView|Reshape|Permute|Transpose|T|ToCopy|Unsqueeze"
    r"|Squeeze)Backward\d+$"
)


@dataclass
class Probe:
    """The results of a probe.

    candidates: in order of execution. scores: 1×K. score: one number that depends on all scores. graph: its autograd
    graph. calls, single, shrunk: as in `Collector`. indirect: the head is zero, so `score` is a random direction in its
    input instead of the scores. pixels: the network is a segmentation.
    """

    candidates: list[Candidate]
    graph: Dominators
    score: Tensor
    scores: Tensor
    calls: dict[str, int]
    indirect: bool
    single: frozenset[str]
    shrunk: bool
    pixels: bool = False

    def measure(self, candidates: Iterable[Candidate]) -> None:
        """Sets the `coverage` of candidates that have none, by one backward for all, and one of the best class."""
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
        """Whether a map holds the scores themselves, one channel per class, before they are pooled.

        A 1×1 convolution or a linear layer has then computed them. The last map of a network without a head has a
        channel per score too, but comes from a wider convolution, a normalisation or a sum. In a segmentation, every
        such map holds the scores.
        """
        layout = candidate.layouts[0]
        if layout.channels != self.scores.shape[1] or not (self.pixels or self._is_pointwise(candidate)):
            return False
        best = int(self.scores.argmax())
        (gradient,) = torch.autograd.grad(self.scores[0, best], candidate.edge, allow_unused=True, retain_graph=True)
        return gradient is not None and layout.to_nchw(gradient)[0].flatten(1).any(1).nonzero().flatten().tolist() in (
            [],
            [best],
        )

    def _is_pointwise(self, candidate: Candidate) -> bool:
        """Whether a map comes from a 1×1 convolution or a linear layer, perhaps with an activation behind it."""
        by_node = {one.node: one for one in self.candidates}
        node = candidate.edge.node
        while node is not None:
            modules = [o.module for o in by_node[id(node)].outputs] if id(node) in by_node else []
            for module in modules:
                if isinstance(module, nn.Conv2d):
                    return max(module.kernel_size) == 1
                # Readers of TorchScript have the name of the class and the weights, no attributes.
                if type(module).__name__ == "Conv2d":
                    return max((max(p.shape[2:]) for p in module.parameters() if p.dim() == 4), default=0) == 1
                if isinstance(module, nn.Linear) or type(module).__name__ == "Linear":
                    return True
            if not _LIGHT.match(node.name()):
                return False
            node = node.next_functions[0][0]
        return False

    def runs_beside(self, candidate: Candidate, module: nn.Module) -> str:
        """Returns the name of a part with weights whose other runs do not lie before this candidate, or "".

        Such a network runs the part several times side by side: on several views of an image, or on crops of it.
        """
        before: frozenset[int] | None = None
        for output in candidate.outputs:
            name = _repeated_part(output.name, self.calls, module)
            others = [
                one
                for one in self.candidates
                if any((o.name, o.path) == (output.name, output.path) and o.call != output.call for o in one.outputs)
            ]
            if name and others:
                before = reachable(candidate.edge.node) if before is None else before
                if any(one.node not in before for one in others):
                    return name
        return ""


def _repeated_part(name: str, calls: Mapping[str, int], module: nn.Module) -> str:
    """Returns the outermost module with weights around a layer that runs several times in one forward, or ""."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        part = ".".join(parts[:end])
        if calls.get(part, 0) > 1 and any(True for _ in module.get_submodule(part).parameters()):
            return part
    return ""


def probe(module: nn.Module, picture: Tensor) -> Probe:
    """Runs a network on one normalised image 1×C×H×W and collects the candidates for its target layer.

    Raises `NoGradient` if no gradient of the scores reaches the image.
    """
    modules = {name: m for name, m in module.named_modules() if name}
    with undisturbed(module):
        inputs = picture.detach().clone().requires_grad_()
        collector = Collector(module, inputs)
        with hooked(modules, collector.hook):
            # A copy of the leaf: the network may change its input in place.
            scores = scores_of(_forward(module, inputs.clone()))
        if not scores.requires_grad or is_quantised(module):
            raise NoGradient(module)
        score, indirect = _live_score(scores, collector.head_input)
        graph = dominators(score.grad_fn, torch.autograd.graph.get_gradient_edge(inputs).node)
    on_path = set(map(id, graph.order))
    if id(torch.autograd.graph.get_gradient_edge(inputs).node) not in on_path:
        raise NoGradient(module)
    candidates = [c for c in collector.candidates() if c.node in on_path]
    for candidate in candidates:
        candidate.dominator = candidate.node in graph.crossed
    single, shrunk = frozenset(collector.single), collector.shrunk
    pixels = task_of(module) == SEGMENTATION
    return Probe(candidates, graph, score, scores, collector.calls, indirect, single, shrunk, pixels)


def is_quantised(module: nn.Module) -> bool:
    """Whether layers of a network compute with integers, which autograd cannot follow."""
    return any(type(one).__module__.startswith(("torch.ao.nn", "torch.nn.quantized")) for one in module.modules())


class NoGradient(CamxError):
    """No gradient of a network's scores reaches its image, or its maps. reason: why, if the caller knows it."""

    def __init__(self, module: nn.Module, reason: str = "") -> None:
        if reason:
            pass
        elif is_quantised(module):
            reason = "its weights are quantised"
        elif any("ScriptModule" in base.__name__ for one in module.modules() for base in type(one).__mro__):
            reason = "its scripted part passes no gradient"
        else:
            reason = "its forward runs under torch.no_grad, detaches a tensor or leaves torch"
        super().__init__(
            f"The scores of {network_name(module)} have no gradient: {reason}.",
            "Methods without gradients work: `methods=eigencam`, fem, scorecam, ablationcam, reciprocam, rise, "
            "occlusion, kernel-shap, lime, dff.",
            field="methods",
        )


def _forward(module: nn.Module, inputs: Tensor) -> Any:
    """Returns the network's output, with ones in place of normalisation weights that are all zero.

    Residual branches begin with such weights before training, and would hide the layers before them.
    """
    ones = {
        name: torch.ones_like(parameter)
        for name, parameter in module.named_parameters()
        if parameter.dim() == 1 and name.endswith(("weight", "gamma")) and not parameter.any()
    }
    with running(module, inputs):
        return torch.func.functional_call(module, ones, (inputs,)) if ones else module(inputs)


def probe_picture(channels: int, input_size: tuple[int, int]) -> Tensor:
    """Returns a synthetic image 1×C×H×W with structure at all scales and unit variance, the same at every call.

    If the choice of the layer depended on the user's images, a run could not be continued.
    """
    generator = torch.Generator().manual_seed(0)
    picture = torch.zeros(1, channels, *input_size)
    for size in (2, 4, 8, 16, 32, 64):
        noise = torch.randn(1, channels, size, size, generator=generator)
        picture += nn.functional.interpolate(noise, size=input_size, mode="bicubic", align_corners=False)
    return picture / picture.std()


def _live_score(scores: Tensor, head_input: Tensor | None) -> tuple[Tensor, bool]:
    """Returns a random direction in the scores, and whether it is one in the head's input instead.

    It depends on everything on which any score depends. The gradient of one class would not: behind a ReLU it is zero
    wherever the evidence for this class is negative. A head of zeros passes no gradient, so its input takes the place
    of the scores.
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
