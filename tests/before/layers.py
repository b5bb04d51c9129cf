"""Cases about the target layer of wrapped, modified and shared networks (`tests/variants.py`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ..variants import BENT, CLOSED, HEADLESS, NO_GRADIENT, SHARED, WRAPPED
from .case import Case, refusal
from .library import built, explainer

TABLE = {**WRAPPED, **BENT, **SHARED, **HEADLESS, **CLOSED}
#: Networks for which 0.1.0 chose a wrong layer: its answer, and the right one.
ANSWERS: dict[str, tuple[str, str]] = {
    "transposed": ("bend 8×8 +0 +0", "act2 8×8 +0 +0"),
    "mirrored": ("bend 8×8 +0 +0", "act2 8×8 +0 +0"),
    "upside down": ("bend 8×8 +0 +0", "act2 8×8 +0 +0"),
    "turned": ("bend 8×8 +0 +0", "act2 8×8 +0 +0"),
    "over the other diagonal": ("bend 8×8 +0 +0", "act2 8×8 +0 +0"),
    "rolled": ("bend 8×8 +0 +0", "act2 8×8 +0 +0"),
    "in windows": ("bend 8×8 +0 +0", "act2 8×8 +0 +0"),
    "positions shuffled": ("bend 8×8 +0 +0", "act2 8×8 +0 +0"),
    "3 prefix tokens": ("patch 8×8 +0 +0", "blocks.1.norm1 8×8 +3 +0"),
    "4 prefix tokens": ("patch 8×8 +0 +0", "blocks.1.norm1 8×8 +4 +0"),
    "6 prefix tokens": ("patch 8×8 +0 +0", "blocks.1.norm1 8×8 +6 +0"),
    "4 prefix tokens, wrapped": ("inner.patch 8×8 +0 +0", "inner.blocks.1.norm1 8×8 +4 +0"),
    "8 prefix tokens, wrapped": ("inner.patch 8×8 +0 +0", "inner.blocks.1.norm1 8×8 +8 +0"),
    "9 prefix tokens, wrapped": ("inner.patch 8×8 +0 +0", "inner.blocks.1.norm1 8×8 +9 +0"),
    "10 prefix tokens, wrapped": ("inner.patch 8×8 +0 +0", "inner.blocks.1.norm1 8×8 +10 +0"),
    "3 prefix tokens, as wide as patches": ("blocks.1.norm1 8×8 +0 +0", "blocks.1.norm1 8×8 +3 +0"),
    "class token at the end": ("blocks.1.norm1 8×8 +1 +0", "blocks.1.norm1 8×8 +0 +1"),
    "4 tokens at the end": ("patch 8×8 +0 +0", "blocks.1.norm1 8×8 +0 +4"),
    "linear patches, 4 prefix tokens": ("patch 8×8 +0 +0", "blocks.1.norm1 8×8 +4 +0"),
    "in a dataclass": ("body.conv 8×8 +0 +0", "body 8×8 +0 +0"),
    "picture and mirror image": ("b.act2 8×8 +0 +0", "CamxError: Around runs 'b' 2 times"),
    "four crops": ("b.act2 6×6 +0 +0", "CamxError: Around runs 'b' 4 times"),
    "two scales": ("b.act2 16×16 +0 +0", "CamxError: Around runs 'b' 2 times"),
    "averaged views": ("b.act2 8×8 +0 +0", "CamxError: Around runs 'b' 2 times"),
    "pooled features": ("act1 8×8 +0 +0", "act2 8×8 +0 +0"),
    "normalised features": ("act 8×8 +0 +0", "end 8×8 +0 +0"),
    "a wide convolution": ("act 8×8 +0 +0", "end 8×8 +0 +0"),
    "a second input": ("TypeError", "CamxError: The forward of WithLabel needs"),
    "keywords only": ("TypeError", "CamxError: ByKeyword does not run on"),
    "boxes": ("RuntimeError", "CamxError: The network returns 0.boxes (7,"),
    "embedding and logits": ("act1 8×8 +0 +0", "CamxError: The network returns 2 tensors"),
    "two heads": ("act2 8×8 +0 +0", "CamxError: The network returns 2 tensors"),
    "no_grad": ("AttributeError", "act2 8×8 +0 +0"),
    "no_grad round the backbone": ("AttributeError", "act2 8×8 +0 +0"),
    "detached": ("RuntimeError", "act2 8×8 +0 +0"),
    "through numpy": ("CamxError: The network returns nothing, not", "act2 8×8 +0 +0"),
    "quantised linear layers": ("CamxError: Small has no feature map", "act2 8×8 +0 +0"),
    "quantised": ("AttributeError", "4 8×8 +0 +0"),
}


def layer_of(build: Callable[[], nn.Module], **options: Any) -> str:
    """The chosen layer with its grid and the tokens before and after it."""
    try:
        layer = explainer(built(build), **options).layer
    except Exception as error:
        return refusal(error)
    layout = layer.layout
    return f"{layer.name} {layout.height}×{layout.width} +{layout.prefix} +{getattr(layout, 'suffix', 0)}"


def _case(name: str, before: str, now: str) -> Case:
    if name in NO_GRADIENT:
        return Case(f"layer: {name}", lambda: layer_of(NO_GRADIENT[name], methods=("eigencam",)), before, now)
    return Case(f"layer: {name}", lambda: layer_of(TABLE[name].build), before, now)


LAYERS = [_case(name, before, now) for name, (before, now) in ANSWERS.items()]
