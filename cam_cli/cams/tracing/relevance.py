"""Layer-wise relevance propagation through a network as it runs, without a change to it.

A torch function mode intercepts every function that the network calls, and gives it the backward of its rule. A
function without a rule is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from ...errors import CamxError
from . import relevance_functions as kinds
from .attention import attention_weights
from .relevance_marks import Mark, Marks, activations, cut_off, tensors_in
from .relevance_norms import group_norm, layer_norm, multi_head_attention
from .relevance_rules import (
    ElementwiseIdentity,
    FlatFirstLayer,
    ImageIdentity,
    LinearCall,
    LinearWithRule,
    Rule,
)


@dataclass(frozen=True)
class Composite:
    """Rules for the kinds of layers; None is the ε-rule with ε → 0, for the first layer the flat rule.

    first: the linear layer that reads the image. attention: whether a softmax gets relevance; if not, its weights count
    as constants.
    """

    first: Rule | None
    convolution: Rule | None
    dense: Rule | None
    attention: bool


class RelevanceMode(TorchFunctionMode):
    """While active, makes the gradient of a score to the image its relevance; R is the score at first.

    network: its name, for errors. attentions: the number of products of two activations so far. Raises `CamxError` for
    a function without a rule.
    """

    def __init__(self, composite: Composite, network: str) -> None:
        super().__init__()
        self.composite, self.network, self.attentions = composite, network, 0
        self._marks = Marks()
        self._handlers: dict[str, Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]] = {
            **dict.fromkeys(kinds.CONVOLUTIONS, self._linear),
            "linear": self._linear,
            **dict.fromkeys(kinds.MOVES, self._move),
            **dict.fromkeys(kinds.SUMS, self._sum),
            **dict.fromkeys(kinds.PRODUCTS, self._product),
            **dict.fromkeys(kinds.QUOTIENTS, self._quotient),
            **dict.fromkeys(kinds.PIECEWISE_LINEAR, self._plain),
            **dict.fromkeys(kinds.PASSING, self._passing),
            **dict.fromkeys(kinds.GATES, self._gate),
            "layer_norm": lambda _func, args, kwargs: self._plain(layer_norm, args, kwargs),
            "group_norm": lambda _func, args, kwargs: self._plain(group_norm, args, kwargs),
            "batch_norm": self._batch_norm,
            "softmax": self._softmax,
            "scaled_dot_product_attention": self._attention,
            "multi_head_attention_forward": self._multi_head_attention,
        }

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = _name(func)
        if name in kinds.BY_EXAMPLE:
            args, kwargs = (args[0], *cut_off(args[1:])), cut_off(kwargs)
        given = list(tensors_in((args, kwargs)))
        active = activations(given)
        if name in kinds.WITHOUT_VALUES or not (active or any(one in self._marks for one in given)):
            return func(*args, **kwargs)
        for one in active:
            self._recognise(one, name)
        gates = any(self._marks[one].is_gate for one in given)
        if gates and not active:
            return self._set(func(*args, **kwargs), args, Mark(is_gate=True))
        handler = self._handlers.get(name)
        if gates and handler is not None and name not in kinds.PRODUCTS | kinds.QUOTIENTS:
            raise self._refusal(f"{name!r} of a gate and of activations")
        if handler is not None:
            return handler(func, args, kwargs)
        result = func(*args, **kwargs)
        if any(True for _ in tensors_in(result)):
            raise self._refusal(f"{name!r}")
        return result

    def _recognise(self, tensor: Tensor, name: str) -> None:
        """Marks the image. Raises `CamxError` for the result of a custom `autograd.Function`."""
        # Inside such a function nothing has a graph, so its result was marked as a gate.
        if tensor not in self._marks or self._marks[tensor].is_gate:
            if tensor.grad_fn is not None:
                raise self._refusal(f"a function of its own before {name!r} ({tensor.grad_fn.name()})")
            self._marks.set(tensor, Mark(is_image=True))

    def _set(self, result: Any, args: tuple[Any, ...], mark: Mark) -> Any:
        """Marks a result, or the tensor that a function without a result has written to."""
        self._marks.set(args[0] if result is None else result, mark)
        return result

    def _refusal(self, what: str, hint: str = "Use `methods=integrated-gradients` or gradcam.") -> CamxError:
        rules = "AttnLRP" if self.composite.attention else "LRP"
        return CamxError(f"{self.network} computes {what}, for which {rules} has no rule here.", hint, field="methods")

    def _move(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs a function that moves or copies values: the image stays the image."""
        is_image = all(self._marks[one].is_image for one in activations((args, kwargs)))
        if not is_image:
            args, kwargs = self._marks.read_by_layer((args, kwargs))
        result = func(*args, **kwargs)
        return self._set(result, args, Mark(is_image=is_image))

    def _plain(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs a function whose ordinary derivative is its rule."""
        args, kwargs = self._marks.read_by_layer((args, kwargs))
        return self._marks.set(func(*args, **kwargs), Mark())

    def _sum(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._marks.is_lone_image(args, kwargs):
            return self._elementwise(ImageIdentity, func, args, kwargs, Mark(is_image=True))
        return self._plain(func, args, kwargs)

    def _product(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs a product: two activations share its relevance equally, a constant gets none."""
        name = _name(func)
        if self._marks.is_lone_image(args, kwargs) and name in kinds.BY_VALUE:
            return self._elementwise(ImageIdentity, func, args, kwargs, Mark(is_image=True))
        has_addend = name in kinds.WITH_ADDEND
        if name in kinds.BY_VALUE and not has_addend:
            args = self._with_constant_gate(args)
        factors = activations((args[has_addend:], kwargs))
        if len(factors) > 2 or (len(factors) == 2 and has_addend and activations(args[0])):
            raise self._refusal(f"{name!r} of {len(factors) + has_addend} activations")
        if name not in kinds.BY_VALUE and len([one for one in tensors_in((args, kwargs)) if one in self._marks]) > 1:
            self.attentions += 1
            if not self.composite.attention:
                raise self._refusal(f"attention ({name!r} of activations)", "Use `methods=attnlrp`.")
        result = self._plain(func, args, kwargs)
        if len(factors) == 2:
            result.register_hook(_halved)
        return result

    def _with_constant_gate(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Returns the factors of a product, the smaller one as a constant: a gate of channels or of positions."""
        factors = activations(args)
        if len(factors) == 2 and factors[0].numel() != factors[1].numel():
            smaller = min(factors, key=Tensor.numel)
            return tuple(cut_off(one) if one is smaller else one for one in args)
        return args

    def _quotient(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._marks.is_lone_image(args, kwargs):
            return self._elementwise(ImageIdentity, func, args, kwargs, Mark(is_image=True))
        if not activations(args[:1]):
            return self._gate(func, args, kwargs)
        return self._plain(func, (args[0], *cut_off(args[1:])), cut_off(kwargs))

    def _passing(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs an elementwise function under the identity rule."""
        values = args[0] if args else kwargs.get("input")
        if not isinstance(values, Tensor) or not values.requires_grad:
            raise self._refusal(f"{_name(func)!r} with an exponent or a limit that depends on the image")
        if _name(func) == "pow" and args[1:] and not isinstance(args[1], Tensor) and args[1] < 0:
            return self._gate(func, args, kwargs)
        args, kwargs = self._marks.read_by_layer((args, kwargs))
        return self._elementwise(ElementwiseIdentity, func, args, kwargs, Mark())

    def _elementwise(self, rule: Any, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], mark: Mark) -> Any:
        """Runs a function of one activation with the backward of `rule`, in place if the function works so."""
        (values,) = activations((args, kwargs))[:1]
        in_place = False

        def run(inputs: Tensor) -> Tensor:
            nonlocal in_place
            own = inputs.clone()
            changed_args, changed_kwargs = tree_map_only(
                Tensor, lambda one: own if one is values else one, (args, kwargs)
            )
            result: Tensor = func(*changed_args, **changed_kwargs)
            in_place = result is own
            return result

        if len(activations((args, kwargs))) != 1:
            raise self._refusal(f"{_name(func)!r} of several activations")
        result = rule.apply(values, run)
        return self._marks.set(values.copy_(result) if in_place else result, mark)

    def _gate(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs a function whose result counts as a constant factor."""
        own_args, own_kwargs = cut_off((args, kwargs))
        result = func(*own_args, **own_kwargs)
        if own_args and result is own_args[0]:
            result = args[0].detach_().copy_(result)
        return self._marks.set(result, Mark(is_gate=True))

    def _linear(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = LinearCall.of(func, args, kwargs)
        if activations((call.weight, call.bias)):
            raise self._refusal(f"{_name(func)!r} with weights that depend on the image")
        return self._with_rule(call, lambda: func(*args, **kwargs))

    def _rule(self, call: LinearCall) -> Rule | None:
        if self._marks[call.inputs].is_image:
            return self.composite.first
        return self.composite.dense if call.function is functional.linear else self.composite.convolution

    def _with_rule(self, call: LinearCall, compute: Callable[[], Tensor]) -> Tensor:
        """Returns the output of a linear layer, which `compute` makes, with the backward of its rule."""
        rule, is_image = self._rule(call), self._marks[call.inputs].is_image
        if rule is None and not is_image:
            result: Tensor = compute()
        else:
            with torch.no_grad():
                value = [compute()]
            if rule is None:
                result = FlatFirstLayer.apply(call.inputs, call, value)
            else:
                result = LinearWithRule.apply(call.inputs, call, value, rule, is_image)
        self._marks.set(result, Mark(call=call, version=result._version))
        return result

    def _batch_norm(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Merges a batch normalisation into the linear layer before it; behind other functions it shares as a sum."""
        names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
        if func is not functional.batch_norm:
            names = ("input", "weight", "bias", "running_mean", "running_var", "training", "momentum", "eps")
        options = {"weight": None, "bias": None, "training": False, "eps": 1e-5, **dict(zip(names, args)), **kwargs}
        if options["training"] or options["running_mean"] is None:
            raise self._refusal("'batch_norm' with the statistics of a batch")
        if self._marks.is_lone_image(args, kwargs):
            return self._elementwise(ImageIdentity, func, args, kwargs, Mark(is_image=True))
        mark = self._marks[options["input"]]
        call = mark.call
        if call is None or mark.version != options["input"]._version or "transpose" in _name(call.function):
            return self._plain(func, args, kwargs)
        with torch.no_grad():
            scale = torch.rsqrt(options["running_var"] + options["eps"])
            scale = scale if options["weight"] is None else scale * options["weight"]
            shift = -options["running_mean"] * scale
            shift = shift if options["bias"] is None else shift + options["bias"]
            merged = call.scaled(scale, shift)
        return self._with_rule(merged, lambda: func(*args, **kwargs))

    def _softmax(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return (self._plain if self.composite.attention else self._gate)(func, args, kwargs)

    def _attention(self, _func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with self:
            weights, value = attention_weights(*args, **kwargs)
            return weights @ value

    def _multi_head_attention(self, _func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with self:
            found = multi_head_attention(*args, **kwargs)
        if found is None:
            raise self._refusal("'multi_head_attention_forward' with masks or biases of keys")
        return found


def _name(func: Any) -> str:
    name: str = func.__name__
    return name.strip("_")


def _halved(g: Tensor) -> Tensor:
    """The uniform rule: each of two factors gets half of the relevance of their product (Achtibat et al. 2024)."""
    return g / 2
