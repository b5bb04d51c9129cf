"""The methods: one function each, from the trace of a forward to maps of any sign and scale.

Importing this package does not import torch, so that `--help` can list the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from . import attention, concepts, gradients, perturbation, pixels

if TYPE_CHECKING:
    from torch import Tensor

    from ..tracing.trace import Trace
    from .concepts import Concepts

__all__ = ["METHODS", "Method"]


@dataclass(frozen=True)
class Method:
    """`maps(trace, classes)`: B×T×h×w for B×T class indices (or `Concepts`), and what a reader should know of it.

    equation: one line, g the gradient of the class score y_c to the activations A (both C×h×w), x the picture.
    forwards: forwards of the network per image beyond the one that gives the predictions; "head" runs only what
    lies behind the layer. works: for which networks. grid: where the map lives. per: what there is a map of.
    signed: whether what speaks against a class has a map of its own. check: raises `CamxError` for a network
    (in a trace of one picture) that the method cannot work with.
    """

    maps: Callable[[Trace, Tensor], Tensor | Concepts]
    summary: str
    paper: str
    equation: str
    forwards: str = "0"
    gradients: bool = True
    works: str = "CNN, ViT"
    grid: Literal["layer", "pixels", "patches"] = "layer"
    per: Literal["class", "image", "concept"] = "class"
    signed: bool = True
    needs_classifier: bool = False
    twice: bool = False
    check: Callable[[Trace], None] | None = None


METHODS: dict[str, Method] = {
    "gradcam": Method(
        gradients.gradcam,
        "gradient-weighted activations; for every network",
        "Selvaraju et al. 2017",
        "Σ_k mean(g_k)·A_k",
    ),
    "cam": Method(
        gradients.cam,
        "weights of the classifier; exact, for GAP + linear heads",
        "Zhou et al. 2016",
        "Σ_k w_k^c·A_k",
        gradients=False,
        works="GAP + linear",
        needs_classifier=True,
    ),
    "gradcam++": Method(
        gradients.gradcampp,
        "Grad-CAM with weights per position, for several objects",
        "Chattopadhay et al. 2018",
        "Σ_k Σ_ij[α·ReLU(g_k)]·A_k, α = g² / (2g² + ΣA·g³)",
    ),
    "smooth-gradcam++": Method(
        gradients.smooth_gradcampp,
        "Grad-CAM++ over noisy copies of the picture",
        "Omeiza et al. 2019",
        "Grad-CAM++ with the means of g, g², g³ over 8 noisy copies",
        forwards=str(gradients.SAMPLES),
    ),
    "xgradcam": Method(
        gradients.xgradcam,
        "gradients weighted by their share of the activation",
        "Fu et al. 2020",
        "Σ_k Σ_ij[(A_k/ΣA_k)·g_k]·A_k",
    ),
    "hirescam": Method(
        gradients.hirescam,
        "gradient times activation at each position",
        "Draelos and Carin 2020",
        "Σ_k g_k⊙A_k",
    ),
    "layercam": Method(
        gradients.layercam,
        "positive gradients times activations; for early layers too",
        "Jiang et al. 2021",
        "Σ_k ReLU(g_k)⊙A_k",
    ),
    "elementwise": Method(
        gradients.elementwise,
        "Grad-CAM element-wise: positive products only",
        "Gildenblat 2021 (pytorch-grad-cam)",
        "Σ_k ReLU(g_k⊙A_k)",
    ),
    "finercam": Method(
        gradients.finercam,
        "what sets a class off from the most similar ones",
        "Zhang et al. 2025",
        "Grad-CAM of y_c − Σ_d p_d·y_d over the 3 nearest classes d",
    ),
    "shapleycam": Method(
        gradients.shapleycam,
        "Shapley values of the activations to second order",
        "Cai 2025",
        "Σ_k mean(∇u − ½H·A)_k·A_k, u = y_c + ln p_c",
        twice=True,
    ),
    "eigencam": Method(
        gradients.eigencam,
        "first principal component of the activations; no class",
        "Muhammad and Yeasin 2020",
        "A·v₁, A = UΣVᵀ",
        gradients=False,
        per="image",
        signed=False,
    ),
    "eigengradcam": Method(
        gradients.eigengradcam,
        "first principal component of gradient times activation",
        "Gildenblat 2021 (pytorch-grad-cam)",
        "(g⊙A)·v₁, g⊙A = UΣVᵀ",
    ),
    "fem": Method(
        gradients.fem,
        "where channels stand out from themselves; no class",
        "Fuad et al. 2020",
        "Σ_k μ_k·[A_k > μ_k + 2σ_k]",
        gradients=False,
        per="image",
        signed=False,
    ),
    "scorecam": Method(
        perturbation.scorecam,
        "channels as masks on the picture",
        "Wang et al. 2020",
        "Σ_k softmax_k(y_c(x⊙U(A_k)))·A_k",
        forwards="C",
        gradients=False,
    ),
    "ablationcam": Method(
        perturbation.ablationcam,
        "drop of the score without a channel",
        "Desai and Ramaswamy 2020",
        "Σ_k (y_c − y_c(A_k=0))·A_k",
        forwards="1 + C head",
        gradients=False,
    ),
    "reciprocam": Method(
        perturbation.reciprocam,
        "score with one position alone",
        "Byun and Lee 2024",
        "p_c(A⊙G_ij) at ij, less its minimum; G_ij a 3×3 Gaussian",
        forwards="1 + h·w head",
        gradients=False,
    ),
    "rise": Method(
        perturbation.rise,
        "random masks on the picture; the network as a black box",
        "Petsiuk et al. 2018",
        "Σ_n (p_n − p̄)·(M_n − E M) / (N·var M)",
        forwards=str(perturbation.MASKS),
        gradients=False,
    ),
    "saliency": Method(
        pixels.saliency,
        "gradient of the score to the pixels",
        "Simonyan et al. 2014",
        "max_rgb |∂y_c/∂x|",
        forwards="1",
        grid="pixels",
        signed=False,
    ),
    "smoothgrad": Method(
        pixels.smoothgrad,
        "saliency averaged over noisy copies of the picture",
        "Smilkov et al. 2017",
        "max_rgb |mean_n ∂y_c/∂x (x + ε_n)|",
        forwards=str(pixels.SAMPLES),
        grid="pixels",
        signed=False,
    ),
    "integrated-gradients": Method(
        pixels.integrated_gradients,
        "gradient along the way from black to the picture",
        "Sundararajan et al. 2017",
        "Σ_rgb (x−x′)·∫₀¹ ∂y_c/∂x (x′+t(x−x′)) dt",
        forwards=str(pixels.STEPS),
        grid="pixels",
    ),
    "guided-backprop": Method(
        pixels.guided_backprop,
        "positive gradients through open ReLUs",
        "Springenberg et al. 2015",
        "max_rgb |∂y_c/∂x|, each ReLU: R ← [a>0]·[R>0]·R",
        forwards="1",
        works="ReLU",
        grid="pixels",
        check=pixels.needs_relu,
    ),
    "deconvnet": Method(
        pixels.deconvnet,
        "positive gradients through all ReLUs",
        "Zeiler and Fergus 2014",
        "max_rgb |∂y_c/∂x|, each ReLU: R ← [R>0]·R",
        forwards="1",
        works="ReLU",
        grid="pixels",
        check=pixels.needs_relu,
    ),
    "guided-gradcam": Method(
        pixels.guided_gradcam,
        "guided backpropagation where Grad-CAM is positive",
        "Selvaraju et al. 2017",
        "guided backprop ⊙ U(ReLU(Grad-CAM))",
        forwards="1",
        works="ReLU",
        grid="pixels",
        check=pixels.needs_relu,
    ),
    "attention-rollout": Method(
        attention.rollout,
        "attention multiplied through the layers; no class",
        "Abnar and Zuidema 2020",
        "Π_l (½I + ½·mean_heads A_l), row of the class token",
        forwards="1",
        gradients=False,
        works="ViT",
        grid="patches",
        per="image",
        signed=False,
        check=attention.needs_attention,
    ),
    "attention-gradient": Method(
        attention.attention_gradient,
        "gradient-weighted attention through the layers",
        "Chefer et al. 2021",
        "R ← R + mean_heads(ReLU(∇A_l⊙A_l))·R, row of the class token",
        forwards="1",
        works="ViT",
        grid="patches",
        check=attention.needs_attention,
    ),
    "legrad": Method(
        attention.legrad,
        "sensitivity of the score to the attention of each layer",
        "Bousselham et al. 2025",
        "mean_l,heads,queries ReLU(∂s_l/∂A_l), less its minimum",
        forwards="1 + L head",
        works="ViT",
        grid="patches",
        check=attention.needs_blocks,
    ),
    "dff": Method(
        concepts.deep_feature_factorization,
        "deep feature factorization: four concepts per picture, with their classes",
        "Collins et al. 2018",
        "ReLU(A) ≈ V·W, V, W ≥ 0; the columns of V",
        forwards="1 + 4 head",
        gradients=False,
        per="concept",
        signed=False,
    ),
}
