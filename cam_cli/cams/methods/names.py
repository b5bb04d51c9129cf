"""Names of the methods, of kinds of evidence and of smoothings, for the help and for checks of options.

Importing this module does not import torch.
"""

from __future__ import annotations

#: In the order of every table and of the help; each has an entry in this package (`registry.METHODS`).
METHOD_NAMES = (
    "gradcam",
    "cam",
    "gradcam++",
    "smooth-gradcam++",
    "xgradcam",
    "hirescam",
    "layercam",
    "elementwise",
    "finercam",
    "shapleycam",
    "refinecam",
    "sess",
    "eigencam",
    "kpcacam",
    "eigengradcam",
    "segeigencam",
    "fem",
    "scorecam",
    "sscam",
    "iscam",
    "ablationcam",
    "reciprocam",
    "tis",
    "rise",
    "occlusion",
    "kernel-shap",
    "lime",
    "saliency",
    "smoothgrad",
    "smoothgrad-squared",
    "vargrad",
    "integrated-gradients",
    "gradient-shap",
    "blur-ig",
    "guided-ig",
    "xrai",
    "fullgrad",
    "guided-backprop",
    "deconvnet",
    "guided-gradcam",
    "lrp",
    "attention-rollout",
    "attention-gradient",
    "attnlrp",
    "legrad",
    "dff",
)

#: Evidence for a class, against it, or both in one map of two signs (`fusion.maps_of`).
EVIDENCE = ("for", "against", "both")

#: Views over which maps are averaged (`augmentation.VIEWS`).
SMOOTHINGS = ("none", "flip", "aug")
