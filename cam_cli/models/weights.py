"""Files of weights, read as data: recognised by content, nothing in them is ever executed, damage is named."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from ..errors import CamxError
from .placeholders import STAND_INS

Tensors = dict[str, torch.Tensor]

#: Files that a folder of weights can hold, the one to be taken first.
FILES = ("model.safetensors", "pytorch_model.bin", "model.pth", "model.pt")
#: The longest header of a .safetensors file, in bytes; that of the largest networks is some hundred thousand.
_LONGEST_HEADER = 100_000_000
_AGAIN = "Download or save it again."


def read_weights(path: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """What a file holds, and its metadata.

    Of a .safetensors these are the tensors by name; of a torch file the saved mapping, with stand-ins for objects
    of other packages, and None. Raises `CamxError` that names what the file is instead, if it is neither.
    """
    start = _start_of(path)
    if len(start) >= 9 and start[8:9] == b"{":
        return _safetensors(path, int.from_bytes(start[:8], "little"))
    return _torch_file(path, start), None


def weights_in(folder: str) -> str:
    """The file of weights in a folder. Raises `CamxError` if there is none."""
    found = next((name for name in FILES if os.path.isfile(os.path.join(folder, name))), None)
    if found is None:
        raise CamxError(
            f"The folder {folder!r} holds no weights ({', '.join(FILES[:2])}). Give the checkpoint file itself."
        )
    return os.path.join(folder, found)


def _start_of(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            start = file.read(512)
    except OSError as error:
        raise CamxError(f"The checkpoint {path!r} cannot be read: {error.strerror}. Check the path.") from error
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start:
        raise CamxError(f"The checkpoint {path!r} is empty. {_AGAIN}")
    if text.startswith(b"version https://git-lfs"):
        raise CamxError(f"The checkpoint {path!r} is a Git LFS pointer, not the weights. Run `git lfs pull`.")
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise CamxError(f"The checkpoint {path!r} is a web page, not weights. Download the file behind the link.")
    return start


def _safetensors(path: str, header: int) -> tuple[dict[str, Any], dict[str, Any]]:
    size = os.path.getsize(path)
    if header > _LONGEST_HEADER:
        raise CamxError(
            f"The checkpoint {path!r} announces a header of {header:,} bytes, more than any .safetensors file has. "
            f"{_AGAIN}"
        )
    if header + 8 > size:
        raise CamxError(
            f"The checkpoint {path!r} is cut short: its header needs {header + 8:,} bytes, it has {size:,}. {_AGAIN}"
        )
    try:
        with safe_open(path, framework="pt") as file:
            about: dict[str, Any] = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise CamxError(f"The checkpoint {path!r} is broken: {_first_line(error)}. {_AGAIN}") from error
    if "camx" in about:
        try:
            about.update(json.loads(about.pop("camx")))
        except (ValueError, TypeError) as error:
            raise CamxError(f"The checkpoint {path!r} has broken metadata: {error}. Save it again.") from error
    return tensors, about


def _torch_file(path: str, start: bytes) -> dict[str, Any]:
    if start.startswith(b"PK"):
        _check_archive(path)
    elif start[:1] != b"\x80":
        raise CamxError(
            f"The checkpoint {path!r} is no .safetensors and no torch file (it starts with {start[:8]!r}). "
            "Save model.state_dict() with torch.save."
        )
    try:
        with torch.serialization.safe_globals(STAND_INS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CamxError(_refused(path, str(error))) from error
    # Whatever torch raises on a damaged file (IndexError, AttributeError …): it is damaged.
    except Exception as error:
        raise CamxError(f"The checkpoint {path!r} is broken: {_first_line(error)}. {_AGAIN}") from error
    if not isinstance(content, Mapping):
        raise CamxError(
            f"The checkpoint {path!r} holds a {type(content).__name__}, not weights by name. Save model.state_dict()."
        )
    return dict(content)


def _check_archive(path: str) -> None:
    """torch itself looks neither at checksums nor at how large a compressed entry becomes."""
    try:
        with zipfile.ZipFile(path) as archive:
            problem = _not_weights(archive.infolist())
            if not problem and (broken := archive.testzip()):
                problem = f"is damaged (bad checksum in {broken}). {_AGAIN}"
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise CamxError(f"The checkpoint {path!r} is broken or cut short: {_first_line(error)}. {_AGAIN}") from error
    if problem:
        raise CamxError(f"The checkpoint {path!r} {problem}")


def _not_weights(entries: list[zipfile.ZipInfo]) -> str:
    """What a zip file is, if it is no file of weights by torch; else ""."""
    names = [entry.filename for entry in entries]
    no_layers = "which has no layers to look into. Save model.state_dict() instead."
    if any(name.endswith(("archive_format", "/model.json", "serialized_exported_program.json")) for name in names):
        return f"is a program of torch.export (.pt2), {no_layers}"
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        return f"is a TorchScript program, {no_layers}"
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        return "is a compressed zip, which torch never writes. Unpack it first."
    if not any(name.endswith("data.pkl") for name in names):
        held = ", ".join(names[:3]) or "nothing"
        return (
            f"is a zip file without weights of torch (it holds {held}). Unpack it, and give the file of weights in it."
        )
    return ""


def _refused(path: str, message: str) -> str:
    """Why torch's reader stopped at an object, and how to get at the weights."""
    named = _unknown_globals(path) or [message.partition("GLOBAL ")[2].split(" ", 1)[0] or "a Python object"]
    shown = ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")
    if any(name.startswith(("torch.nn.modules.", "torchvision.models.", "timm.models.")) for name in named):
        return (
            f"The checkpoint {path!r} is a whole pickled module ({shown}): loading it would run code; camx never does. "
            "Where you trust it: torch.load it with weights_only=False and torch.save the module's state_dict()."
        )
    return (
        f"The checkpoint {path!r} holds {shown}, which would run code when loaded; camx never does. "
        "Where you trust it: torch.load it with weights_only=False and torch.save the weights in it alone."
    )


def _unknown_globals(path: str) -> list[str]:
    """The names in the file that are neither torch's own nor stand-ins, without loading it."""
    known = {name for _, name in STAND_INS}  # type: ignore[misc]
    try:
        return sorted(set(torch.serialization.get_unsafe_globals_in_checkpoint(path)) - known)
    except Exception:  # files of the old format: torch names the first one itself
        return []


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
