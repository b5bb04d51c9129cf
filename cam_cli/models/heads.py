"""Replaces the head of a network by the one that the tensors of a checkpoint describe."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..errors import CamxError, unknown
from .concat_pooling import ORDERS, with_concat_pool
from .head_layers import ACTIVATIONS, HeadLayers, head_layers
from .matching import Match
from .weights import Tensors

_ACTIVATION, _POOL = "head_activation", "head_pool"


@dataclass(frozen=True)
class HeadOptions:
    """Properties of a head that tensors do not show, as model arguments.

    activation: `head_activation`, between linear layers. pool: `head_pool`, the order of two poolings before the head.
    "" for both if the user gives none.
    """

    activation: str = ""
    pool: str = ""

    @classmethod
    def taken_from(cls, args: Mapping[str, Any]) -> tuple[HeadOptions, dict[str, Any]]:
        """Splits arguments into these options and the arguments of the architecture.

        Raises `CamxError` for an unknown activation or order.
        """
        for key, known in ((_ACTIVATION, ACTIVATIONS), (_POOL, ORDERS)):
            if key in args and args[key] not in known:
                raise unknown(f"model_arg {key}", args[key], known)
        rest = {key: value for key, value in args.items() if key not in (_ACTIVATION, _POOL)}
        return cls(str(args.get(_ACTIVATION, "")), str(args.get(_POOL, ""))), rest


@dataclass(frozen=True)
class Rebuilt:
    """A network with a new head, the tensors by names of the network, and one line about the head."""

    module: nn.Module
    tensors: Tensors
    note: str


def rebuilt_head(module: nn.Module, match: Match, options: HeadOptions) -> Rebuilt | None:
    """Builds the head that the unmatched tensors of `match` describe; None if they describe none.

    Changes `module`. Raises `CamxError` if the tensors allow two heads.
    """
    own = own_head(module)
    if own is None:
        return None
    for place, names in _places(match, own):
        if not names or not _covers(match, place, names):
            continue
        head = head_layers(names, options.activation)
        if head is not None and (found := _placed(module, match, own, place, head, options)):
            return found
    return None


def own_head(module: nn.Module) -> str | None:
    """Name of the last linear layer; None if the network has none, or several in parallel."""
    config = getattr(module, "pretrained_cfg", None) or {}
    named = config.get("classifier") if isinstance(config, Mapping) else None
    if isinstance(named, str) and isinstance(_submodule(module, named), nn.Linear):
        return named
    if isinstance(named, (tuple, list)):
        return None
    linear = [name for name, one in module.named_modules() if isinstance(one, nn.Linear)]
    return linear[-1] if linear else None


def _places(match: Match, own: str) -> list[tuple[str, Tensors]]:
    """Candidate places of a head: a module that it replaces, or "" for a head outside the network.

    Each comes with the tensors of the head by their names in the file, without the common prefix.
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
    """Whether a head at `place` accounts for all unmatched tensors."""
    if place:
        inner = all(name.startswith(f"{place}.") for name in (*match.missing, *match.wrong))
        return inner and set(match.inside) <= set(names) and not match.outside
    return not match.wrong


def _placed(
    module: nn.Module, match: Match, own: str, place: str, head: HeadLayers, options: HeadOptions
) -> Rebuilt | None:
    """Network with the head at `place`, or at the position of a head outside."""
    last = _submodule(module, own)
    assert isinstance(last, nn.Linear)
    own_names = {name for name in module.state_dict() if name.startswith(f"{own}.")}
    if place:
        old = _submodule(module, place)
        first = next((m for m in (old.modules() if old is not None else ()) if isinstance(m, nn.Linear)), None)
        if first is None:
            return None
        pooling = _pooling(module, head, first.in_features, options)
        return (
            None
            if pooling is None
            else _in_place(module, match, place, head, f"{place} is rebuilt from its tensors{pooling}")
        )
    if set(match.missing) == own_names:
        pooling = _pooling(module, head, last.in_features, options)
        return (
            None
            if pooling is None
            else _in_place(module, match, own, head, f"{head.what} takes the place of {own}{pooling}")
        )
    if match.missing:
        return None
    inner, outer = last.in_features, last.out_features
    if inner == outer == head.features:
        raise CamxError(
            f"The head {head.what} of the checkpoint takes {head.features} values, and {own} has as many inputs as "
            "outputs: the head may follow it or replace it.",
            "Build the network with your own code: `model=my_module.py:build`.",
        )
    if head.features == outer:
        return _behind(module, match, own, last, head)
    how = f"{head.what} takes the place of {own}, whose tensors do not fit in front of it"
    return _in_place(module, match, own, head, how) if head.features == inner else None


def _pooling(module: nn.Module, head: HeadLayers, features: int, options: HeadOptions) -> str | None:
    """Adapts the pooling (of `features` values) to the head and describes the change.

    None if the numbers do not match. Raises `CamxError` for twice the number in an unknown order.
    """
    if head.features == features:
        return ""
    if head.features != 2 * features:
        return None
    order = options.pool or ("maxavg" if head.fastai else "")
    if not order:
        raise CamxError(
            f"The head {head.what} of the checkpoint takes {head.features} values, twice the {features} that the "
            "network pools: maximum and mean side by side, but its tensors do not show the order.",
            "Give `model_arg` head_pool=maxavg (fastai) or head_pool=avgmax (timm's catavgmax).",
        )
    if not with_concat_pool(module, order):
        raise CamxError(
            f"The head {head.what} of the checkpoint takes {head.features} values, twice the {features} that the "
            "network pools: it needs maximum and mean side by side, but the pooling of this network is no module "
            "that camx could replace.",
            "Build the network with your own code: `model=my_module.py:build`.",
        )
    words = "maximum and mean" if order == "maxavg" else "mean and maximum"
    return f", behind {words} side by side" + " as in fastai" * (head.fastai and not options.pool)


def _in_place(module: nn.Module, match: Match, target: str, head: HeadLayers, how: str) -> Rebuilt:
    new = head.module()
    tensors = {n: t for n, t in match.tensors.items() if not n.startswith(f"{target}.")}
    tensors |= dict(zip((f"{target}.{n}" for n in new.state_dict()), head.tensors()))
    return _finished(module, target, new, tensors, head, how)


def _behind(module: nn.Module, match: Match, own: str, last: nn.Linear, head: HeadLayers) -> Rebuilt:
    new = head.module()
    tensors = dict(match.tensors)
    both = OrderedDict([("own", last), ("head", new)])
    tensors |= {f"{own}.own.{name}": tensors.pop(f"{own}.{name}") for name in last.state_dict()}
    tensors |= dict(zip((f"{own}.head.{n}" for n in new.state_dict()), head.tensors()))
    return _finished(module, own, nn.Sequential(both), tensors, head, f"{head.what} stands behind {own}")


def _finished(module: nn.Module, target: str, new: nn.Module, tensors: Tensors, head: HeadLayers, how: str) -> Rebuilt:
    module.set_submodule(target, new)
    if isinstance(getattr(module, "num_classes", None), int):
        module.num_classes = head.classes  # type: ignore[assignment]
    taken = "; the activation is assumed, `model_arg` head_activation=NAME sets another" * head.guessed
    return Rebuilt(module, tensors, f"head: {how} ({head}{taken})")


def _submodule(module: nn.Module, name: str) -> nn.Module | None:
    try:
        return module.get_submodule(name)
    except AttributeError:
        return None
