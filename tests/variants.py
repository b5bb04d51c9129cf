"""Networks that people wrap, bend and share: small ones, each with the layer that is right for it, or its refusal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Pictures are 32×32; a stride of 4 leaves 8×8 positions.
SIDE = 32


@dataclass(frozen=True)
class Variant:
    """build: the network. layer, grid: those that are right. prefix, suffix: tokens round the grid. refusal: a pattern
    of the refusal instead. methods: what is asked for. kind: of the layout."""

    build: Callable[[], nn.Module]
    layer: str = ""
    grid: tuple[int, int] = (8, 8)
    kind: str = ""
    prefix: int = 0
    suffix: int = 0
    refusal: str = ""
    methods: tuple[str, ...] = ("gradcam",)
    scores: str | int | None = None


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
    """A function of a network and its pictures as a network."""

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
    """Features alone, of whichever end."""

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
    """Integers throughout: what torch.ao makes of a network in evaluation mode."""
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


GRADIENT_FREE = ("eigencam", "scorecam", "ablationcam", "reciprocam", "fem", "dff")

WRAPPED = {
    "plain": Variant(Small, "act2"),
    "wrapped": Variant(lambda: Wrapper(Small()), "inner.act2"),
    "wrapped twice": Variant(lambda: Wrapper(Wrapper(Small())), "inner.inner.act2"),
    "in a sequence": Variant(lambda: nn.Sequential(Small()), "0.act2"),
    "data parallel": Variant(lambda: nn.DataParallel(Small()), "module.act2"),
    "averaged": Variant(lambda: torch.optim.swa_utils.AveragedModel(Small()), "module.act2"),
    "compiled": Variant(lambda: torch.compile(Small(), backend="eager"), "act2"),  # type: ignore[return-value, arg-type]
    "compiled inside": Variant(compiled_inside, "inner._orig_mod.act2"),
    "compiled in place": Variant(compiled_in_place, "act2"),
    "own normalisation": Variant(lambda: Around(normalised, Small()), "b.act2"),
    "enlarged inside": Variant(
        lambda: Around(lambda net, x: net.b(functional.interpolate(x, scale_factor=2.0)), Small()), "b.act2", (16, 16)
    ),
    "channels last in memory": Variant(
        lambda: Around(lambda net, x: net.b(x.to(memory_format=torch.channels_last)), Small()), "b.act2"
    ),
    "an unused part": Variant(lambda: Around(lambda net, x: net.b(x), Small(), Small()), "b.act2"),
    "checkpointed": Variant(
        lambda: Around(
            lambda net, x: net.head(torch.utils.checkpoint.checkpoint(net.b.features, x, use_reentrant=False).mean((2, 3))),
            Small(), nn.Linear(12, 5),
        ),
        "b.act2",
    ),
}  # fmt: skip

BENT = {
    "channels last": Variant(
        lambda: Bent(lambda m: m.permute(0, 2, 3, 1), lambda m: m.mean((1, 2))), "bend", kind="NHWC"
    ),
    "channels last, as many as rows": Variant(
        lambda: Bent(lambda m: m.permute(0, 2, 3, 1), lambda m: m.mean((1, 2)), width=8), "bend", kind="NHWC"
    ),
    "as many channels as rows": Variant(lambda: Small(width=8), "act2", kind="NCHW"),
    "transposed": Variant(lambda: Bent(lambda m: m.transpose(2, 3), pooled), "act2"),
    "mirrored": Variant(lambda: Bent(lambda m: m.flip(3), pooled), "act2"),
    "upside down": Variant(lambda: Bent(lambda m: m.flip(2), pooled), "act2"),
    "turned": Variant(lambda: Bent(lambda m: m.rot90(1, (2, 3)), pooled), "act2"),
    "over the other diagonal": Variant(lambda: Bent(lambda m: m.transpose(2, 3).flip((2, 3)), pooled), "act2"),
    "rolled": Variant(lambda: Bent(lambda m: m.roll((4, 4), (2, 3)), pooled), "act2"),
    "in windows": Variant(lambda: Bent(windows, lambda t: t.mean(1)), "act2"),
    "positions shuffled": Variant(
        lambda: Bent(
            lambda m: m.flatten(2)[:, :, torch.randperm(64, generator=torch.Generator().manual_seed(1))].unflatten(2, (8, 8)),
            pooled,
        ),
        "act2",
    ),
    "a recurrent layer": Variant(Rows, "gru", kind="NLC"),
    "length first": Variant(LengthFirst, "norm", kind="LNC"),
    "channels before tokens": Variant(lambda: Bent(lambda m: m.flatten(2), lambda t: t.mean(2)), "bend", kind="NCL"),
    "mean of tokens": Variant(lambda: Vit(mean=True), "norm", prefix=1, kind="NLC"),
    **{f"{n} prefix tokens": Variant(lambda n=n: Vit(n), "blocks.1.norm1", prefix=n, kind="NLC") for n in (1, 2, 3, 4, 5, 6)},
    **{f"{n} prefix tokens, wrapped": Variant(lambda n=n: Wrapper(Vit(n)), "inner.blocks.1.norm1", prefix=n) for n in (4, 8, 9, 10)},
    "as wide as patches": Variant(lambda: Vit(1, 64), "blocks.1.norm1", prefix=1, kind="NLC"),
    "3 prefix tokens, as wide as patches": Variant(lambda: Vit(3, 64), "blocks.1.norm1", prefix=3, kind="NLC"),
    "class token at the end": Variant(lambda: Vit(1, behind=True), "blocks.1.norm1", suffix=1, kind="NLC"),
    "4 tokens at the end": Variant(lambda: Vit(4, behind=True), "blocks.1.norm1", suffix=4, kind="NLC"),
    "linear patches": Variant(lambda: Vit(1, linear=True), "blocks.1.norm1", prefix=1, kind="NLC"),
    "linear patches, 4 prefix tokens": Variant(lambda: Vit(4, linear=True), "blocks.1.norm1", prefix=4, kind="NLC"),
    "in a dictionary": Variant(lambda: Returning(lambda m: {"out": m, "n": 3}, lambda out: out["out"]), "body"),
    "in a tuple": Variant(lambda: Returning(lambda m: (m, None), lambda out: out[0]), "body"),
    "in a named tuple": Variant(lambda: Returning(lambda m: Pair(m, m.mean()), lambda out: out.features), "body"),
    "in a dataclass": Variant(lambda: Returning(Record, lambda out: out.features), "body"),
    "in a list of levels": Variant(
        lambda: Returning(lambda m: [functional.avg_pool2d(m, 2), m], lambda out: out[1] + 0 * out[0].mean()), "body"
    ),
}  # fmt: skip

SHARED = {
    "picture and mirror image": Variant(lambda: Around(mirrored, Backbone(), nn.Linear(12, 5)), refusal="'b' 2 times"),
    "four crops": Variant(lambda: Around(crops, Backbone(), nn.Linear(12, 5)), refusal="'b' 4 times"),
    "two scales": Variant(lambda: Around(scales, Backbone(), nn.Linear(12, 5)), refusal="'b' 2 times"),
    "averaged views": Variant(lambda: Around(averaged_views, Small()), refusal="'b' 2 times"),
    "one block in a row": Variant(Recurrent, "block"),
    "one ReLU in two branches": Variant(SharedRelu, "act"),
    "two networks averaged": Variant(
        lambda: Around(lambda net, x: net.b(x) + net.head(x), Small(), Small()), "head.act2"
    ),
}

HEADLESS = {
    "pooled features": Variant(Backbone, "act2"),
    "normalised features": Variant(lambda: Headless(nn.Conv2d(8, 12, 3, 1, 1), nn.BatchNorm2d(12), nn.GELU()), "end"),
    "a wide convolution": Variant(lambda: Headless(nn.Conv2d(8, 12, 3, 1, 1), nn.ReLU()), "end"),
    "a 1×1 convolution of classes": Variant(lambda: Headless(nn.Conv2d(8, 5, 1)), "act"),
    "a 1×1 convolution of classes and ReLU": Variant(lambda: Headless(nn.Conv2d(8, 5, 1), nn.ReLU()), "act"),
    "no map": Variant(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 5)), refusal="no feature map with more"
    ),
}

NO_GRADIENT: dict[str, Callable[[], nn.Module]] = {
    "no_grad": NoGrad,
    "no_grad round the backbone": FrozenBackbone,
    "detached": lambda: Output(lambda maps, scores: scores.detach()),
    "through numpy": lambda: Output(lambda maps, scores: scores.detach().numpy()),
    "quantised linear layers": lambda: torch.ao.quantization.quantize_dynamic(Small().eval(), {nn.Linear}, torch.qint8),
    "quantised": quantised,
}

CLOSED = {
    "a second input": Variant(WithLabel, refusal="'label' beside the pictures|missing 1 required"),
    "keywords only": Variant(ByKeyword, refusal="takes 1 positional argument"),
    "boxes": Variant(
        lambda: Output(lambda maps, s: [{"boxes": s.new_ones(7, 4), "scores": s.new_ones(7)} for _ in s]),
        refusal="not one score per image",
    ),
    "a map per class": Variant(lambda: nn.Conv2d(3, 5, 4, 4), refusal="not one score per image"),
    "embedding and logits": Variant(
        lambda: Output(lambda maps, s: (maps.mean((2, 3)), s)), refusal="2 tensors that could"
    ),
    "two heads": Variant(lambda: Output(lambda maps, s: {"species": s, "sex": s[:, :2]}), refusal="species .*sex"),
}
