"""Reading the attention of a transformer while it runs, fused or not, without a change to it.

A mode of torch sees every function that is called: fused attention is computed in the open instead, the
attention of `nn.MultiheadAttention` is asked for, and other square softmaxes over tokens are noted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ...errors import CamxError
from ...models.hooks import answering, hooked
from ...models.layouts import Layout, tensors_in
from .trace import scores_of, two_sided, undisturbed

_SOFTMAX = {torch.softmax, Tensor.softmax, functional.softmax}


class _Watch(TorchFunctionMode):
    """Collects the attention matrices of a forward, as the graph has them, and as B×heads×N×N."""

    def __init__(self, batch: int, tokens: int) -> None:
        super().__init__()
        self._batch, self._tokens = batch, tokens
        self.nodes: list[Tensor] = []
        self.shapes: list[tuple[int, ...]] = []
        self.others = 0

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            return self._attended(*args, **kwargs)
        if func is functional.multi_head_attention_forward:
            asked = {**kwargs, "need_weights": True, "average_attn_weights": False}
            output, weights = func(*args, **asked)
            # The weights are a view of what the output was computed from; only that has a gradient.
            assert weights is not None
            self._note(weights if weights._base is None else weights._base, tuple(weights.shape))
            return output, weights
        result = func(*args, **kwargs)
        if func in _SOFTMAX and result.dim() == 4:
            self._note(result, tuple(result.shape))
        return result

    def _attended(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        if is_causal or enable_gqa:
            raise CamxError("Causal and grouped attention cannot be read. Use --method gradcam.")
        logits = query @ key.transpose(-2, -1) * (scale or 1 / math.sqrt(query.shape[-1]))
        if attn_mask is not None:
            logits = logits.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else logits + attn_mask
        attention = logits.softmax(dim=-1)
        self._note(attention, tuple(attention.shape))
        return attention.to(value.dtype) @ value

    def _note(self, node: Tensor, shape: tuple[int, ...]) -> None:
        if len(shape) == 4 and shape[0] == self._batch and shape[2:] == (self._tokens, self._tokens):
            self.nodes.append(node)
            self.shapes.append(shape)
        else:
            self.others += 1


@dataclass(frozen=True)
class Attention:
    """One forward with its attention.

    scores: B×K. matrices: for each layer B×heads×N×N float32, rows are queries, each summing to 1.
    blocks: the modules that hold one attention each, with their outputs in the graph; empty where there are none.
    """

    scores: Tensor
    matrices: tuple[Tensor, ...]
    nodes: tuple[Tensor, ...]
    layout: Layout
    blocks: tuple[nn.Module, ...]
    outputs: tuple[Tensor, ...]

    def gradients(self, scores: Tensor, column: Tensor, sign: int, nodes: Sequence[int]) -> list[Tensor]:
        """`sign` × ∂scores[b, column[b]] / ∂attention[b] of the given layers, B×heads×N×N float32."""
        start = torch.zeros_like(scores).scatter_(1, column[:, None], float(sign))
        wanted = [self.nodes[index] for index in nodes]
        found = torch.autograd.grad(scores, wanted, start, retain_graph=True, materialize_grads=True)
        return [g.reshape(self.matrices[index].shape).float() for g, index in zip(found, nodes)]

    def patches(self, tokens: Tensor) -> Tensor:
        """The part of B×N that lies on the grid, B×h×w."""
        return tokens[:, self.layout.prefix :].reshape(-1, self.layout.height, self.layout.width)

    def seen_by_the_head(self, relevance: Tensor) -> Tensor:
        """Of a matrix B×N×N the row of the class token, or the mean of all rows where the network has none: B×N."""
        return relevance[:, 0] if self.layout.prefix else relevance.mean(dim=1)


def attention_of(module: nn.Module, inputs: Tensor, layout: Layout) -> Attention:
    """Run `module` on B×C×H×W and read the attention between all tokens of `layout`.

    Raises `CamxError` for networks that have none: convolutional ones, and those that attend within windows or
    over fewer tokens (Swin, PVT, MaxViT, CaiT's class attention …).
    """
    name = type(module).__name__
    tokens = layout.prefix + layout.height * layout.width
    if layout.kind not in ("NLC", "LNC"):
        raise CamxError(
            f"{name} has no sequence of tokens at its target layer ({layout}), so there is no attention over the whole "
            "picture to follow. Use --method gradcam."
        )
    leaf = inputs.detach().clone().requires_grad_()
    watch = _Watch(len(inputs), tokens)
    ends: dict[str, tuple[int, Any]] = {}

    def ended(name: str, _call: int, _inputs: tuple[Any, ...], output: Any) -> None:
        ends[name] = (len(watch.nodes), output)

    containers: dict[str, nn.Module] = {
        n: m for n, m in module.named_modules() if isinstance(m, (nn.ModuleList, nn.Sequential)) and n
    }
    children = {f"{n}.{c}": child for n, m in containers.items() for c, child in m.named_children()}
    with undisturbed(module), hooked(children, ended), watch:
        scores = two_sided(scores_of(module(leaf.clone())))
    if not watch.nodes:
        seen = "attends within windows or over fewer tokens" if watch.others else "computes no attention"
        raise CamxError(
            f"{name} {seen}, not over all {tokens} tokens at once, so its attention cannot be followed through the "
            "layers. Use --method gradcam."
        )
    matrices = tuple(node.detach().reshape(shape).float() for node, shape in zip(watch.nodes, watch.shapes))
    blocks = _blocks(containers, ends, len(matrices))
    outputs = tuple(dict(tensors_in(ends[one][1]))[()] for one in blocks)
    held = tuple(module.get_submodule(one) for one in blocks)
    return Attention(scores, matrices, tuple(watch.nodes), layout, held, outputs)


def _blocks(containers: dict[str, nn.Module], ends: dict[str, tuple[int, Any]], count: int) -> list[str]:
    """The children of the container of which each ends with one attention more than the one before it."""
    for name, container in containers.items():
        names = [f"{name}.{child}" for child, _ in container.named_children()]
        tensors = all(one in ends and isinstance(ends[one][1], Tensor) for one in names)
        if tensors and [ends[one][0] for one in names] == list(range(1, count + 1)):
            return names
    return []


def scores_after(module: nn.Module, inputs: Tensor, attention: Attention, block: int) -> Tensor:
    """The class scores B×K if the network ended with this block: its output goes to the head directly."""
    passing: dict[nn.Module, Callable[..., Any]] = dict.fromkeys(attention.blocks, _passed_on)
    passing[attention.blocks[-1]] = lambda *_args, **_kwargs: attention.outputs[block]
    with undisturbed(module), answering(passing):
        return two_sided(scores_of(module(inputs)))


def _passed_on(first: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
    return first
