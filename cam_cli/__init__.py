"""camx explains image classifiers: which part of a picture speaks for a class.

>>> from cam_cli import Explainer, load_model
>>> explainer = Explainer(load_model("resnet50"))
>>> explanations = explainer([image])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .analysis.logger import FeatureLogger
    from .analysis.sinks import FolderSink, WandbSink
    from .cams.explainer import Explainer, ExplainOptions
    from .cams.explanation import Explanation
    from .cams.targets import Target
    from .errors import CamxError
    from .models.catalog import ModelSpec, Network, load_model
    from .outputs.pictures import overlay

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
    "ExplainOptions": "cams.explainer",
    "Explainer": "cams.explainer",
    "Explanation": "cams.explanation",
    "FeatureLogger": "analysis.logger",
    "FolderSink": "analysis.sinks",
    "ModelSpec": "models.catalog",
    "Network": "models.catalog",
    "Target": "cams.targets",
    "WandbSink": "analysis.sinks",
    "load_model": "models.catalog",
    "overlay": "outputs.pictures",
}


def __getattr__(name: str) -> Any:
    """The public names, loaded when they are used: `import cam_cli` alone does not import torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
