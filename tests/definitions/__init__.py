"""The methods as their papers define them: one image, one class, the whole graph, float64, loops for sums.

Slow and obvious on purpose. A module for each family. `A` are the activations C×h×w, `g` the gradients of the class
score with respect to them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .attention import SlowAttention, attention_gradient, attention_rollout, legrad, tis
from .backward import deconvnet, fullgrad, guided_backprop, guided_gradcam
from .coalitions import kernel_shap, lime
from .components import eigencam, eigengradcam, fem, kpcacam, segeigencam
from .gradients import (
    cam,
    elementwise,
    finercam,
    gradcam,
    gradcampp,
    hirescam,
    layercam,
    refinecam,
    sess,
    shapleycam,
    smooth_gradcampp,
    xgradcam,
)
from .perturbation import ablationcam, iscam, occlusion, reciprocam, rise, scorecam, sscam
from .pixels import (
    blur_ig,
    gradient_shap,
    guided_ig,
    integrated_gradients,
    saliency,
    smoothgrad,
    smoothgrad_squared,
    vargrad,
    xrai,
)
from .relevance import attnlrp, lrp
from .slow import Slow

__all__ = ["ATTENTION", "DEFINITIONS", "Slow", "SlowAttention"]

#: Methods for maps of a convolutional network.
DEFINITIONS: dict[str, Callable[[Slow], np.ndarray]] = {
    "gradcam": gradcam,
    "cam": cam,
    "gradcam++": gradcampp,
    "smooth-gradcam++": smooth_gradcampp,
    "xgradcam": xgradcam,
    "hirescam": hirescam,
    "layercam": layercam,
    "elementwise": elementwise,
    "finercam": finercam,
    "shapleycam": shapleycam,
    "refinecam": refinecam,
    "sess": sess,
    "eigencam": eigencam,
    "kpcacam": kpcacam,
    "eigengradcam": eigengradcam,
    "segeigencam": segeigencam,
    "fem": fem,
    "scorecam": scorecam,
    "sscam": sscam,
    "iscam": iscam,
    "ablationcam": ablationcam,
    "reciprocam": reciprocam,
    "rise": rise,
    "occlusion": occlusion,
    "kernel-shap": kernel_shap,
    "lime": lime,
    "saliency": saliency,
    "smoothgrad": smoothgrad,
    "smoothgrad-squared": smoothgrad_squared,
    "vargrad": vargrad,
    "integrated-gradients": integrated_gradients,
    "gradient-shap": gradient_shap,
    "blur-ig": blur_ig,
    "guided-ig": guided_ig,
    "xrai": xrai,
    "fullgrad": fullgrad,
    "guided-backprop": guided_backprop,
    "deconvnet": deconvnet,
    "guided-gradcam": guided_gradcam,
    "lrp": lrp,
}

#: Methods for transformers.
ATTENTION: dict[str, Callable[[SlowAttention], np.ndarray]] = {
    "attention-rollout": attention_rollout,
    "attention-gradient": attention_gradient,
    "attnlrp": attnlrp,
    "legrad": legrad,
    "tis": tis,
}
