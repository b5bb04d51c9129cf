"""Rules of layer-wise relevance propagation for linear layers, as backwards of `torch.autograd.Function`s.

Behind the first layer autograd carries g = R / a, the relevance of an activation divided by its value. In this form a
ReLU, a sum, a pooling and the ε-rule with ε → 0 are the ordinary derivative, and nothing is divided by an activation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

#: A denominator counts as zero below this share of the sum of the magnitudes of its terms.
_ZERO = 1e-9

#: (output z, sum p ≥ 0 of the positive contributions x·w and of a positive bias, g of the output) → factors: relevance
#: is the first one times a positive contribution, the second one times a negative contribution; None: negative ones get
#: none. z − p is the sum of the negative contributions.
Rule = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor | None]]


def z_plus(z: Tensor, positive: Tensor, g: Tensor) -> tuple[Tensor, Tensor | None]:
    """Shares relevance among positive contributions: R_i = Σ_j (x_i w_ij)⁺ / p_j · R_j (Montavon et al. 2017)."""
    return _quotient(z * g, positive, 2 * positive - z), None


def gamma(share: float) -> Rule:
    """Returns the rule that favours contributions of the sign of the output by 1 + γ (Montavon et al. 2019).

    share: γ ≥ 0. Inputs of both signs are treated as in Andéol et al. 2021.
    """

    def rule(z: Tensor, positive: Tensor, g: Tensor) -> tuple[Tensor, Tensor | None]:
        favoured = torch.where(z > 0, positive, z - positive)
        factor = _quotient(z * g, z + share * favoured, 2 * positive - z)
        more = (1 + share) * factor
        return torch.where(z > 0, more, factor), torch.where(z > 0, factor, more)

    return rule


def _quotient(relevance: Tensor, denominator: Tensor, magnitude: Tensor) -> Tensor:
    """`relevance` / `denominator`, and zero where the denominator is, compared with the magnitude of its terms."""
    is_zero = denominator.abs() <= _ZERO * magnitude
    return torch.where(is_zero, 0.0, relevance / torch.where(is_zero, 1.0, denominator))


@dataclass(frozen=True)
class LinearCall:
    """A call of a linear layer: `function`(inputs, weight, bias, *rest, **options)."""

    function: Callable[..., Tensor]
    inputs: Tensor
    weight: Tensor
    bias: Tensor | None
    rest: tuple[Any, ...]
    options: dict[str, Any]

    @staticmethod
    def of(function: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]) -> LinearCall:
        """Returns the call with these arguments; all linear layers of torch begin with (input, weight, bias)."""
        options = dict(kwargs)
        given = list(args[:3])
        given += [options.pop(name, None) for name in ("input", "weight", "bias")[len(given) :]]
        return LinearCall(function, given[0], given[1], given[2], tuple(args[3:]), options)

    def scaled(self, scale: Tensor, shift: Tensor) -> LinearCall:
        """Returns the call whose output channels are multiplied by `scale` and then shifted by `shift`."""
        weight = self.weight * scale.reshape(-1, *[1] * (self.weight.dim() - 1))
        return replace(self, weight=weight, bias=shift if self.bias is None else self.bias * scale + shift)

    def output(self, inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Returns the output of the layer for other inputs and weights."""
        return self.function(inputs, weight, bias, *self.rest, **self.options)


class LinearWithRule(torch.autograd.Function):
    """A linear layer whose backward is `rule`: gets g of its output and returns g of its input.

    value: the output, in a list that `forward` empties. With `is_first`, returns the relevance of the input instead.
    """

    @staticmethod
    def forward(
        context: Any, inputs: Tensor, call: LinearCall, value: list[Tensor], rule: Rule, is_first: bool
    ) -> Tensor:
        context.call, context.rule, context.is_first = call, rule, is_first
        context.save_for_backward(inputs)
        return value.pop()

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        (inputs,) = context.saved_tensors
        with torch.autocast(inputs.device.type, enabled=False):
            found = _share(context.call, _wide(inputs), _wide(gradients[0]), context.rule)
        return (found * inputs if context.is_first else found).to(inputs.dtype), None, None, None, None


