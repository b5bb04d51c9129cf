"""Small networks with the unusual structures that users have: wrapped, shared, recurrent, scripted layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Images are 32×32; a stride of 4 leaves 8×8 positions.
SIDE = 32


class Small(nn.Module):
    """Two convolutions, average pooling and a linear layer; 8×8 positions, 12 channels."""

    def __init__(self, classes: int = 5, width: int = 12) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, 4)
        self.act1 = nn.ReLU()
        self.conv = nn.Conv2d(8, width, 3, 1, 1)
        self.act2 = nn.ReLU()
        self.fc = nn.Linear(width, classes)

    def features(self, pictures: Tensor) -> Tensor:
        return self.act2(self.conv(self.act1(self.stem(pictures))))

    def forward(self, pictures: Tensor) -> Any:
        return self.fc(self.features(pictures).mean((2, 3)))


class Backbone(Small):
    """`Small` up to its pooled features B×12."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Identity()  # type: ignore[assignment]


class Wrapper(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, pictures: Tensor) -> Any:
        return self.inner(pictures)


class Then(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, given: Any) -> Any:
        return self.function(given)


class Around(nn.Module):
    """A function of a network and its input as a network."""

    def __init__(self, function: Callable[[Any, Tensor], Any], inner: nn.Module, head: nn.Module | None = None) -> None:
        super().__init__()
        self.function, self.b = function, inner
        self.head = head if head is not None else nn.Identity()

    def forward(self, pictures: Tensor) -> Any:
        return self.function(self, pictures)


class Bent(Small):
    """`Small` with a module between its feature map and its head."""

    def __init__(self, bend: Callable[[Tensor], Tensor], pool: Callable[[Tensor], Tensor], width: int = 12) -> None:
        super().__init__(width=width)
        self.bend, self.pool = Then(bend), pool

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.pool(self.bend(self.features(pictures))))


