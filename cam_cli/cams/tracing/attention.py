"""Attention matrices of a transformer, read from one forward, fused or not, without a change to the network.

A torch function mode intercepts every function that the network calls. It computes fused attention explicitly, requests
the weights of `nn.MultiheadAttention`, and records other square softmaxes over the tokens.
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
from .network_state import undisturbed, zero_weights
from .scores import network_name, scores_of, two_sided

_SOFTMAX = {torch.softmax, Tensor.softmax, functional.softmax}


class AttentionRecorder(TorchFunctionMode):
    """While active, records the attention matrices of a forward in which `queries` tokens attend to `keys` tokens.

    nodes: the matrices as tensors of the graph. shapes: the shape B×heads×queries×keys of each. others: the number of
    softmaxes and attentions of other shapes.
    """

    def __init__(self, batch: int, queries: int, keys: int) -> None:
        super().__init__()
        self._batch, self._sides = batch, (queries, keys)
        self.nodes: list[Tensor] = []
        self.shapes: list[tuple[int, ...]] = []
        self.others = 0

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            return self._attend(*args, **kwargs)
        if func is functional.multi_head_attention_forward:
            with_weights = {**kwargs, "need_weights": True, "average_attn_weights": False}
            output, weights = func(*args, **with_weights)
            # These weights are a view. The output was computed from its base, so only the base has a gradient.
            assert weights is not None
            self._record(weights if weights._base is None else weights._base, tuple(weights.shape))
            return output, weights
        result = func(*args, **kwargs)
        if func in _SOFTMAX and result.dim() == 4:
            self._record(result, tuple(result.shape))
        return result

    def _attend(self, *args: Any, **kwargs: Any) -> Tensor:
        attention, value = attention_weights(*args, **kwargs)
        self._record(attention, tuple(attention.shape))
        return attention.to(value.dtype) @ value

    def _record(self, node: Tensor, shape: tuple[int, ...]) -> None:
        if len(shape) == 4 and shape[0] == self._batch and shape[2:] == self._sides:
            self.nodes.append(node)
            self.shapes.append(shape)
        else:
            self.others += 1


def attention_weights(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> tuple[Tensor, Tensor]:
    """Returns the weights of `scaled_dot_product_attention`, whose parameters these are, and the values they weigh.

    Causal: no query reads a key behind its own position. Grouped: several heads of queries share a head of keys.
    Dropout is left out.
    """
    if enable_gqa:
        heads = query.shape[-3] // key.shape[-3]
        key, value = (one.repeat_interleave(heads, -3) for one in (key, value))
    logits = query @ key.transpose(-2, -1) * (scale or 1 / math.sqrt(query.shape[-1]))
    if is_causal:
        attn_mask = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril()
    if attn_mask is not None:
        logits = logits.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else logits + attn_mask
    return logits.softmax(dim=-1), value


@dataclass(frozen=True)
class Attention:
    """One forward with its attention.

    scores: B×K, with their graph. matrices: one per layer, B×heads×N×N float32; rows are queries, and each sums to 1.
    nodes: the matrices as tensors of the graph, in the shape that the network computes.
    blocks: the modules that compute one attention each, in sequence; outputs: their outputs in the graph. Both are
    empty for other arrangements. read_rows: N, the weight of each token in what the head reads behind the last
    attention; their sum is 1.
    """

    scores: Tensor
    matrices: tuple[Tensor, ...]
    nodes: tuple[Tensor, ...]
    layout: Layout
    blocks: tuple[nn.Module, ...]
    outputs: tuple[Tensor, ...]
    read_rows: Tensor

    def gradients(self, scores: Tensor, column: Tensor, sign: int, layers: Sequence[int]) -> list[Tensor]:
        """Returns `sign` × ∂scores[b, column[b]] / ∂attention[b] of the layers by index: B×heads×N×N float32 each."""
        start = torch.zeros_like(scores).scatter_(1, column[:, None], float(sign))
        nodes = [self.nodes[layer] for layer in layers]
        found = torch.autograd.grad(scores, nodes, start, retain_graph=True, materialize_grads=True)
        return [g.reshape(self.matrices[layer].shape).float() for g, layer in zip(found, layers)]

    def patches(self, tokens: Tensor) -> Tensor:
        """Returns the values of the patch tokens of B×N, on their grid: B×h×w."""
        layout = self.layout
        return tokens[:, layout.prefix : tokens.shape[1] - layout.suffix].reshape(-1, layout.height, layout.width)

    def head_row(self, relevance: Tensor) -> Tensor:
        """Returns the row B×N of B×N×N that the head reads: the class token's, or the mean of all that it averages."""
        return torch.einsum("n,bnm->bm", self.read_rows.to(relevance), relevance)


