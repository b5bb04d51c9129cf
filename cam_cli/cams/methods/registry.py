"""The table of methods. Each entry stands above its function; this module collects them in order."""

from __future__ import annotations

from . import (
    attention,
    components,
    concepts,
    gradients,
    guided_path,
    noisy_copies,
    occlusion,
    paths,
    perturbation,
    pixels,
)
from .method import REGISTERED, Method
from .names import METHOD_NAMES

__all__ = [
    "METHODS",
    "attention",
    "components",
    "concepts",
    "gradients",
    "guided_path",
    "noisy_copies",
    "occlusion",
    "paths",
    "perturbation",
    "pixels",
]

METHODS: dict[str, Method] = {name: REGISTERED[name] for name in METHOD_NAMES}
