"""Small wrapped, modified and shared networks, each with its right layer or its error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from .odd_networks import (
    SIDE,
    Around,
    Backbone,
    Bent,
    ByKeyword,
    FrozenBackbone,
    Headless,
    LengthFirst,
    NoGrad,
    Output,
    Pair,
    Record,
    Recurrent,
    Returning,
    Rows,
    SharedRelu,
    Small,
    Vit,
    WithLabel,
    Wrapper,
    averaged_views,
    compiled_in_place,
    compiled_inside,
    crops,
    mirrored,
    normalised,
    pooled,
    quantised,
    scales,
    windows,
)


@dataclass(frozen=True)
class Variant:
    """build: the network. layer, grid: the right ones. prefix, suffix: tokens around the grid. refusal: a pattern of
    the error instead. methods: methods to run. kind: of the layout."""

    build: Callable[[], nn.Module]
    layer: str = ""
    grid: tuple[int, int] = (8, 8)
    kind: str = ""
    prefix: int = 0
    suffix: int = 0
    refusal: str = ""
    methods: tuple[str, ...] = ("gradcam",)
    scores: str | int | None = None


def checkpointed(*, reentrant: bool) -> nn.Module:
    """Recomputes both parts of the network in the backward pass of a training."""

    def forward(net: Around, x: torch.Tensor) -> torch.Tensor:
        features = torch.utils.checkpoint.checkpoint(net.b.features, x, use_reentrant=reentrant)
        scores: torch.Tensor = torch.utils.checkpoint.checkpoint(
            net.head, features.mean((2, 3)), use_reentrant=reentrant
        )
        return scores

    return Around(forward, Small(), nn.Linear(12, 5))


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
    "checkpointed": Variant(lambda: checkpointed(reentrant=False), "b.act2"),
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
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 5)), refusal="returns a map with several positions"
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
    "a second input": Variant(WithLabel, refusal="'label' in addition to the images|missing 1 required"),
    "keywords only": Variant(ByKeyword, refusal="takes 1 positional argument"),
    "boxes": Variant(
        lambda: Output(lambda maps, s: [{"boxes": s.new_ones(7, 4), "scores": s.new_ones(7)} for _ in s]),
        refusal="not one score per image",
    ),
    "a map per class": Variant(lambda: nn.Conv2d(3, 5, 4, 4), refusal="scores of a segmentation, feature maps"),
    "embedding and logits": Variant(
        lambda: Output(lambda maps, s: (maps.mean((2, 3)), s)), refusal="2 tensors that could"
    ),
    "two heads": Variant(lambda: Output(lambda maps, s: {"species": s, "sex": s[:, :2]}), refusal="species .*sex"),
}
