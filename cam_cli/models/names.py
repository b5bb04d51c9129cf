"""Parses the name in `--model` and finds the architecture."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatch

from ..errors import CamxError, nearest
from .hf.place import hub_place, is_hub_name
from .libraries import (
    Architecture,
    TimmModel,
    TorchvisionModel,
    deprecated_names,
    other_kind,
    served_names,
    timm_names,
)

#: The model that ships inside the package (docs/demo.md).
DEMO = "demo"
#: Most characters in the name of a network.
_LONGEST = 300
DEMO_FILE = os.path.join(os.path.dirname(__file__), os.pardir, "demo", "demo.safetensors")


def find_architecture(name: str) -> Architecture:
    """Architecture of a name: `timm/…`, `torchvision/…`, `hf-hub:…`, or bare (timm first)."""
    name = canonical(name)
    found = _known(name)
    if found is None:
        raise CamxError(_unknown(name))
    return found


def _known(name: str) -> Architecture | None:
    """Architecture of a canonical name; None if unknown."""
    library, _, rest = name.partition("/")
    bare, _, tag = rest.partition(".")
    if name.startswith("hf-hub:"):
        return TimmModel(name)
    if library == "torchvision" and bare in served_names():
        return TorchvisionModel(bare, tag)
    if library == "timm" and bare in timm_names():
        return TimmModel(rest)
    if not rest:
        bare, _, tag = name.partition(".")
        if bare in timm_names():
            return TimmModel(name)
        if bare in served_names():
            return TorchvisionModel(bare, tag)
    return None


def canonical(name: str) -> str:
    """Canonical name of a network; unknown names stay unchanged.

    Accepts `hf_hub:REPO`, the web page of a hub repository, `timm:NAME`, `ResNet50_Weights.IMAGENET1K_V2`, and
    deprecated names of timm.
    """
    if page := re.fullmatch(r"(?:https?://)?huggingface\.co/([\w.-]+/[\w.-]+)(?:/tree/[\w.-]+)?/?", name):
        return f"hf-hub:{page[1]}"
    if name.startswith(("hf_hub:", "hf-hub:")):
        return f"hf-hub:{name[7:]}"
    if name.startswith(("timm:", "torchvision:")):
        name = name.replace(":", "/", 1)
    if enum := re.fullmatch(r"(?:torchvision\.models\.)?(\w+_Weights)\.(\w+)", name):
        return _of_weights(enum[1], enum[2]) or name
    return renamed(name) or name


def renamed(name: str) -> str:
    """New name in timm of a deprecated `name`; "" if it is not deprecated."""
    bare = name.removeprefix("timm/")
    return deprecated_names().get(bare, "") if bare not in timm_names() else ""


def _of_weights(kind: str, tag: str) -> str:
    """Architecture of an enumeration of torchvision's weights."""
    from torchvision.models import get_model_weights

    for name in served_names():
        if get_model_weights(name).__name__ == kind:
            return f"torchvision/{name}" + (f".{tag}" if tag != "DEFAULT" else "")
    return ""


def model_names(pattern: str = "") -> list[tuple[str, str]]:
    """Pairs (library, name) of usable models. `pattern` is a glob; a plain word matches anywhere."""
    glob = pattern if any(c in pattern for c in "*?[") else f"*{pattern}*"
    by_library = {"camx": (DEMO,), "timm": timm_names(), "torchvision": served_names()}
    pairs = [(library, name) for library, names in by_library.items() for name in names]
    return [(library, name) for library, name in pairs if fnmatch(name, glob) or fnmatch(f"{library}/{name}", glob)]


def is_name(name: str) -> bool:
    """Whether a text is a name. A name wins over a file or folder of the same name; `./resnet50` is a path."""
    return len(name) < _LONGEST and _known(canonical(name)) is not None


def is_hub_network(name: str) -> bool:
    """Whether a network of transformers or open_clip has this name: `hf:PATH_OR_ID`, or a folder of one."""
    return is_hub_name(name) or (not is_name(name) and hub_place(name) is not None)


def _unknown(name: str) -> str:
    if os.path.splitext(name)[1].lower() in (".pt", ".pth", ".ckpt", ".safetensors", ".bin"):
        return f"There is no checkpoint file {name!r}. Check the path."
    if "/" not in name.removeprefix("torchvision/") and (reason := other_kind(name.removeprefix("torchvision/"))):
        return f"The model {name!r} of torchvision {reason}."
    if re.fullmatch(r"[\w-]+/[\w.-]+", name) and name.partition("/")[0] not in ("timm", "torchvision"):
        return (
            f"Unknown model {name!r}. For a repository of the Hugging Face hub give hf-hub:{name} (timm) or "
            f"hf:{name} (transformers, open_clip); for a file give its path."
        )
    bare = name.split("/")[-1].partition(".")[0]
    known = [n for _, n in model_names()]
    return f"Unknown model {name!r}.{nearest(bare, known)} `camx models PATTERN` lists the names."