def read_attention(module: nn.Module, inputs: Tensor, layout: Layout) -> Attention:
    """Runs `module` on B×C×H×W and returns the attention between all tokens of `layout`.

    Raises `CamxError` for networks that have none: convolutional ones, and those that attend within windows or over
    fewer tokens (Swin, PVT, MaxViT, CaiT's class attention …), and if the scores do not depend on the last attention.
    """
    name = network_name(module)
    tokens = layout.prefix + layout.height * layout.width + layout.suffix
    if layout.kind not in ("NLC", "LNC"):
        raise CamxError(
            f"The target layer of {name} ({layout}) has no sequence of tokens, so there is no attention over the whole "
            "image. Use `methods=gradcam`."
        )
    leaf = inputs.detach().clone().requires_grad_()
    recorder = AttentionRecorder(len(inputs), tokens, tokens)
    #: By the name of a module: the number of matrices that were recorded when it finished, and its output.
    ends: dict[str, tuple[int, Any]] = {}

    def record_end(name: str, _call: int, _inputs: tuple[Any, ...], output: Any) -> None:
        ends[name] = (len(recorder.nodes), output)

    containers: dict[str, nn.Module] = {
        n: m for n, m in module.named_modules() if isinstance(m, (nn.ModuleList, nn.Sequential)) and n
    }
    children = {f"{n}.{c}": child for n, m in containers.items() for c, child in m.named_children()}
    with undisturbed(module), hooked(children, record_end), recorder:
        scores = two_sided(scores_of(module(leaf.clone())), module)
    if not recorder.nodes:
        reason = "attends within windows or over fewer tokens" if recorder.others else "computes no attention"
        raise CamxError(
            f"{name} {reason}, not over all {tokens} tokens at once, so its attention cannot be followed through the "
            "layers. Use `methods=gradcam`."
        )
    matrices = tuple(node.detach().reshape(shape).float() for node, shape in zip(recorder.nodes, recorder.shapes))
    names = _block_names(containers, ends, len(matrices))
    outputs = tuple(dict(tensors_in(ends[one][1]))[()] for one in names)
    blocks = tuple(module.get_submodule(one) for one in names)
    read_rows = _read_rows(scores, recorder.nodes[-1], recorder.shapes[-1], module)
    return Attention(scores, matrices, tuple(recorder.nodes), layout, blocks, outputs, read_rows)


def _read_rows(scores: Tensor, last: Tensor, shape: tuple[int, ...], module: nn.Module) -> Tensor:
    """Returns the weights N of the tokens that the head reads: equal ones, for all whose row has a gradient.

    The row is that of the last attention. Without a graph, all tokens have a weight. Raises `CamxError` if the scores
    do not depend on the last attention.
    """
    if not scores.requires_grad:
        return torch.full((shape[2],), 1 / shape[2])
    name = network_name(module)
    direction = torch.randn(scores.shape[1], generator=torch.Generator().manual_seed(0)).to(scores)
    (found,) = torch.autograd.grad((scores * direction).sum(), last, retain_graph=True, materialize_grads=True)
    live = found.reshape(shape).float().abs().sum((0, 1, 3)) > 0
    if not bool(live.any()):
        if zero := next(iter(zero_weights(module)), ""):
            raise CamxError(
                f"The scores of {name} do not depend on its last attention: its weights {zero!r} are zero, as before "
                "training. Give trained weights: `checkpoint=FILE`."
            )
        raise CamxError(f"The scores of {name} do not depend on its last attention. Use `methods=gradcam`.")
    return live.float() / live.sum()


def _block_names(containers: dict[str, nn.Module], ends: dict[str, tuple[int, Any]], count: int) -> list[str]:
    """Returns the children of the container in which each child adds one of the `count` attentions; [] without one."""
    for name, container in containers.items():
        names = [f"{name}.{child}" for child, _ in container.named_children()]
        tensors = all(one in ends and isinstance(ends[one][1], Tensor) for one in names)
        if tensors and [ends[one][0] for one in names] == list(range(1, count + 1)):
            return names
    return []


def scores_after(module: nn.Module, inputs: Tensor, attention: Attention, block: int) -> Tensor:
    """Returns the scores B×K that the head gives for the output of this block in place of the last block's (LeGrad)."""
    answers: dict[nn.Module, Callable[..., Any]] = dict.fromkeys(attention.blocks, _first_argument)
    answers[attention.blocks[-1]] = lambda *_args, **_kwargs: attention.outputs[block]
    with undisturbed(module), answering(answers):
        return two_sided(scores_of(module(inputs)), module)


def _first_argument(first: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
    return first
