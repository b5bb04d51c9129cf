"""Facts of a detector that its modules tell: what it does with an image itself, and how many classes it has."""

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
    """The methods for a network where the user asks for none: of a detector one that keeps the place of the gradient.

    The score of a box depends on the pyramid near the box alone. Means over all of it, as Grad-CAM takes them, forget
    that, and show whatever else the channels see.
    """
    return ("hirescam",) if detector_preprocessing(network) is not None else ()


def detected_classes(network: nn.Module) -> int:
    """The number of classes of a detector, by the modules of its head; 0 where they do not say."""
    said = [vars(one)["num_classes"] for one in network.modules() if isinstance(vars(one).get("num_classes"), int)]
    scores = [
        one.out_features
        for name, one in network.named_modules()
        if isinstance(one, nn.Linear) and name.endswith("cls_score")
    ]
    return max([*said, *scores], default=0)
