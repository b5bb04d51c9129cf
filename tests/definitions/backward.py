"""Slow definitions of methods with biases or other rules on the way back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from .gradients import gradcam
from .slow import Slow, bilinear, relu


def fullgrad(s: Slow) -> np.ndarray:
    """For the network `Small` of the tests, layer by layer: gradients of zeros that are added where a bias enters."""
    m, zeros, biases = s.module, [], []

    def entered(values: Tensor, bias: Tensor) -> Tensor:
        zeros.append(torch.zeros_like(values, requires_grad=True))
        biases.append(bias)
        return values + zeros[-1]

    x = s.x[None].clone().requires_grad_()
    first, _, second, _ = m.first
    z = entered(first(x), first.bias[:, None, None]).relu()
    z = entered(second(z), second.bias[:, None, None]).relu()
    mixed = entered(m.mix(z), m.mix.bias[:, None, None])
    curved = entered(mixed.tanh(), mixed.tanh() - (1 - mixed.tanh() ** 2) * mixed)
    score = m.fc((z + curved).mean((2, 3)) * 8)[0, s.c]
    own, *slopes = torch.autograd.grad(score, [x, *zeros])
    total = np.zeros(s.x.shape[1:])
    for product in [own * x, *(slope * bias for slope, bias in zip(slopes, biases))]:
        size = product[0].detach().abs().numpy()
        shown = (size - size.min()) / (size.max() - size.min())
        total += sum(bilinear(channel, *total.shape) for channel in shown)
    return total


def _through_relus(s: Slow, rule: Callable[[Tensor, Tensor], Tensor]) -> np.ndarray:
    """The gradient with another rule at every `nn.ReLU`, by backward hooks."""
    opened: list[Tensor] = []
    handles = []
    for module in s.module.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
            handles.append(module.register_forward_hook(lambda _m, inputs, _o: opened.append(inputs[0] > 0)))
            handles.append(module.register_full_backward_hook(lambda _m, _down, above: (rule(above[0], opened.pop()),)))
    gradient = s.pixel_gradient(s.x)
    for handle in handles:
        handle.remove()
    found: np.ndarray = np.abs(gradient).max(0)
    return found


def guided_backprop(s: Slow) -> np.ndarray:
    return _through_relus(s, lambda above, is_open: above * (above > 0) * is_open)


def deconvnet(s: Slow) -> np.ndarray:
    return _through_relus(s, lambda above, is_open: above * (above > 0))


def guided_gradcam(s: Slow) -> np.ndarray:
    return guided_backprop(s) * bilinear(relu(gradcam(s)), *s.x.shape[1:])
