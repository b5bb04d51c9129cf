"""What a name after `--model` means."""

from __future__ import annotations

import os
from fnmatch import fnmatch

from ..errors import CamxError, nearest
from .libraries import Architecture, TimmModel, TorchvisionModel, timm_names, torchvision_names

#: The model that ships inside the package (docs/demo.md).
DEMO = "demo"
DEMO_FILE = os.path.join(os.path.dirname(__file__), os.pardir, "demo", "demo.safetensors")


def find_architecture(name: str) -> Architecture:
    """The library and the network a name means: `timm/…`, `torchvision/…`, `hf-hub:…`, or bare (timm first)."""
    library, _, rest = name.partition("/")
    bare, _, tag = rest.partition(".")
    if name.startswith("hf-hub:"):
        return TimmModel(name)
    if library == "torchvision" and bare in torchvision_names():
        return TorchvisionModel(bare, tag)
    if library == "timm" and bare in timm_names():
        return TimmModel(rest)
    if not rest:
        bare, _, tag = name.partition(".")
        if bare in timm_names():
            return TimmModel(name)
        if bare in torchvision_names():
            return TorchvisionModel(bare, tag)
    raise CamxError(_unknown(name))


def model_names(pattern: str = "") -> list[tuple[str, str]]:
    """Pairs (library, name) usable as a model; `pattern` is a glob, a plain word matches anywhere."""
    glob = pattern if any(c in pattern for c in "*?[") else f"*{pattern}*"
    by_library = {"camx": (DEMO,), "timm": timm_names(), "torchvision": torchvision_names()}
    pairs = [(library, name) for library, names in by_library.items() for name in names]
    return [(library, name) for library, name in pairs if fnmatch(name, glob) or fnmatch(f"{library}/{name}", glob)]


def is_name(name: str) -> bool:
    """Names win over files and folders that happen to be called the same; `./resnet50` is a path."""
    try:
        find_architecture(name)
    except CamxError:
        return False
    return True


def _unknown(name: str) -> str:
    if os.path.splitext(name)[1].lower() in (".pt", ".pth", ".ckpt", ".safetensors", ".bin"):
        return f"There is no checkpoint file {name!r}. Check the path."
    bare = name.split("/")[-1].partition(".")[0]
    known = [n for _, n in model_names()]
    return f"Unknown model {name!r}.{nearest(bare, known)} `camx models PATTERN` lists the names."
