"""Translates tensor names of other code to those of a network."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from .weights import Tensors

#: Most candidate sequences in a file.
_MOST_PREFIXES = 20
#: Most parts of a name before a position.
_DEEPEST = 4


def renamings(tensors: Tensors, module: nn.Module) -> Iterator[tuple[Tensors, str]]:
    """Yields the tensors unchanged, then under other names that fit the network better, each with a note."""
    yield tensors, ""
    if by_position := _by_position(tensors, module):
        yield by_position
    if filtered := _filtered(tensors, module):
        resampled = [name for name in filtered if name in tensors and filtered[name].shape != tensors[name].shape]
        renamed = "names changed by timm's filter for " + type(module).__name__
        others = f"{', '.join(resampled[:3])} resampled to the size of the input, as timm does it"
        yield filtered, others if resampled and set(filtered) == set(tensors) else renamed


def _by_position(tensors: Tensors, module: nn.Module) -> tuple[Tensors, str] | None:
    """Translates positions, as in `nn.Sequential(*network.children())`."""
    expected = module.state_dict()
    positions = {str(index): name for index, (name, _) in enumerate(module.named_children())}
    best: Tensors = {}
    most, where = len(expected) // 2, ""
    prefixes = Counter(prefix for name in tensors for prefix in _before_positions(name))
    for prefix in sorted(prefix for prefix, _ in prefixes.most_common(_MOST_PREFIXES)):
        named = {}
        for name, tensor in tensors.items():
            rest = name.removeprefix(prefix)
            index, _, tail = rest.partition(".")
            inside = name.startswith(prefix) and index in positions
            named[f"{positions[index]}.{tail}" if inside else name] = tensor
        hits = sum(n in expected and t.shape == expected[n].shape for n, t in named.items())
        if hits > most and len(named) == len(tensors):
            best, most, where = named, hits, prefix
    return (best, f"positions {where}0, {where}1, … read as the parts of the network, in order") if best else None


def _before_positions(name: str) -> Iterator[str]:
    """Prefixes in front of each number in a name: `a.0.1.weight` → `a.`, `a.0.`."""
    parts = name.split(".", _DEEPEST)
    for end, part in enumerate(parts[:-1]):
        if part.isdecimal():
            yield "".join(f"{one}." for one in parts[:end])


def _filtered(tensors: Tensors, module: nn.Module) -> Tensors | None:
    """Applies timm's checkpoint filter of the network, which renames and resamples tensors.

    None without a filter, or if it fails or changes nothing.
    """
    own = sys.modules.get(type(module).__module__)
    change = getattr(own, "checkpoint_filter_fn", None)
    if change is None or not type(module).__module__.startswith("timm."):
        return None
    try:
        with torch.no_grad():
            found: Any = change(dict(tensors), module)
    except Exception:  # filters may raise anything on unknown layouts
        return None
    if not isinstance(found, Mapping):
        return None
    kept = {name: t for name, t in found.items() if isinstance(name, str) and isinstance(t, torch.Tensor)}
    return None if _shapes(kept) == _shapes(tensors) else kept


def _shapes(tensors: Tensors) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}
