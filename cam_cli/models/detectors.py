"""Reads the preprocessing and the number of classes of a detector from its modules."""

from __future__ import annotations

from torch import nn

from ..images.geometry import Preprocessing


def detector_preprocessing(network: nn.Module) -> Preprocessing | None:
    """The preprocessing of a detector that resizes and normalises images itself, as in torchvision; else None."""
    own = getattr(network, "transform", None)
    mean, sizes = getattr(own, "image_mean", None), getattr(own, "min_size", None)
    if not isinstance(own, nn.Module) or mean is None or sizes is None:
        return None
    fixed = getattr(own, "fixed_size", None)
    side = int(sizes[-1] if isinstance(sizes, (list, tuple)) else sizes)
    # A fixed size is width and height.
    height, width = (int(fixed[1]), int(fixed[0])) if fixed else (side, side)
    zeros, ones = (0.0,) * len(mean), (1.0,) * len(mean)
    return Preprocessing((height, width), (height, width), "squash", "bilinear", zeros, ones, whole=True)


def usual_methods(network: nn.Module) -> tuple[str, ...]:
    """Returns the default methods of a network, if other than usual: HiResCAM for a detector.

    The score of a box only depends on the pyramid near the box. A mean of the gradient over the whole pyramid, as in
    Grad-CAM, loses this position, and shows everything to which the channels respond.
    """
    return ("hirescam",) if detector_preprocessing(network) is not None else ()


def detected_classes(network: nn.Module) -> int:
    """Returns the number of classes of a detector, by the modules of its head; 0 if they do not state it."""
    stated = [vars(one)["num_classes"] for one in network.modules() if isinstance(vars(one).get("num_classes"), int)]
    scores = [
        one.out_features
        for name, one in network.named_modules()
        if isinstance(one, nn.Linear) and name.endswith("cls_score")
    ]
    return max([*stated, *scores], default=0)
