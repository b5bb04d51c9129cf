"""Heads that the tensors of a checkpoint describe, rebuilt: linear layers with norms and activations between them."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise, takewhile

import torch
from torch import nn

from ..errors import CamxError
from .matching import Match
from .weights import Tensors

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "sigmoid": nn.Sigmoid,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "identity": nn.Identity,
}
#: Names of layers that make scores. A matrix without a bias under another name may be a margin or a prototype.
_ORDINARY = ("fc", "head", "heads", "classifier", "linear", "lin", "logits", "last_linear", "output", "out", "top")
_REST = {"bias", "running_mean", "running_var", "num_batches_tracked"}


@dataclass(frozen=True)
class Rebuilt:
    """A network with another head: its tensors by the names of the network, and one line on the head."""

    module: nn.Module
    tensors: Tensors
    note: str


@dataclass(frozen=True)
class _Chain:
    """A head, layer by layer: module path → module, and where each of its tensors goes."""

    layers: OrderedDict[str, nn.Module]
    features: int
    classes: int
    guessed: bool

    def __str__(self) -> str:
        steps = []
        for layer in self.layers.values():
            name = type(layer).__name__
            steps.append(f"{name} {layer.in_features}→{layer.out_features}" if isinstance(layer, nn.Linear) else name)
        return ", ".join(steps)


def rebuilt_head(module: nn.Module, match: Match, activation: str = "") -> Rebuilt | None:
    """The network with the head that the left over tensors of `match` describe; None where they describe none.

    `module` is changed. activation: between the linear layers; "" takes ReLU. Raises `CamxError` where the tensors
    allow two heads, or an unknown activation.
    """
    if activation and activation not in ACTIVATIONS:
        raise CamxError(f"`model_arg` head_activation={activation}: give one of {', '.join(ACTIVATIONS)}.")
    own = own_head(module)
    if own is None:
        return None
    for place, names in _places(module, match, own):
        if not names or not _covers(match, place, names):
            continue
        chain = _chain(names, activation)
        if chain is not None and (found := _placed(module, match, own, place, chain, names)):
            return found
    return None


def own_head(module: nn.Module) -> str | None:
    """The name of the last linear layer; None for a network that has none, or several side by side."""
    config = getattr(module, "pretrained_cfg", None) or {}
    named = config.get("classifier") if isinstance(config, Mapping) else None
    if isinstance(named, str) and isinstance(_submodule(module, named), nn.Linear):
        return named
    if isinstance(named, (tuple, list)):
        return None
    linear = [name for name, one in module.named_modules() if isinstance(one, nn.Linear)]
    return linear[-1] if linear else None


def _places(module: nn.Module, match: Match, own: str) -> list[tuple[str, Tensors]]:
    """Where a head may belong: a module of the network that it replaces, or "" for one that stands outside of it.

    With each, the tensors of the head by their names in the file, without what all of them begin with.
    """
    left = {**match.inside, **match.outside}
    found: list[tuple[str, Tensors]] = []
    parts = own.split(".")
    for end in range(len(parts), 0, -1):
        place = ".".join(parts[:end])
        if any(name.startswith(f"{place}.") for name in match.inside) or (
            any(name.startswith(f"{place}.") for name in match.wrong) and not match.outside
        ):
            every = {**match.tensors, **match.inside}
            found.append((place, {n: t for n, t in every.items() if n.startswith(f"{place}.")}))
    return [*found, ("", left)]


def _covers(match: Match, place: str, names: Tensors) -> bool:
    """Whether a head at `place` leaves nothing else open."""
    if place:
        inner = all(name.startswith(f"{place}.") for name in (*match.missing, *match.wrong))
        return inner and set(match.inside) <= set(names) and not match.outside
    return not match.wrong


def _chain(names: Tensors, activation: str) -> _Chain | None:
    stem = _common(names)
    leaves: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in names.items():
        path, _, leaf = name.removeprefix(stem).rpartition(".")
        leaves.setdefault(path, {})[leaf] = tensor
    modules = {path: _layer(tensors) for path, tensors in leaves.items()}
    if any(layer is None for layer in modules.values()):
        return None
    paths = sorted(modules, key=_natural)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    guessed = False
    linear = [p for p in paths if isinstance(modules[p], nn.Linear)]
    if not linear or len(linear) > 3 or paths[-1] != linear[-1]:
        return None
    for here, following in pairwise(linear):
        if modules[here].out_features != modules[following].in_features:  # type: ignore[union-attr]
            return None
    if len(linear) == 1 and not _ordinary(stem, names) and "bias" not in leaves[linear[0]]:
        return None
    for before, path in zip([None, *paths], paths):
        layer = modules[path]
        assert layer is not None
        gap = 0 if before is None else _gap(before, path)
        if gap != 0 and before is not None and not isinstance(modules[before], nn.PReLU):
            certain = isinstance(layer, nn.Linear) and any(isinstance(one, nn.Linear) for one in layers.values())
            # Behind the norm of a hidden layer, or between two linear ones, stands an activation.
            if not certain and not activation and not isinstance(layer, nn.PReLU):
                raise CamxError(
                    f"The head {stem.rstrip('.')!r} of the checkpoint has a module without weights between "
                    f"{before!r} and {path!r}, and its tensors do not say which.",
                    "Give `model_arg` head_activation=relu, or head_activation=identity where it is a dropout.",
                )
            if not isinstance(layer, nn.PReLU):
                layers[f"activation{len(layers)}"] = ACTIVATIONS[activation or "relu"]()
                guessed = guessed or not activation
        layers[path] = layer
    first, last = modules[linear[0]], modules[linear[-1]]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    return _Chain(layers, first.in_features, last.out_features, guessed)


def _layer(tensors: Mapping[str, torch.Tensor]) -> nn.Module | None:
    """The layer that has exactly these tensors; None for any other than a linear one, a norm or a PReLU."""
    weight = tensors.get("weight")
    if weight is None or set(tensors) - {"weight"} - _REST or not weight.is_floating_point():
        return None
    extra = set(tensors) - {"weight"}
    if weight.dim() == 2 and extra <= {"bias"} and weight.numel():
        if "bias" in tensors and tuple(tensors["bias"].shape) != (weight.shape[0],):
            return None
        return nn.Linear(weight.shape[1], weight.shape[0], bias="bias" in tensors)
    if weight.dim() == 1 and {"running_mean", "running_var", "bias"} <= extra:
        return nn.BatchNorm1d(weight.shape[0])
    if weight.dim() == 1 and extra == {"bias"}:
        return nn.LayerNorm(weight.shape[0])
    return nn.PReLU(weight.shape[0]) if weight.dim() == 1 and not extra else None


def _gap(before: str, after: str) -> int | None:
    """Modules without tensors between two of a Sequential; None where the names are no positions."""
    stem, _, index = before.rpartition(".")
    other, _, following = after.rpartition(".")
    if stem != other or not (index.isdecimal() and following.isdecimal()):
        return None
    return int(following) - int(index) - 1


def _placed(module: nn.Module, match: Match, own: str, place: str, chain: _Chain, names: Tensors) -> Rebuilt | None:
    head = _submodule(module, own)
    assert isinstance(head, nn.Linear)
    tensors = dict(match.tensors)
    own_names = {name for name in module.state_dict() if name.startswith(f"{own}.")}
    stem = _common(names)
    what = stem.rstrip(".") or "its last tensors"
    if place:
        old = _submodule(module, place)
        first = next((m for m in (old.modules() if old is not None else ()) if isinstance(m, nn.Linear)), None)
        if first is None or first.in_features != chain.features:
            return None
        tensors = {n: t for n, t in tensors.items() if not n.startswith(f"{place}.")}
        new, target, how = _module(chain), place, f"{place} is rebuilt from its tensors"
    elif set(match.missing) == own_names:
        if chain.features != head.in_features:
            return None
        new, target, how = _module(chain), own, f"{what} takes the place of {own}"
    elif not match.missing:
        inner, outer = head.in_features, head.out_features
        if inner == outer == chain.features:
            raise CamxError(
                f"The head {what} of the checkpoint takes {chain.features} values, and {own} has as many inputs as "
                "outputs: it may stand behind it or in its place.",
                "Say which with your own code, `model=my_module.py:build`.",
            )
        if chain.features == outer:
            new, target, how = _module(chain), own, f"{what} stands behind {own}"
            state, layers = new.state_dict(), OrderedDict([("own", head), ("head", new)])
            tensors |= {f"{own}.own.{n.removeprefix(f'{own}.')}": tensors.pop(n) for n in own_names}
            tensors |= dict(zip((f"{own}.head.{n}" for n in state), _ordered(chain, names, stem)))
            return _finished(module, own, nn.Sequential(layers), tensors, chain, how)
        if chain.features != inner:
            return None
        tensors = {n: t for n, t in tensors.items() if n not in own_names}
        new, target, how = (
            _module(chain),
            own,
            f"{what} takes the place of {own}, whose tensors do not fit in front of it",
        )
    else:
        return None
    tensors |= dict(zip((f"{target}.{n}" for n in new.state_dict()), _ordered(chain, names, stem)))
    return _finished(module, target, new, tensors, chain, how)


def _finished(module: nn.Module, target: str, new: nn.Module, tensors: Tensors, chain: _Chain, how: str) -> Rebuilt:
    module.set_submodule(target, new)
    if isinstance(getattr(module, "num_classes", None), int):
        module.num_classes = chain.classes  # type: ignore[assignment]
    taken = "; the activation is taken for granted, `model_arg` head_activation=NAME sets another" * chain.guessed
    return Rebuilt(module, tensors, f"head: {how} ({chain}{taken})")


def _module(chain: _Chain) -> nn.Module:
    if len(chain.layers) == 1:
        return next(iter(chain.layers.values()))
    return nn.Sequential(OrderedDict((name.replace(".", "_"), one) for name, one in chain.layers.items()))


def _ordered(chain: _Chain, names: Tensors, stem: str) -> list[torch.Tensor]:
    """The tensors of the head in the order of its `state_dict()`."""
    found = []
    for path, layer in chain.layers.items():
        for leaf, own in layer.state_dict().items():
            name = stem + (f"{path}.{leaf}" if path else leaf)
            found.append(names.get(name, own))
    return found


def _common(names: Mapping[str, torch.Tensor]) -> str:
    """What all names begin with, up to a dot."""
    paths = [name.split(".")[:-1] for name in names]
    shared = [parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*paths))]
    return "".join(f"{part}." for part in shared)


def _ordinary(stem: str, names: Mapping[str, torch.Tensor]) -> bool:
    """Whether a single layer is called as layers are that make scores."""
    path = (stem or next(iter(names))).rstrip(".").split(".")
    return any(part in _ORDINARY for part in path)


def _natural(path: str) -> tuple[tuple[float, str], ...]:
    return tuple((int(part), "") if part.isdecimal() else (math.inf, part) for part in path.split("."))


def _submodule(module: nn.Module, name: str) -> nn.Module | None:
    try:
        return module.get_submodule(name)
    except AttributeError:
        return None
