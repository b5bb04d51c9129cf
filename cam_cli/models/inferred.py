"""Infers arguments of an architecture from the tensors of a checkpoint: classes, channels, input size, pooling."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from .matching import Match


def proposals(module: nn.Module, match: Match) -> Iterator[dict[str, Any]]:
    """Yields changes of arguments with which a network may fit the tensors of `match` better, one at a time."""
    own = module.state_dict()
    yield from _classes(match)
    yield from _absent_head(module, match)
    yield from _channels(own, match)
    yield from _image_size(module, own, match)
    yield from _pooling(match)
    yield from _parts(match)


def _classes(match: Match) -> Iterator[dict[str, Any]]:
    """Number of classes: the first dimension of tensors whose shapes differ, if it is common or that of a head."""
    firsts = {match.tensors[name].shape[0] for name in match.wrong if match.tensors[name].dim()}
    if len(firsts) == 1 and not any(name.startswith("pos_embed") for name in match.wrong):
        yield {"num_classes": firsts.pop()}
    else:
        biases = [name for name in match.wrong if match.tensors[name].dim() == 1]
        if biases:
            yield {"num_classes": match.tensors[biases[-1]].shape[0]}


def _absent_head(module: nn.Module, match: Match) -> Iterator[dict[str, Any]]:
    """Number of classes of a linear head that the architecture builds only for a given number.

    Encoders of timm such as DINOv2 have no head by default.
    """
    config = getattr(module, "pretrained_cfg", None) or {}
    name = config.get("classifier") or "head"
    weight = match.inside.get(f"{name}.weight") if isinstance(name, str) else None
    if weight is not None and weight.dim() == 2 and f"{name}.weight" not in module.state_dict():
        yield {"num_classes": weight.shape[0]}


def _channels(own: Mapping[str, torch.Tensor], match: Match) -> Iterator[dict[str, Any]]:
    for name in match.wrong:
        have, want = match.tensors[name], own[name]
        if have.dim() == want.dim() == 4 and have.shape[0] == want.shape[0] and have.shape[2:] == want.shape[2:]:
            yield {"in_chans": have.shape[1]}
            return


def _image_size(module: nn.Module, own: Mapping[str, torch.Tensor], match: Match) -> Iterator[dict[str, Any]]:
    """Input size from the number of position embeddings of a transformer."""
    for name, key in (("pos_embed", "img_size"), ("encoder.pos_embedding", "image_size")):
        if name not in match.wrong:
            continue
        have, want = match.tensors[name], own[name]
        patch = _patch(module)
        if have.dim() != 3 or have.shape[2] != want.shape[2] or not patch:
            continue
        grid = math.isqrt(want.shape[1])
        prefix = want.shape[1] - grid * grid
        side = math.isqrt(max(have.shape[1] - prefix, 0))
        if side and side * side == have.shape[1] - prefix:
            yield {key: side * patch}


def _patch(module: nn.Module) -> int:
    embed = getattr(module, "patch_embed", None)
    size = getattr(embed, "patch_size", None) or getattr(module, "patch_size", None)
    first = size[0] if isinstance(size, (tuple, list)) and size else size
    return first if isinstance(first, int) else 0


def _pooling(match: Match) -> Iterator[dict[str, Any]]:
    """Pooling of a vision transformer of timm, whose last norm is before or after the pooling."""
    if any(name.startswith("fc_norm.") for name in match.inside):
        yield {"global_pool": "avg"}
    if any(name.startswith("fc_norm.") for name in match.missing):
        yield {"global_pool": "token"}
    if any(name.startswith("attn_pool.") for name in match.inside):
        yield {"global_pool": "map"}


def _parts(match: Match) -> Iterator[dict[str, Any]]:
    """Arguments that add or remove parts."""
    inside, missing = list(match.inside), list(match.missing)
    if any(name.lower().startswith(("auxlogits.", "aux1.", "aux_logits.")) for name in inside):
        yield {"aux_logits": True}
    if any(name.lower().startswith(("auxlogits.", "aux1.")) for name in missing):
        yield {"aux_logits": False}
    if any(name.endswith(".ls1.gamma") for name in inside):
        yield {"init_values": 1e-5}
    if any(name.endswith(".ls1.gamma") for name in missing):
        yield {"init_values": None}
    if any(name.endswith(".qkv.bias") for name in missing):
        yield {"qkv_bias": False}
    if "reg_token" in match.inside:
        yield {"reg_tokens": match.inside["reg_token"].shape[1]}
