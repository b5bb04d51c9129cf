"""Slow definitions of methods for transformers, from attention matrices and tokens."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .slow import relu


class SlowAttention:
    """A timm ViT in float64, block by block as in its paper. Stores the attention matrices."""

    def __init__(self, module: nn.Module, picture: Tensor, wanted: int) -> None:
        self.module: Any = copy.deepcopy(module).double().eval()
        self.picture, self.c = picture.double(), wanted
        m = self.module
        tokens = m.norm_pre(m.patch_drop(m._pos_embed(m.patch_embed(picture.double()[None]))))
        self.tokens = tokens
        self.attention: list[Tensor] = []
        self.outputs: list[Tensor] = []
        for block in m.blocks:
            tokens = self._block(block, tokens)
            self.outputs.append(tokens)
        self.score = self.head(tokens)

    def _block(self, block: Any, tokens: Tensor) -> Tensor:
        inner = block.attn
        normed = block.norm1(tokens)
        batch, count, width = normed.shape
        q, k, v = inner.qkv(normed).reshape(batch, count, 3, inner.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k = inner.q_norm(q), inner.k_norm(k)
        attention = (q @ k.transpose(-2, -1) * inner.scale).softmax(-1)
        self.attention.append(attention)
        mixed = (attention @ v).transpose(1, 2).reshape(batch, count, width)
        tokens = tokens + block.ls1(inner.proj(inner.norm(mixed)))
        return tokens + block.ls2(block.mlp(block.norm2(tokens)))

    def head(self, tokens: Tensor) -> Tensor:
        return self.module.forward_head(self.module.norm(tokens))[0, self.c]

    def p_of(self, kept: list[int]) -> float:
        """The probability of the class if the blocks receive only the patch tokens `kept`."""
        prefix = self.module.num_prefix_tokens
        tokens = torch.cat([self.tokens[:, :prefix], self.tokens[:, [prefix + one for one in kept]]], 1)
        for block in self.module.blocks:
            tokens = block(tokens)
        return float(self.module.forward_head(self.module.norm(tokens))[0].detach().softmax(0)[self.c])

    def gradient(self, score: Tensor, layer: int) -> np.ndarray:
        (found,) = torch.autograd.grad(score, self.attention[layer], retain_graph=True)
        return found[0].numpy()

    def A(self, layer: int) -> np.ndarray:  # noqa: N802 - as in the papers
        return self.attention[layer][0].detach().numpy()

    def grid(self, row: np.ndarray) -> np.ndarray:
        prefix = self.module.num_prefix_tokens
        side = round((len(row) - prefix) ** 0.5)
        return row[prefix:].reshape(side, side)

    def read(self, matrix: np.ndarray) -> np.ndarray:
        prefix = self.module.num_prefix_tokens
        return self.grid(matrix[0] if self.module.global_pool == "token" else matrix[prefix:].mean(0))


def attention_rollout(s: SlowAttention) -> np.ndarray:
    total = np.eye(s.A(0).shape[-1])
    for layer in range(len(s.attention)):
        total = (0.5 * np.eye(len(total)) + 0.5 * s.A(layer).mean(0)) @ total
    return s.read(total)


def attention_gradient(s: SlowAttention) -> np.ndarray:
    relevance = np.eye(s.A(0).shape[-1])
    for layer in range(len(s.attention)):
        relevance = relevance + relu(s.gradient(s.score, layer) * s.A(layer)).mean(0) @ relevance
    return s.read(relevance - np.eye(len(relevance)))


def legrad(s: SlowAttention) -> np.ndarray:
    maps = [s.grid(relu(s.gradient(s.head(z), layer)).mean((0, 1))) for layer, z in enumerate(s.outputs)]
    found = np.mean(maps, axis=0)
    return found - found.min()


def tis(s: SlowAttention) -> np.ndarray:
    """Without clustering: for at most as many activations as masks, each is its own cluster."""
    prefix = s.module.num_prefix_tokens
    points = np.concatenate([output[0, prefix:].detach().numpy().T for output in s.outputs])
    total, count = np.zeros(points.shape[1]), np.zeros(points.shape[1])
    for point in points:
        kept = sorted(range(len(point)), key=lambda token: -point[token])[: len(point) // 2]
        total[kept] += s.p_of(kept)
        count[kept] += 1
    side = round(len(total) ** 0.5)
    found = (total / count).reshape(side, side)
    return found - found.min()
