"""camx explains image classifiers with class activation maps: the part of an image that supports a class.

>>> from cam_cli import Explainer, load_model
>>> explainer = Explainer(load_model("resnet50"))
>>> explanations = explainer(["dog.jpg"])
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
    from .folder_run import explain_folder
    from .maps.explanation import Explanation
    from .models.catalog import Network, load_model
    from .models.options import ModelSpec
    from .outputs.drawing import heatmap, overlay
    from .outputs.options import Rendering
    from .results import read_results

    __version__: str

__all__ = [
    "CamxError",
    "ExplainOptions",
    "Explainer",
    "Explanation",
    "FeatureLogger",
    "FolderSink",
    "ModelSpec",
    "Network",
    "Rendering",
    "Target",
    "WandbSink",
    "explain_folder",
    "heatmap",
    "load_model",
    "overlay",
    "read_results",
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
    "Rendering": "outputs.options",
    "Target": "cams.engine.targets",
    "WandbSink": "features.sinks",
    "explain_folder": "folder_run",
    "heatmap": "outputs.drawing",
    "load_model": "models.catalog",
    "overlay": "outputs.drawing",
    "read_results": "results",
}


def __getattr__(name: str) -> Any:
    """Loads the public names on first use: `import cam_cli` does not import torch."""
    from importlib import import_module

    if name == "__version__":
        from .outputs.versions import own_version

        return own_version()
    if name not in _HOMES:
        from .errors import nearest

        raise AttributeError(f"module {__name__!r} has no attribute {name!r}.{nearest(name, _HOMES)}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
