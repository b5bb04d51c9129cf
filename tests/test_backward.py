"""Gradients without the work on zeros equal those of autograd, with fewer multiplications."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import _get_current_dispatch_mode
from torch.utils.flop_counter import FlopCounterMode

from cam_cli.cams.target_layer.choose import choose_layer
from cam_cli.cams.tracing.trace import Trace, trace, traces
from cam_cli.models.hooks import TargetLayer
from cam_cli.models.layouts import Layout

from .backward_support import CLASSES, GRID, block, first
from .test_engine import assert_same_state, batch, state


def second_kept_as_sequence(tokens: Tensor) -> Tensor:
    return tokens[:, 1:2].squeeze(1)


def both(tokens: Tensor) -> Tensor:
    return (tokens[:, 0] + 2 * tokens[:, 1]) / 2


def pooled(tokens: Tensor) -> Tensor:
    return tokens[:, 2:].mean(1)


def last(tokens: Tensor) -> Tensor:
    return tokens[:, -1]


def biased(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    bias = torch.linspace(-2, 2, 18 * 18).view(1, 1, 18, 18)
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=0.7)


def in_the_open(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return (query @ key.transpose(-2, -1) / 3).softmax(-1) @ value


def plain(traced: Trace) -> Tensor:
    """The gradients of autograd."""
    one_hots = functional.one_hot(CLASSES[: len(traced.logits)], traced.logits.shape[1])
    leaf = traced.head.leaves[traced.index]
    found = [
        torch.autograd.grad(traced.head.scores, leaf, hot.to(traced.head.scores), retain_graph=True)[0]
        for hot in one_hots.unbind(1)
    ]
    return torch.stack([traced.layer.layout.to_nchw(one).float() for one in found], dim=1)


def assert_same(found: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    assert found.shape == expected.shape
    assert type(found) is Tensor
    assert not found.requires_grad
    assert expected.abs().max() > 0
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize(
    ("module", "share"),
    [
        (block(), 0.6),
        (block(second_kept_as_sequence), 0.6),
        (block(both), 0.65),
        (block(last), 0.6),
        (block(first, nn.SiLU()), 0.6),
        (block(first, nn.ReLU()), 0.6),
        (block(first, nn.Hardswish()), 0.6),
        (block(first, nn.Tanh()), 0.6),
        (block(first, nn.Sigmoid()), 0.6),
        (block(first, nn.GELU("tanh")), 0.6),
        # An activation without a rule gets the zeros; everything in front of it runs by rows.
        (block(first, nn.Softplus()), 0.9),
        (block(attend=biased), 0.6),
        (block(attend=in_the_open), 0.6),
        (block(pooled), 1.0),
    ],
)
@pytest.mark.parametrize("size", [1, 3])
def test_gradients_are_those_of_autograd_with_fewer_multiplications(module: nn.Module, share: float, size: int) -> None:
    traced = trace(module, batch(size), GRID)
    with FlopCounterMode(display=False) as many:
        expected = plain(traced)
    with FlopCounterMode(display=False) as few:
        means = traced.mean_gradients(CLASSES[:size])
    assert few.get_total_flops() <= share * many.get_total_flops()
    assert_same(traced.gradients(CLASSES[:size]), expected)
    assert_same(means, expected.mean(dim=(-2, -1), keepdim=True))
    assert_same(traced.against().mean_gradients(CLASSES[:size]), -means)


@pytest.mark.parametrize(
    "name",
    ["test_vit", "vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "cait_xxs24_224", "xcit_nano_12_p16_224"],
)
def test_gradients_of_transformers_of_timm(name: str) -> None:
    sized = {} if name in ("test_vit", "xcit_nano_12_p16_224") else {"img_size": 64}
    side = 160 if name == "test_vit" else 64
    torch.manual_seed(0)
    module = timm.create_model(name, num_classes=5, **sized).eval()
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=0.1)
    traced = trace(module, batch(3, side), choose_layer(module, (side, side)))
    expected = plain(traced)
    assert_same(traced.gradients(CLASSES), expected, 1e-4)
    assert_same(traced.mean_gradients(CLASSES), expected.mean(dim=(-2, -1), keepdim=True), 1e-4)


def test_torchvisions_attention_and_tokens_before_images() -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.norm = nn.Conv2d(3, 24, 16, 16), nn.LayerNorm(24)
            self.attention, self.fc = nn.MultiheadAttention(24, 4), nn.Linear(24, 5)

        def forward(self, pictures: Tensor) -> Tensor:
            tokens = self.norm(self.patches(pictures).flatten(2).permute(2, 0, 1))
            return self.fc(self.attention(tokens, tokens, tokens, need_weights=False)[0][3])

    torch.manual_seed(0)
    traced = trace(Encoder().eval(), batch(3), TargetLayer("norm", Layout("LNC", 4, 4, 24)))
    expected = plain(traced)
    assert_same(traced.gradients(CLASSES), expected)
    assert_same(traced.mean_gradients(CLASSES), expected.mean(dim=(-2, -1), keepdim=True))


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_gradients_in_half_precision(precision: torch.dtype) -> None:
    module = block()
    exact = plain(trace(module, batch(3), GRID))
    with torch.autocast("cpu", precision):
        traced = trace(module, batch(3), GRID)
    tolerance = 4 * torch.finfo(precision).eps
    assert_same(traced.gradients(CLASSES), exact, 2 * tolerance)
    assert_same(traced.mean_gradients(CLASSES), exact.mean(dim=(-2, -1), keepdim=True), 2 * tolerance)


def test_several_layers_share_one_backward() -> None:
    layers = [GRID, TargetLayer("fc1", GRID.layout._replace(channels=60)), TargetLayer("norm", GRID.layout)]
    for traced in traces(block(), batch(3), layers):
        assert_same(traced.gradients(CLASSES).flatten(2), plain(traced).flatten(2)) if traced.index == 0 else None
        # Behind the attention no patch has a gradient.
        assert traced.index == 0 or not traced.gradients(CLASSES).any()
        assert traced.index == 0 or not traced.mean_gradients(CLASSES).any()


class Doubled(torch.autograd.Function):
    """A custom function whose backward reads memory in a way that torch cannot observe."""

    @staticmethod
    def forward(_context: Any, features: Tensor) -> Tensor:
        return features * 2

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return torch.from_numpy(gradient.numpy() * 2)


def test_a_network_with_functions_of_its_own_is_differentiated_as_it_is() -> None:
    traced = trace(block(lambda tokens: Doubled.apply(tokens)[:, 0]), batch(3), GRID)
    assert_same(traced.gradients(CLASSES), plain(traced))


def test_nothing_stays_installed_when_the_backward_fails() -> None:
    def broken(_gradient: Tensor) -> Tensor:
        raise ValueError("in the middle")

    def read(tokens: Tensor) -> Tensor:
        tokens.register_hook(broken)
        return tokens[:, 0]

    module = block(read)
    before = state(module)
    traced = trace(module, batch(3), GRID)
    with pytest.raises(ValueError, match="in the middle"):
        traced.mean_gradients(CLASSES)
    assert _get_current_dispatch_mode() is None
    assert_same_state(before, state(module))
