"""Examines torch-cam and grad-cam on the networks of the census, where they are installed."""

from __future__ import annotations

import importlib.util

import numpy as np
import torch

from cam_cli.cams.methods.registry import METHODS
from cam_cli.cams.target_layer.choose import choose_layer
from cam_cli.cams.tracing.trace import trace
from cam_cli.errors import CamxError
from cam_cli.models.hooks import TargetLayer

from .verdict import EVERYWHERE, Built


def verdicts(built: Built) -> dict[str, str]:
    """`right`, or what is wrong, by library: torch-cam's automatic layer; grad-cam's map on our layer (it has no
    automatic one)."""
    found = {}
    if importlib.util.find_spec("torchcam"):
        found["torch-cam"] = _torchcam(built)
    if importlib.util.find_spec("pytorch_grad_cam"):
        found["grad-cam"] = _gradcam(built)
    return found


def _torchcam(built: Built) -> str:
    from torchcam.methods._utils import locate_candidate_layer

    try:
        name = locate_candidate_layer(built.module, tuple(built.picture.shape[1:]))
    except Exception as error:
        return f"fails: {type(error).__name__}"
    if name is None:
        return "finds no layer"
    try:
        theirs = choose_layer(built.module, built.preprocessing.input_size, built.preprocessing.channels, name or "")
    except CamxError as error:
        return f"{name or 'the whole network'}: {str(error).split(': ', 1)[-1].split('. ')[0]}"
    if theirs.layout.kind != "NCHW":
        return f"{name}: axes misread ({theirs.layout.kind})"
    return _compared(built, theirs)


def _compared(built: Built, theirs: TargetLayer) -> str:
    ours = trace(built.module, built.picture, built.layer)
    other = trace(built.module, built.picture, theirs)
    classes = other.logits.topk(5).indices
    share = float((other.gradients(classes) != 0).any(dim=(1, 2)).float().mean())
    if share < EVERYWHERE:
        return f"{theirs.name}: gradient at {share:.0%} of the positions"
    if other.features.shape == ours.features.shape and torch.equal(other.features, ours.features):
        return "right"
    return f"{theirs.name}: another map, alive"


def _gradcam(built: Built) -> str:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    traced = trace(built.module, built.picture, built.layer)
    best = traced.logits.argmax(1, keepdim=True)
    ours = METHODS["gradcam"].maps(traced, best)[0, 0].clamp_min(0)
    ours = torch.nn.functional.interpolate(ours[None, None], built.picture.shape[2:], mode="bilinear")[0, 0].numpy()
    try:
        with GradCAM(built.module, [built.module.get_submodule(built.layer.name)]) as method:
            theirs = method(built.picture, [ClassifierOutputTarget(int(best))])[0]
    except Exception as error:
        return f"fails: {type(error).__name__}"
    if not np.isfinite(theirs).all():
        return "not finite"
    if ours.std() == 0 or theirs.std() == 0:
        return "right" if ours.std() == theirs.std() else "blank"
    return "right" if np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99 else "another map"
