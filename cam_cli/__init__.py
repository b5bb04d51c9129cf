"""camx explains image classifiers with class activation maps: the part of an image that supports a class.

>>> from cam_cli import Explainer, load_model
>>> explainer = Explainer(load_model("resnet50"))
>>> explanations = explainer([image])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cams.engine.explainer import Explainer
    from .cams.engine.options import ExplainOptions
    from .cams.engine.targets import Target
    from .errors import CamxError
    from .features.logger import FeatureLogger
    from .features.sinks import FolderSink, WandbSink
    from .maps.explanation import Explanation
    from .models.catalog import Network, load_model
    from .models.options import ModelSpec
    from .outputs.drawing import overlay

__all__ = [
    "CamxError",
    "ExplainOptions",
    "Explainer",
    "Explanation",
    "FeatureLogger",
    "FolderSink",
    "ModelSpec",
    "Network",
    "Target",
    "WandbSink",
    "load_model",
    "overlay",
]

_HOMES = {
    "CamxError": "errors",
    "ExplainOptions": "cams.engine.options",
    "Explainer": "cams.engine.explainer",
    "Explanation": "maps.explanation",
    "FeatureLogger": "features.logger",
    "FolderSink": "features.sinks",
    "ModelSpec": "models.options",
    "Network": "models.catalog",
    "Target": "cams.engine.targets",
    "WandbSink": "features.sinks",
    "load_model": "models.catalog",
    "overlay": "outputs.drawing",
}


def __getattr__(name: str) -> Any:
    """The public names, loaded when they are used: `import cam_cli` alone does not import torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