class Block(nn.Module):
    """A block of a transformer, over tokens B×L×C."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.norm1(tokens)
        tokens = tokens + self.attn(normed, normed, normed)[0]
        return tokens + self.mlp(self.norm2(tokens))


class Vit(nn.Module):
    """A small vision transformer. extra: tokens beside the patches. behind: the extra tokens stand at the end."""

    def __init__(
        self, extra: int = 1, width: int = 16, *, behind: bool = False, mean: bool = False, linear: bool = False
    ) -> None:
        super().__init__()
        self.behind, self.mean, self.linear = behind, mean, linear
        self.patch = nn.Linear(48, width) if linear else nn.Conv2d(3, width, 4, 4)
        self.extra = nn.Parameter(torch.randn(1, extra, width))
        self.place = nn.Parameter(torch.randn(1, 64, width) / 2)
        self.blocks = nn.Sequential(Block(width), Block(width))
        self.norm = nn.LayerNorm(width)
        self.fc = nn.Linear(width, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        if self.linear:
            patches = self.patch(functional.unfold(pictures, 4, stride=4).transpose(1, 2))
        else:
            patches = self.patch(pictures).flatten(2).transpose(1, 2)
        patches, extra = patches + self.place, self.extra.expand(len(pictures), -1, -1)
        tokens = self.norm(self.blocks(torch.cat([patches, extra] if self.behind else [extra, patches], 1)))
        return self.fc(tokens.mean(1) if self.mean else tokens[:, -1 if self.behind else 0])


class Rows(nn.Module):
    """A sequence model over the 64 positions of a convolution: a GRU in both directions, 64 wide."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 4, 4)
        self.gru = nn.GRU(16, 32, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(64, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.gru(self.stem(pictures).flatten(2).transpose(1, 2))[0].mean(1))


class LengthFirst(nn.Module):
    """A transformer of torch whose tokens are L×B×C."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 4, 4)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(16)
        self.fc = nn.Linear(16, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.norm(self.encoder(self.patch(pictures).flatten(2).permute(2, 0, 1))).mean(0))


class Pair(NamedTuple):
    features: Tensor
    extra: Tensor


@dataclasses.dataclass(frozen=True)
class Record:
    """A value that a part of a network may return."""

    features: Tensor
    extra: int = 0


class Returning(nn.Module):
    """The feature map leaves its module inside something else."""

    def __init__(self, pack: Callable[[Tensor], Any], unpack: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.body, self.unpack, self.fc = Packed(pack), unpack, nn.Linear(12, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.unpack(self.body(pictures)).mean((2, 3)))


class Packed(Small):
    def __init__(self, pack: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.pack = pack

    def forward(self, pictures: Tensor) -> Any:
        return self.pack(functional.softplus(self.conv(self.act1(self.stem(pictures)))))


class Recurrent(nn.Module):
    """One block runs three times, one run after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block, self.fc = nn.Conv2d(3, 12, 4, 4), nn.Conv2d(12, 12, 3, 1, 1), nn.Linear(12, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = self.stem(pictures)
        for _ in range(3):
            maps = maps + self.block(maps).tanh()
        return self.fc(self.block(maps).mean((2, 3)))


class SharedRelu(nn.Module):
    """One ReLU serves two branches."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.act = nn.Conv2d(3, 8, 4, 4), nn.LeakyReLU()
        self.left, self.right, self.fc = nn.Conv2d(8, 8, 3, 1, 1), nn.Conv2d(8, 8, 3, 1, 1), nn.Linear(16, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        stem = self.act(self.stem(pictures))
        both = [self.act(self.left(stem)).mean((2, 3)), self.act(self.right(stem)).mean((2, 3))]
        return self.fc(torch.cat(both, 1))


class Headless(nn.Module):
    """Features without a head, after any pooling."""

    def __init__(self, *end: nn.Module) -> None:
        super().__init__()
        self.stem, self.act = nn.Conv2d(3, 8, 4, 4), nn.ReLU()
        self.end = nn.Sequential(*end)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.end(self.act(self.stem(pictures))).mean((2, 3))


class NoGrad(Small):
    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        return super().forward(pictures)


class FrozenBackbone(Small):
    def forward(self, pictures: Tensor) -> Tensor:
        with torch.no_grad():
            maps = self.features(pictures)
        return self.fc(maps.mean((2, 3)))


class WithLabel(Small):
    def forward(self, pictures: Tensor, label: Tensor) -> Tensor:
        return super().forward(pictures)


class ByKeyword(Small):
    def forward(self, **given: Tensor) -> Tensor:
        return super().forward(given["pictures"])


class Output(Small):
    """`Small` whose output is a function of its features B×12×8×8 and its scores B×5."""

    def __init__(self, end: Callable[[Tensor, Tensor], Any], classes: int = 5) -> None:
        super().__init__(classes)
        self.end = end

    def forward(self, pictures: Tensor) -> Any:
        maps = self.features(pictures)
        return self.end(maps, self.fc(maps.mean((2, 3))))


@dataclass
class Answer:
    embedding: Tensor
    scores: Tensor


def quantised() -> nn.Module:
    """An integer network, as torch.ao makes it of a network in evaluation mode."""
    stubs = torch.ao.quantization
    module = nn.Sequential(
        stubs.QuantStub(), nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.Conv2d(8, 12, 3, 1, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5), stubs.DeQuantStub(),
    ).eval()  # fmt: skip
    module.qconfig = stubs.get_default_qconfig("fbgemm")  # type: ignore[assignment]
    prepared = stubs.prepare(module)
    prepared(torch.randn(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)))
    return stubs.convert(prepared)


def compiled_inside() -> nn.Module:
    module = Wrapper(Small())
    module.inner = torch.compile(module.inner, backend="eager")  # type: ignore[assignment]
    return module


def compiled_in_place() -> nn.Module:
    module = Small()
    module.compile(backend="eager")
    return module


def windows(maps: Tensor) -> Tensor:
    """Positions in the order of 4×4 windows, B×64×C."""
    return maps.unflatten(3, (2, 4)).unflatten(2, (2, 4)).permute(0, 2, 4, 3, 5, 1).flatten(1, 4)


def normalised(net: Any, pictures: Tensor) -> Any:
    return net.b((pictures - 0.1) / 0.7)


def mirrored(net: Any, pictures: Tensor) -> Tensor:
    return net.head(net.b(pictures) + net.b(pictures.flip(3)))


def crops(net: Any, pictures: Tensor) -> Tensor:
    parts = [pictures[:, :, y : y + 24, x : x + 24] for y in (0, 8) for x in (0, 8)]
    return net.head(torch.stack([net.b(part) for part in parts]).mean(0))


def scales(net: Any, pictures: Tensor) -> Tensor:
    return net.head(net.b(pictures) + net.b(functional.interpolate(pictures, scale_factor=2.0)))


def averaged_views(net: Any, pictures: Tensor) -> Tensor:
    return (net.b(pictures).softmax(1) + net.b(pictures.flip(3)).softmax(1)) / 2


def pooled(maps: Tensor) -> Tensor:
    return maps.mean((2, 3))
