"""Helpers of `test_backward` and `test_sparse_rows`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from cam_cli.models.hooks import TargetLayer
from cam_cli.models.layouts import Layout

CLASSES = torch.tensor([[1, 4], [0, 2], [3, 3]])


GRID = TargetLayer("norm1", Layout("NLC", 4, 4, 24, prefix=2))


class Block(nn.Module):
    """One block of a transformer on 2 prefix tokens and 4×4 patches; `read` turns its output into one vector."""

    def __init__(self, read: Callable[[Tensor], Tensor], act: nn.Module, attend: Callable[..., Tensor]) -> None:
        super().__init__()
        self.read, self.act, self.attend = read, act, attend
        self.patches, self.prefix = nn.Conv2d(3, 24, 16, 16), nn.Parameter(torch.randn(1, 2, 24))
        self.norm1, self.norm2, self.norm = nn.LayerNorm(24), nn.LayerNorm(24), nn.RMSNorm(24)
        self.qkv, self.proj, self.fc1, self.fc2 = (nn.Linear(*s) for s in ((24, 72), (24, 24), (24, 60), (60, 24)))
        self.scale, self.head = nn.Parameter(torch.rand(24)), nn.Linear(24, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        tokens = self.patches(pictures).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.prefix.expand(len(tokens), -1, -1), tokens], dim=1)
        qkv = self.qkv(self.norm1(tokens)).reshape(len(tokens), 18, 3, 4, 6).permute(2, 0, 3, 1, 4)
        attended = self.attend(*qkv.unbind(0)).transpose(1, 2).reshape(tokens.shape)
        tokens = tokens + self.scale * self.proj(attended)
        return self.head(self.read(self.norm(tokens + self.fc2(self.act(self.fc1(self.norm2(tokens)))) / 2)))


def first(tokens: Tensor) -> Tensor:
    return tokens[:, 0]


def block(
    read: Callable[[Tensor], Tensor] = first,
    act: nn.Module | None = None,
    attend: Callable[..., Tensor] = functional.scaled_dot_product_attention,
) -> nn.Module:
    torch.manual_seed(0)
    return Block(read, act or nn.GELU(), attend).eval()
