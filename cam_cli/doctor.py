"""Collects versions, devices, decoders, caches and extras of an installation for a bug report, without secrets."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .machine import cpus, total_memory
from .sentences import counted

PACKAGES = ("torch", "torchvision", "timm", "pillow", "numpy", "safetensors", "typer", "rich", "wandb")
#: Extras of the package, with their distributions.
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "open-clip": ("open_clip_torch",),
    "parquet": ("pyarrow",),
    "openvino": ("openvino",),
    "ray": ("ray",),
    "remote": ("fsspec", "s3fs", "gcsfs", "aiohttp", "huggingface_hub"),
    "tensorboard": ("tensorboard",),
    "text": ("transformers",),
}
#: Decoders that some builds of Pillow lack.
_DECODERS = {"JPEG": "jpg", "JPEG 2000": "jpg_2000", "PNG": "zlib", "TIFF": "libtiff", "WebP": "webp", "AVIF": "avif"}
#: Variables about the origin of networks and images. Their values are paths or switches, never secrets.
_VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
    "HF_HOME",
    "HF_HUB_OFFLINE",
    "OMP_NUM_THREADS",
    "TORCH_HOME",
    "WANDB_DIR",
    "WANDB_DISABLED",
    "WANDB_MODE",
)


@dataclass(frozen=True)
class Diagnosis:
    """Names and values of an installation by section, and sentences about problems."""

    sections: Mapping[str, Mapping[str, str]]
    problems: tuple[str, ...] = field(default=())


def versions() -> dict[str, str]:
    """Versions of Python and of the packages on which results depend, from metadata, without imports."""
    return {"Python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def diagnose() -> Diagnosis:
    """Examines this process, its packages and devices. Imports torch; loads no network and opens no connection."""
    problems: list[str] = []
    return Diagnosis(
        {
            "system": _system(),
            "packages": {name: _version(name) for name in PACKAGES},
            "devices": _devices(problems),
            "decoders": _decoders(problems),
            "extras": {name: _extra(parts) for name, parts in EXTRAS.items()},
            "caches": _caches(),
            "W&B": _wandb(),
            "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        },
        tuple(problems),
    )


def _system() -> dict[str, str]:
    memory = total_memory()
    return {
        "camx": _version("camx"),
        "Python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        "processors": str(cpus()),
        "memory": f"{memory / 2**30:.1f} GiB" if memory else "unknown",
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _devices(problems: list[str]) -> dict[str, str]:
    """Devices by their names for `--device`."""
    try:
        torch = importlib.import_module("torch")
        importlib.import_module("torchvision")
        importlib.import_module("timm")
    except Exception as error:  # a broken build raises anything, not only ImportError
        problems.append(f"torch, torchvision or timm cannot be imported ({error}). Install versions that fit together.")
        return {}
    found = {"cpu": f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"}
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        found[f"cuda:{index}"] = f"{facts.name}, {facts.total_memory / 2**30:.1f} GiB, CUDA {torch.version.cuda}"
    if torch.backends.mps.is_available():
        found["mps"] = "available"
    if torch.version.cuda and not torch.cuda.is_available():
        found["cuda"] = f"torch is built for CUDA {torch.version.cuda}, but finds no device"
    return found


def _decoders(problems: list[str]) -> dict[str, str]:
    from PIL import features

    found = {}
    for name, feature in _DECODERS.items():
        there = features.check(feature)
        found[name] = (features.version(feature) or "yes") if there else "missing"
        if not there and name in ("JPEG", "PNG"):
            problems.append(f"Pillow has no {name} decoder. Install Pillow from PyPI.")
    return found


def _extra(parts: tuple[str, ...]) -> str:
    versions = {name: _version(name) for name in parts}
    missing = [name for name, one in versions.items() if one == "missing"]
    if not missing:
        return ", ".join(f"{name} {one}" for name, one in versions.items())
    return f"missing: {', '.join(missing)}"


def _caches() -> dict[str, str]:
    """Folders of downloaded weights, and their contents."""
    home = Path.home() / ".cache"
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", home / "huggingface")) / "hub")
    torch_home = Path(os.environ.get("TORCH_HOME", home / "torch")) / "hub" / "checkpoints"
    return {"hub": _folder(hub), "torchvision": _folder(torch_home)}


def _folder(path: Path) -> str:
    try:
        count = sum(1 for _ in path.iterdir())
    except OSError:
        return f"{path} (does not exist)"
    return f"{path} ({counted(count, 'entry', 'entries')})"


def _wandb() -> dict[str, str]:
    """W&B mode, and whether a key is set; never the key itself."""
    mode = os.environ.get("WANDB_MODE", "")
    key = "WANDB_API_KEY is set" if os.environ.get("WANDB_API_KEY") else "WANDB_API_KEY is not set"
    return {"version": _version("wandb"), "mode": mode or "default", "key": key}
