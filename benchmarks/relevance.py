"""Measures the share of the score that relevance propagation assigns to the pixels, for networks of many families.

python -m benchmarks.relevance [NAME…]    prints the rows of the table in docs/methods.md

Weights are random, from one seed, and biases are zero. Then only position embeddings and class tokens absorb relevance,
and outputs without a contribution of the sign that their rule needs lose it.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import timm
import torch
from torch import Tensor, nn

from cam_cli.cams.methods.relevance import ATTENTIVE, CONVOLUTIONAL
from cam_cli.cams.tracing.network_state import undisturbed
from cam_cli.cams.tracing.relevance import Composite, RelevanceMode
from cam_cli.cams.tracing.replay import Replay
from cam_cli.errors import CamxError, first_line

#: One of each family, with the side of the images in pixels.
NETWORKS = {
    "resnet18": 96,
    "resnetv2_50": 96,
    "densenet121": 96,
    "efficientnet_b0": 96,
    "mobilenetv3_small_100": 96,
    "mobilenetv2_100": 96,
    "regnety_002": 96,
    "convnext_atto": 96,
    "convnextv2_atto": 96,
    "resnest14d": 96,
    "skresnet18": 96,
    "eca_nfnet_l0": 96,
    "hrnet_w18_small": 96,
    "mixnet_s": 96,
    "inception_v3": 96,
    "poolformer_s12": 96,
    "mambaout_femto": 96,
    "vit_tiny_patch16_224": 224,
    "swin_tiny_patch4_window7_224": 224,
    "pvt_v2_b0": 96,
    "mobilevit_xxs": 96,
    "edgenext_xx_small": 96,
    "davit_tiny": 96,
    "levit_128s": 224,
    "gcresnext26ts": 96,
    "torchvision/squeezenet1_1": 96,
    "torchvision/mobilenet_v3_small": 96,
    "torchvision/swin_t": 96,
}


class Outcome(NamedTuple):
    """Relevance of one network. share: the sum of all pixels by the score. difference: the largest change of a score
    while functions are watched, by the largest score. refusal: the reason, or ""."""

    share: float = 0.0
    difference: float = 0.0
    finite: bool = True
    refusal: str = ""


def build(name: str) -> nn.Module:
    """Builds a network of timm, or of torchvision, with random weights and without biases."""
    torch.manual_seed(0)
    if name.startswith("torchvision/"):
        from torchvision.models import get_model

        module: nn.Module = get_model(name.removeprefix("torchvision/"), weights=None)
    else:
        module = timm.create_model(name)
    with torch.no_grad():
        for key, values in module.named_parameters():
            if key.endswith("bias"):
                values.zero_()
    return module.eval()


def measure(module: nn.Module, pictures: Tensor, composite: Composite) -> Outcome:
    """Propagates the score of the top class of one image."""
    name = type(module).__name__
    with torch.no_grad():
        scores = module(pictures)
    top = scores.argmax(1, keepdim=True)
    try:
        found = Replay(module, pictures, ()).gradients(pictures, top, 1, lambda: RelevanceMode(composite, name))
    except CamxError as error:
        return Outcome(refusal=first_line(error))
    with undisturbed(module), RelevanceMode(composite, name):
        watched = module(pictures.clone().requires_grad_())
    difference = float((watched.detach() - scores).abs().max() / scores.abs().max())
    return Outcome(float(found.sum() / scores.gather(1, top)), difference, bool(found.isfinite().all()))


def census(name: str) -> tuple[Outcome, Outcome]:
    """Measures `lrp` and `attnlrp` on a network of `NETWORKS`, on one image of noise."""
    side = NETWORKS[name]
    pictures = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    module = build(name)
    return measure(module, pictures, CONVOLUTIONAL), measure(module, pictures, ATTENTIVE)


def main(names: list[str]) -> None:
    """Prints one row per network."""
    for name in names or NETWORKS:
        cells = [
            "error: attention" if "attention" in one.refusal else one.refusal or f"{one.share:.2f}"
            for one in census(name)
        ]
        print(f"| `{name}` | {cells[0]} | {cells[1]} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
