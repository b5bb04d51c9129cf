"""Slow definitions of layer-wise relevance propagation: explicit sums of relevance, layer by layer, in float64.

Each function takes the input of one layer and the relevance R of its output, and returns the relevance of its input.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def convolution(x: np.ndarray, layer: nn.Conv2d, relevance: np.ndarray, rule: str) -> np.ndarray:
    """One output at a time. x: C×H×W. relevance: O×h×w. rule: `flat`, `plus` or `gamma` with γ = 1/4."""
    weight = layer.weight.detach().double().numpy()
    bias = np.zeros(len(weight)) if layer.bias is None else layer.bias.detach().double().numpy()
    (p, q), (s, t), (kh, kw) = layer.padding, layer.stride, layer.kernel_size  # type: ignore[misc]
    per_group, outputs_per_group = weight.shape[1], len(weight) // layer.groups
    padded = np.pad(x, ((0, 0), (p, p), (q, q)))
    inside = np.pad(np.ones_like(x), ((0, 0), (p, p), (q, q)))
    found = np.zeros_like(padded)
    for o, i, j in np.ndindex(relevance.shape):
        first = o // outputs_per_group * per_group
        window = (slice(first, first + per_group), slice(i * s, i * s + kh), slice(j * t, j * t + kw))
        shares, whole = _shares(padded[window] * weight[o], bias[o], rule, inside[window])
        if whole:
            found[window] += shares / whole * relevance[o, i, j]
    return found[:, p : p + x.shape[1], q : q + x.shape[2]]


def _shares(contributions: np.ndarray, bias: float, rule: str, inside: np.ndarray) -> tuple[np.ndarray, float]:
    """The terms of the inputs of one output by a rule, and their sum with the term of the bias."""
    if rule == "flat":
        return inside, inside.sum()
    if rule == "plus":
        positive = np.maximum(contributions, 0)
        return positive, positive.sum() + max(bias, 0)
    gamma = {"gamma": 0.25}[rule]
    favoured = np.maximum if contributions.sum() + bias > 0 else np.minimum
    raised = contributions + gamma * favoured(contributions, 0)
    return raised, raised.sum() + bias + gamma * favoured(bias, 0)


def dense(x: Tensor, layer: nn.Linear, relevance: Tensor, gamma: float) -> Tensor:
    """γ-rule of a linear layer: N×in from N×out."""
    contributions = x[:, None, :] * layer.weight[None]
    bias = torch.zeros(len(layer.weight)).double() if layer.bias is None else layer.bias
    outputs = contributions.sum(-1) + bias
    up = contributions + gamma * contributions.clamp_min(0)
    down = contributions + gamma * contributions.clamp_max(0)
    raised = torch.where(outputs[..., None] > 0, up, down)
    raised_bias = torch.where(outputs > 0, bias + gamma * bias.clamp_min(0), bias + gamma * bias.clamp_max(0))
    return (raised / (raised.sum(-1) + raised_bias)[..., None] * relevance[..., None]).sum(1)


def layer_norm(x: Tensor, layer: nn.Module, relevance: Tensor) -> Tensor:
    """Layer normalisation N×C as a linear layer, with a constant deviation."""
    if isinstance(layer, nn.Identity):
        return relevance
    assert isinstance(layer, nn.LayerNorm)
    count = x.shape[1]
    deviation = (x.var(1, unbiased=False, keepdim=True) + layer.eps).sqrt()
    centring = torch.eye(count).double() - 1 / count
    contributions = x[:, None, :] * centring[None] * layer.weight[None, :, None] / deviation[..., None]
    return (contributions / (contributions.sum(-1) + layer.bias)[..., None] * relevance[..., None]).sum(1)


def lrp(s: Any) -> np.ndarray:
    """For the network `Small` of the tests: flat, z⁺, and ε in the head."""
    first, second = s.module.first[0], s.module.first[2]
    mix, fc = s.module.mix, s.module.fc
    with torch.no_grad():
        one = first(s.x[None]).relu()
        two = second(one).relu()
        mixed = mix(two)
        total = (two + mixed.tanh())[0].numpy()
    weight = fc.weight[s.c].detach().numpy()
    of_sum = total * weight[:, None, None] * 8 / total[0].size
    of_two = of_sum * two[0].numpy() / total
    of_mixed = of_sum - of_two
    of_two = of_two + convolution(two[0].numpy(), mix, of_mixed, "plus")
    of_one = convolution(one[0].numpy(), second, of_two, "plus")
    found: np.ndarray = convolution(s.x.numpy(), first, of_one, "flat").sum(0)
    return found


def attnlrp(s: Any) -> np.ndarray:
    """For a timm ViT: γ in linear layers, the Taylor rule of the softmax, half of a product to each factor."""
    with torch.no_grad():
        return _Transformer(s.module, s.picture).relevance(s.c)


class _Transformer:
    def __init__(self, module: Any, picture: Tensor) -> None:
        self.m, self.x = module, picture

    def relevance(self, wanted: int) -> np.ndarray:
        m = self.m
        patches = m.patch_embed(self.x[None])
        tokens = [m._pos_embed(patches)[0]]
        for block in m.blocks:
            tokens.append(block(tokens[-1][None])[0])
        last = tokens.pop()
        relevance = self._head(last, wanted)
        for block, inputs in zip(reversed(m.blocks), reversed(tokens)):
            relevance = self._block(block, inputs, relevance)
        prefix = m.num_prefix_tokens
        embedded = patches[0]
        of_patches = embedded / tokens[0][prefix:] * relevance[prefix:]
        conv = m.patch_embed.proj
        side = round(len(embedded) ** 0.5)
        grid = of_patches.T.reshape(-1, side, side).numpy()
        found: np.ndarray = convolution(self.x.numpy(), conv, grid, "gamma").sum(0)
        return found

    def _head(self, tokens: Tensor, wanted: int) -> Tensor:
        m = self.m
        normed, prefix = m.norm(tokens), m.num_prefix_tokens
        averaged = m.global_pool == "avg"
        pooled = normed[prefix:].mean(0, keepdim=True) if averaged else normed[:1]
        features = m.fc_norm(pooled)
        relevance = torch.zeros(1, m.head.out_features).double()
        relevance[0, wanted] = m.head(features)[0, wanted]
        relevance = dense(features, m.head, relevance, 0.05)
        relevance = layer_norm(pooled, m.fc_norm, relevance)
        spread = torch.zeros_like(normed)
        if averaged:
            spread[prefix:] = normed[prefix:] / (len(normed) - prefix) / pooled * relevance
        else:
            spread[0] = relevance[0]
        return layer_norm(tokens, m.norm, spread)

    def _block(self, block: Any, tokens: Tensor, relevance: Tensor) -> Tensor:
        attended = block.attn(block.norm1(tokens)[None])[0]
        middle = tokens + attended
        normed = block.norm2(middle)
        hidden = block.mlp.fc1(normed)
        active = block.mlp.act(hidden)
        added = block.mlp.fc2(active)
        of_added = added / (middle + added) * relevance
        of_hidden = dense(active, block.mlp.fc2, of_added, 0.05)
        of_middle = relevance - of_added
        of_middle = of_middle + layer_norm(middle, block.norm2, dense(normed, block.mlp.fc1, of_hidden, 0.05))
        of_attended = attended / middle * of_middle
        return of_middle - of_attended + self._attention(block, tokens, of_attended)

    def _attention(self, block: Any, tokens: Tensor, relevance: Tensor) -> Tensor:
        inner, normed = block.attn, block.norm1(tokens)
        count, width = normed.shape
        q, k, v = inner.qkv(normed).reshape(count, 3, inner.num_heads, -1).permute(1, 2, 0, 3)
        weights = (q @ k.transpose(-2, -1) * inner.scale).softmax(-1)
        mixed = weights @ v
        joined = mixed.transpose(0, 1).reshape(count, width)
        of_mixed = dense(joined, inner.proj, relevance, 0.05).reshape(count, inner.num_heads, -1).transpose(0, 1)
        # heads × queries × keys × channels
        products = weights[..., None] * v[:, None] / mixed[:, :, None] * of_mixed[:, :, None] / 2
        of_weights, of_v = products.sum(-1), products.sum(1)
        over_logits = of_weights - weights * of_weights.sum(-1, keepdim=True)
        products = q[:, :, None] * k[:, None] * inner.scale * over_logits[..., None] / 2
        of_q, of_k = products.sum(2), products.sum(1)
        joined_relevance = torch.stack([of_q, of_k, of_v]).permute(2, 0, 1, 3).reshape(count, 3 * width)
        return layer_norm(tokens, block.norm1, dense(normed, inner.qkv, joined_relevance, 0.05))