def _share(call: LinearCall, inputs: Tensor, g: Tensor, rule: Rule) -> Tensor:
    """Returns g of the inputs of a linear layer by a rule, from g of its output."""
    weight = _wide(call.weight)
    raised, lowered = weight.clamp_min(0), weight.clamp_max(0)
    leaves = [inputs.clamp_min(0), *([inputs.clamp_max(0)] if bool((inputs < 0).any()) else [])]
    leaves = [leaf.detach().requires_grad_() for leaf in leaves]
    with torch.enable_grad():
        positive, negative = call.output(leaves[0], raised), call.output(leaves[0], lowered)
        if len(leaves) == 2:
            positive = positive + call.output(leaves[1], lowered)
            negative = negative + call.output(leaves[1], raised)
    bias = torch.zeros((), device=g.device) if call.bias is None else _wide(call.bias)
    bias = bias.reshape(-1, *[1] * (weight.dim() - 2))
    z = positive.detach() + negative.detach() + bias
    factors = rule(z, positive.detach() + bias.clamp_min(0), g)
    pairs = [(sums, factor) for sums, factor in zip((positive, negative), factors) if factor is not None]
    found = torch.autograd.grad([sums for sums, _ in pairs], leaves, [factor for _, factor in pairs])
    return found[0] if len(found) == 1 else torch.where(inputs < 0, found[1], found[0])


class FlatFirstLayer(torch.autograd.Function):
    """The first linear layer, whose backward spreads the relevance of each output evenly over its receptive field.

    R_i = Σ_j R_j / n_j, n_j the number of inputs that output j reads (Lapuschkin et al. 2019). Gets g of its output and
    returns the relevance of its input. value: the output, in a list that `forward` empties.
    """

    @staticmethod
    def forward(context: Any, inputs: Tensor, call: LinearCall, value: list[Tensor]) -> Tensor:
        context.call = call
        context.save_for_backward(inputs)
        return value.pop()

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (inputs,), call = context.saved_tensors, context.call
        with torch.autocast(inputs.device.type, enabled=False):
            z = call.output(_wide(inputs), _wide(call.weight), None if call.bias is None else _wide(call.bias))
            ones = torch.ones_like(z.new_empty(inputs.shape)).requires_grad_()
            with torch.enable_grad():
                counts = call.output(ones, torch.ones_like(_wide(call.weight)))
            factor = z * _wide(gradients[0]) / counts.detach().clamp_min(1)
            (relevance,) = torch.autograd.grad(counts, ones, factor)
        return relevance.to(inputs.dtype), None, None


class ElementwiseIdentity(torch.autograd.Function):
    """The identity rule: an elementwise function keeps its relevance, g ← g · y / x, and 0 where x is 0."""

    @staticmethod
    def forward(context: Any, inputs: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        outputs = function(inputs)
        is_zero = inputs == 0
        context.save_for_backward(torch.where(is_zero, 0.0, outputs / torch.where(is_zero, 1.0, inputs)))
        return outputs

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (ratio,) = context.saved_tensors
        return gradients[0] * ratio, None


class ImageAsInput(torch.autograd.Function):
    """The image where no linear layer reads it first: gets g of its values and returns their relevance x·g."""

    @staticmethod
    def forward(context: Any, inputs: Tensor) -> Tensor:
        context.save_for_backward(inputs)
        return inputs.clone()

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        inputs: Tensor = context.saved_tensors[0]
        return gradients[0] * inputs


class ImageIdentity(torch.autograd.Function):
    """The image with another scale or offset, as a normalisation makes it: its relevance stays unchanged."""

    @staticmethod
    def forward(_context: Any, inputs: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        return function(inputs)

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def _wide(tensor: Tensor) -> Tensor:
    """Returns a tensor in float32 at least."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()
