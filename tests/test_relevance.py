"""Layer-wise relevance propagation conserves the score, reaches every kind of layer, and fails on functions without a
rule."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cam_cli.cams.methods.relevance import ATTENTIVE, CONVOLUTIONAL
from cam_cli.cams.tracing.network_state import undisturbed
from cam_cli.cams.tracing.relevance import Composite, RelevanceMode
from cam_cli.cams.tracing.replay import Replay
from cam_cli.errors import CamxError

from .definitions.relevance import convolution
from .methods_support import assert_close, explainer, vit
from .test_engine import assert_same_state, batch, state

WANTED = torch.tensor([[1], [2]])


def relevance(module: nn.Module, pictures: Tensor, composite: Composite = CONVOLUTIONAL) -> Tensor:
    """The relevance B×C×H×W of the logits of two images, for the classes 1 and 2."""

    def watching() -> RelevanceMode:
        return RelevanceMode(composite, type(module).__name__)

    return Replay(module, pictures, ()).gradients(pictures, WANTED, 1, watching)[:, 0]


def scores(module: nn.Module, pictures: Tensor) -> Tensor:
    with torch.no_grad():
        return module(pictures).gather(1, WANTED)[:, 0]


class Body(nn.Module):
    """A network with a given middle, without biases: nothing absorbs relevance."""

    def __init__(self, middle: Callable[[Tensor], Tensor], *parts: nn.Module, channels: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.middle, self.parts = middle, nn.ModuleList(parts)
        self.fc = nn.Linear(channels, 4, bias=False)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.middle(self.stem(pictures).relu()).relu().mean((2, 3)))


def conv(inputs: int, outputs: int, side: int = 3, **options: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False, **options)


def residual() -> Body:
    first, second = conv(8, 8), conv(8, 8)

    def middle(x: Tensor) -> Tensor:
        inside = second(first(x).relu_())
        inside += x
        return functional.relu(inside, inplace=True)

    return Body(middle, first, second)


def concatenated() -> Body:
    first = conv(8, 4)
    return Body(lambda x: functional.max_pool2d(torch.cat([x, first(x).relu()], 1), 2), first, channels=12)


def depthwise() -> Body:
    first, second = conv(8, 8, groups=8), conv(8, 8, 1)
    return Body(lambda x: second(functional.relu6(first(x) * 40)), first, second)


def gated() -> Body:
    down, up = conv(8, 2, 1), conv(2, 8, 1)
    return Body(lambda x: x * up(down(x.mean((2, 3), keepdim=True)).relu()).sigmoid(), down, up)


def hard_gated() -> Body:
    """The gate of timm: piecewise, without a sigmoid."""
    up = conv(8, 8, 1)
    return Body(lambda x: x * (functional.relu6(up(x.mean((2, 3), keepdim=True)) + 3) / 6), up)


def expanded_gate() -> Body:
    """A gate expanded to the size of its factor."""
    up = conv(8, 8, 1)
    return Body(lambda x: x * up(x.mean((2, 3), keepdim=True)).sigmoid().expand_as(x), up)


def activated(function: Callable[[Tensor], Tensor]) -> Callable[[], Body]:
    def build() -> Body:
        first, second = conv(8, 8), conv(8, 8)
        return Body(lambda x: second(function(first(x))), first, second)

    return build


def multiplied() -> Body:
    """Two activations of equal size: no gate, so each gets half."""
    first, second = conv(8, 8), conv(8, 8)
    return Body(lambda x: first(x).relu() * second(x).relu(), first, second)


def normalised() -> Body:
    first = conv(8, 8)
    return Body(lambda x: functional.group_norm(first(x), 2), first)


BODIES: dict[str, Callable[[], Body]] = {
    "residual": residual,
    "concatenated": concatenated,
    "depthwise": depthwise,
    "gated": gated,
    "hard gated": hard_gated,
    "expanded gate": expanded_gate,
    "multiplied": multiplied,
    "normalised": normalised,
    "silu": activated(functional.silu),
    "silu in place": activated(lambda x: functional.silu(x, inplace=True)),
    "hardswish": activated(functional.hardswish),
    "gelu": activated(functional.gelu),
    "upsampled": activated(lambda x: functional.interpolate(x.relu(), scale_factor=2, mode="bilinear")),
    "average pooling": activated(lambda x: functional.avg_pool2d(x.relu(), 2)),
    "transposed": lambda: (lambda up: Body(lambda x: up(x).relu(), up))(nn.ConvTranspose2d(8, 8, 2, 2, bias=False)),
}


def built(name: str) -> Body:
    torch.manual_seed(3)
    return BODIES[name]().eval()


@pytest.mark.parametrize("composite", [CONVOLUTIONAL, ATTENTIVE], ids=["lrp", "attnlrp"])
@pytest.mark.parametrize("name", BODIES)
def test_without_biases_relevance_adds_up_to_the_score(name: str, composite: Composite) -> None:
    module, pictures = built(name), batch(2, side=16)
    before = state(module)
    found = relevance(module, pictures, composite)
    assert_same_state(before, state(module))
    torch.testing.assert_close(found.sum((1, 2, 3)), scores(module, pictures), rtol=1e-4, atol=1e-6)
    assert found.abs().amax() > 0


@pytest.mark.parametrize("name", BODIES)
def test_the_mode_changes_no_score(name: str) -> None:
    module, pictures = built(name), batch(2, side=16)
    with undisturbed(module), RelevanceMode(ATTENTIVE, "Body"):
        found = module(pictures.requires_grad_())
    torch.testing.assert_close(found.gather(1, WANTED)[:, 0], scores(module, pictures))


@pytest.mark.parametrize("options", [{}, {"groups": 2}, {"stride": 2}, {"bias": True}])
@pytest.mark.parametrize(("rule", "composite"), [("plus", CONVOLUTIONAL), ("gamma", ATTENTIVE)])
def test_a_convolution_shares_by_its_rule(rule: str, composite: Composite, options: dict[str, int]) -> None:
    """Inputs of both signs: the second of two convolutions without a ReLU between them."""
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 4, 3, bias=False), nn.Conv2d(4, 4, 3, padding=1, **{"bias": False, **options})  # type: ignore[arg-type]
    module = nn.Sequential(
        first, second, nn.Flatten(), nn.Linear(4 * 8 * 8 // options.get("stride", 1) ** 2, 4)
    ).double()
    pictures = batch(2, side=10).double()
    found = relevance(module, pictures, composite)
    for image, wanted in enumerate(WANTED[:, 0].tolist()):
        with torch.no_grad():
            one = first(pictures[image])
            two = second(one)
            weight = module[3].weight[wanted].reshape(two.shape)
        if rule == "plus":
            of_two = (two * weight).detach().numpy()
        else:
            shares = (two * weight) + 0.05 * torch.where(
                module(pictures)[image, wanted] > 0, (two * weight).clamp_min(0), (two * weight).clamp_max(0)
            )
            bias = module[3].bias[wanted].double()
            score = module(pictures)[image, wanted]
            raised = bias + 0.05 * (bias.clamp_min(0) if score > 0 else bias.clamp_max(0))
            of_two = (shares / (shares.sum() + raised) * score).detach().numpy()
        of_one = convolution(one.numpy(), second, of_two, rule)
        slow = convolution(pictures[image].numpy(), first, of_one, "flat" if rule == "plus" else "gamma")
        assert_close(found[image].double().numpy(), slow, 1e-5)


def test_a_batch_normalisation_is_merged_into_the_convolution_before_it() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(8).eval()
    for values, low, high in ((norm.running_mean, -1, 1), (norm.running_var, 0.5, 2), (norm.bias, -1, 1)):
        assert values is not None
        nn.init.uniform_(values, low, high)
    nn.init.uniform_(norm.weight, -1, 2)
    first = conv(8, 8)
    apart = Body(lambda x: norm(first(x)).relu_(), first, norm).eval()
    merged = copy.deepcopy(apart)
    fused = nn.utils.fuse_conv_bn_eval(first.eval(), norm)
    merged.middle = lambda x: fused(x).relu()
    pictures = batch(2, side=16)
    torch.testing.assert_close(relevance(apart, pictures), relevance(merged, pictures))
    # Behind any other layer it is a linear layer that shares by its terms.
    behind = Body(lambda x: first(norm(x.relu())), first, norm).eval()
    scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()  # type: ignore[operator]
    shift = (norm.bias - norm.running_mean * scale).detach()  # type: ignore[operator]
    by_hand = copy.deepcopy(behind)
    by_hand.middle = lambda x: first(x.relu() * scale[:, None, None] + shift[:, None, None])
    torch.testing.assert_close(relevance(behind, pictures), relevance(by_hand, pictures))


@pytest.mark.parametrize("name", ["gated", "hard gated", "expanded gate"])
def test_a_gate_counts_as_a_constant(name: str) -> None:
    module, pictures = built(name), batch(2, side=16)
    gates: list[Tensor] = []

    class Keeping(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: object, _types: object, args: tuple = (), kwargs: object = None) -> object:  # type: ignore[type-arg]
            if getattr(func, "__name__", "") in ("mul", "__mul__") and isinstance(args[1], Tensor):
                gates.append(args[1].detach())
            return func(*args, **(kwargs or {}))  # type: ignore[operator]

    with Keeping():
        scores(module, pictures)
    fixed = copy.deepcopy(module)
    fixed.middle = lambda x: x * gates[0]
    torch.testing.assert_close(relevance(module, pictures), relevance(fixed, pictures))


def test_a_normalisation_within_the_network_moves_no_relevance() -> None:
    plain, pictures = built("residual"), batch(2, side=16)
    mean, deviation = torch.tensor([0.1, 0.5, -0.2])[:, None, None], torch.tensor([0.5, 2.0, 0.3])[:, None, None]

    class Normalising(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = plain

        def forward(self, x: Tensor) -> Tensor:
            x = x.clone()
            x.sub_(mean)
            return self.inner(x / deviation)

    found = relevance(Normalising(), pictures * deviation + mean)
    torch.testing.assert_close(found, relevance(plain, pictures), rtol=1e-3, atol=1e-6)


def test_what_reads_the_image_before_any_layer_gets_the_relevance_of_its_values() -> None:
    first = conv(8, 8)

    class Pooling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Body(lambda x: x, first)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(functional.avg_pool2d(x, 2))

    torch.manual_seed(0)
    module, pictures = Pooling(), batch(2, side=16)
    found = relevance(module, pictures)
    torch.testing.assert_close(found.sum((1, 2, 3)), scores(module, pictures), rtol=1e-4, atol=1e-6)
    inner = functional.avg_pool2d(pictures, 2)
    # Then the convolution is not the first layer: each pixel has its share of the mean of four.
    assert not torch.allclose(functional.avg_pool2d(found, 2) * 4, relevance(module.inner, inner))


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(_context: object, inputs: Tensor) -> Tensor:
        return inputs * 2

    @staticmethod
    def backward(_context: object, *gradients: Tensor) -> Tensor:
        return gradients[0] * 2


REFUSED: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "a Fourier transform": (lambda x: torch.fft.rfft2(x).real, "'fft_rfft2'"),
    "a function of its own": (lambda x: Doubled.apply(x).relu(), r"a function of its own before 'relu' \(DoubledBackw"),
    "a gate that is added": (lambda x: x + x.sigmoid(), "'add' of a gate and of activations"),
    "a product of three": (lambda x: torch.einsum("bchw,bchw,bchw->bchw", x, x, x), "'einsum' of 3 activations"),
    "an exponent": (lambda x: torch.pow(2.0, x), "'pow' with an exponent"),
    "statistics of the batch": (
        lambda x: functional.batch_norm(x, None, None, training=True),
        "'batch_norm' with the statistics of a batch",
    ),
    "attention": (lambda x: (x.flatten(2) @ x.flatten(2).mT).softmax(-1)[:, :, :, None], "attention .'matmul'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_rule_is_refused_by_its_name(name: str) -> None:
    middle, words = REFUSED[name]
    with pytest.raises(CamxError, match=f"Body computes {words}.*, for which LRP has no rule"):
        relevance(Body(middle).eval(), batch(2, side=16))


def test_an_explainer_refuses_a_network_before_it_runs() -> None:
    with pytest.raises(CamxError, match="VisionTransformer computes attention .*Use `methods=attnlrp`"):
        explainer(vit(), "lrp", side=64)
    with pytest.raises(CamxError, match="Body computes no attention.*Use `methods=lrp`"):
        explainer(built("residual"), "attnlrp")


def test_relevance_against_a_class_is_that_for_it_turned_over() -> None:
    module, pictures = built("residual"), batch(2, side=24)
    one, other = (
        explainer(module, "lrp", evidence=evidence).explain_tensor(pictures, WANTED)[1]["lrp"]
        for evidence in ("for", "against")
    )
    assert torch.equal(one, -other)


def test_an_image_of_a_transformer_does_not_depend_on_its_neighbours() -> None:
    engine, pictures, classes = explainer(vit(), "attnlrp", side=64), batch(3, side=64), torch.tensor([[1], [2], [3]])
    together = engine.explain_tensor(pictures, classes)[1]["attnlrp"]
    for image in range(3):
        part = slice(image, image + 1)
        alone = engine.explain_tensor(pictures[part], classes[part])[1]["attnlrp"]
        torch.testing.assert_close(together[part], alone, rtol=1e-3, atol=1e-4 * float(alone.abs().max()))


class _Merging(nn.Module):
    """Convolutions with batch normalisations, a residual block whose sum is a module, and max pooling."""

    def __init__(self, add: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
        self.block = nn.Sequential(
            nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)
        )
        self.add, self.act = add, nn.ReLU()
        self.pool, self.flat = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        self.fc = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4))

    def forward(self, pictures: Tensor) -> Tensor:
        stem = self.stem(pictures)
        both = self.act(self.add(torch.stack([self.block(stem), stem], dim=-1)))
        return self.fc(self.flat(self.pool(both)))


class _Summing(nn.Module):
    def forward(self, both: Tensor) -> Tensor:
        return both.sum(-1)


@pytest.mark.extras
def test_maps_are_those_of_zennit() -> None:
    """The composite EpsilonPlusFlat, with its batch normalisations merged and its residual sum as a layer."""
    pytest.importorskip("zennit")
    from zennit.attribution import Gradient
    from zennit.canonizers import SequentialMergeBatchNorm
    from zennit.composites import EpsilonPlusFlat
    from zennit.layer import Sum

    torch.manual_seed(0)
    module = _Merging(_Summing()).double().eval()
    for one in module.modules():
        if isinstance(one, nn.BatchNorm2d):
            one.eps = 1e-12  # zennit leaves a normalisation with it behind
            for values in (one.running_mean, one.weight, one.bias):
                assert values is not None
                nn.init.uniform_(values, -1, 2)
            assert one.running_var is not None
            nn.init.uniform_(one.running_var, 0.5, 2)
    pictures = batch(2, side=32).double()
    theirs = _Merging(Sum()).double().eval()
    theirs.load_state_dict(module.state_dict())
    for ours, other in zip(module.modules(), theirs.modules()):
        if isinstance(ours, nn.BatchNorm2d):
            other.eps = ours.eps  # type: ignore[assignment]
    composite = EpsilonPlusFlat(epsilon=1e-12, stabilizer=1e-12, canonizers=[SequentialMergeBatchNorm()])

    def start(outputs: Tensor) -> Tensor:
        return torch.zeros_like(outputs).scatter_(1, WANTED, outputs.gather(1, WANTED))

    with Gradient(model=theirs, composite=composite) as attributor:
        _, expected = attributor(pictures.clone().requires_grad_(), start)
    found = relevance(module, pictures)
    assert np.abs(expected.numpy()).max() > 0
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))
