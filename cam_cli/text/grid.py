"""Finds the grid of image tokens, and verifies it on a fixed synthetic image."""

from __future__ import annotations

import torch
from torch import Tensor

from ..cams.target_layer.placement import Placement, placement_of, quarter_pictures
from ..errors import CamxError
from ..models.hooks import TargetLayer
from ..models.layouts import Layout, possible_layouts

#: Numbers of tokens before the patches: none, a class token, a distillation token, registers.
_PREFIXES = (0, 1, 2, 4, 5, 8, 9)


def token_grid(tower: str, picture: Tensor, tokens: Tensor) -> TargetLayer:
    """The output of a tower as a layer. picture: 1×C×H×W. tokens: its output 5×N×D for `quarter_pictures(picture)`.
    Raises `CamxError` for a sequence without a grid, and for one whose grid does not match the image."""
    size = (picture.shape[2], picture.shape[3])
    found: list[tuple[Layout, Placement]] = []
    if tokens.dim() == 3:
        layouts = possible_layouts(tokens[:1].shape, 1, size, _PREFIXES)
        found = [(one, placement_of(one.to_nchw(tokens.float()))) for one in layouts if one.kind == "NLC"]
    if not found:
        raise CamxError(f"The image tokens of {tower!r}, {[*tokens.shape[1:]]}, fit no grid on an image of {size}.")
    layout, placement = max(found, key=lambda one: (one[1].proven, one[1].fits, one[1].agreement))
    if not placement.fits:
        raise CamxError(f"The image tokens of {tower!r} do not match the places of the image: {placement.reason}.")
    doubt = "" if placement.proven else "; their place is not proven: no quarter of them follows its own quarter"
    return TargetLayer(tower, layout, reason=f"the image tokens that the words read{doubt}")


def probed(picture: Tensor) -> Tensor:
    """Images 5×C×H×W for the verification of the grid."""
    return quarter_pictures(picture)


def patches(layout: Layout, tokens: Tensor) -> Tensor:
    """Maps …×h×w of the tokens on the grid, from values …×N of all tokens."""
    end = tokens.shape[-1] - layout.suffix
    return torch.unflatten(tokens[..., layout.prefix : end], -1, (layout.height, layout.width))
