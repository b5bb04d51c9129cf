"""The table of methods. Each entry stands above its function; this module collects them in order."""

from __future__ import annotations

from . import (
    attention,
    coalitions,
    components,
    concepts,
    fullgrad,
    gradients,
    guided_path,
    noisy_copies,
    occlusion,
    paths,
    perturbation,
    pixels,
    refined,
    relevance,
    score_averages,
    token_sampling,
    xrai,
)
from .method import REGISTERED, Method
from .names import METHOD_NAMES

__all__ = [
    "METHODS",
    "attention",
    "coalitions",
    "components",
    "concepts",
    "fullgrad",
    "gradients",
    "guided_path",
    "noisy_copies",
    "occlusion",
    "paths",
    "perturbation",
    "pixels",
    "refined",
    "relevance",
    "score_averages",
    "token_sampling",
    "xrai",
]

METHODS: dict[str, Method] = {name: REGISTERED[name] for name in METHOD_NAMES}
