"""Reads files of weights as data: recognises them by content, never executes anything, and reports damage."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from ..errors import CamxError, first_line
from ..regular_files import open_regular, read_regular
from .other_formats import other_file, other_folder, other_zip
from .pickled_names import Blocked, OtherTensor
from .placeholders import Placeholder, is_module
from .reading_limits import TooMuch
from .torch_files import read_stream, read_zip

Tensors = dict[str, torch.Tensor]

#: Usual weight files of a folder, in order of preference.
FILES = (
    *("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"),
    *("model.pth", "model.pt"),
)
#: Extensions of weight files, for a folder with a single one.
_SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".tar", ".pkl")
#: Longest header of a .safetensors file in bytes; that of the largest networks has some hundred thousand.
_LONGEST_HEADER = 100_000_000
_AGAIN = "Download or save it again."


def read_weights(path: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Reads the content of a file, and its metadata.

    For .safetensors: tensors by name, and the metadata. For a torch file: the saved mapping with placeholders for
    objects of other packages, and None. Raises `CamxError` with the format of any other file.
    """
    if path.endswith(".index.json"):
        return _sharded(path)
    start = _start_of(path)
    if problem := other_file(path, start):
        raise CamxError(f"The checkpoint {path!r} {problem}")
    if len(start) >= 9 and start[8:9] == b"{":
        return _safetensors(path, int.from_bytes(start[:8], "little"))
    return _torch_file(path, start), None


def weights_in(folder: str) -> str:
    """Weight file in a folder. Raises `CamxError` if there is none."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise CamxError(f"The folder {folder!r} cannot be read: {error.strerror}. Check the path.") from error
    if found := next((name for name in FILES if name in names), None):
        return os.path.join(folder, found)
    if problem := other_folder(folder, names):
        raise CamxError(f"The folder {folder!r} {problem}")
    others = [name for name in names if name.endswith(_SUFFIXES)]
    if len(others) == 1:
        return os.path.join(folder, others[0])
    if others:
        raise CamxError(
            f"The folder {folder!r} holds {len(others)} files of weights ({', '.join(others[:4])}).",
            f"Give one of them, such as {os.path.join(folder, others[0])}.",
        )
    raise CamxError(
        f"The folder {folder!r} holds no weights ({', '.join(FILES[:2])}). Give the checkpoint file itself."
    )


def _sharded(path: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Tensors of all files in an index."""
    try:
        shards = json.loads(read_regular(path, _LONGEST_HEADER))["weight_map"]
        names = sorted({str(name) for name in shards.values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CamxError(f"The index {path!r} cannot be read: {first_line(error)}. {_AGAIN}") from error
    found: dict[str, Any] = {}
    for name in names:
        if os.path.basename(name) != name or name.endswith(".index.json"):
            raise CamxError(f"The index {path!r} names {name!r}, which is no file beside it. {_AGAIN}")
        found |= read_weights(os.path.join(os.path.dirname(path), name))[0]
    if missing := [name for name in shards if name not in found]:
        raise CamxError(f"The index {path!r} names {missing[0]!r}, which no file holds. {_AGAIN}")
    return found, {}


def _start_of(path: str) -> bytes:
    try:
        with open_regular(path) as file:
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
        raise CamxError(f"The checkpoint {path!r} is broken: {first_line(error)}. {_AGAIN}") from error
    if "camx" in about:
        try:
            about.update(json.loads(about.pop("camx")))
        except (ValueError, TypeError) as error:
            raise CamxError(
                f"The checkpoint {path!r} has broken metadata: {str(error).rstrip('.')}. Save it again."
            ) from error
    return tensors, about


def _torch_file(path: str, start: bytes) -> dict[str, Any]:
    if start.startswith(b"PK"):
        _check_archive(path)
    elif start[:1] != b"\x80" and start[:1] not in b"(}]c":
        raise CamxError(
            f"The checkpoint {path!r} is no .safetensors and no torch file (it starts with {start[:8]!r}). "
            "Save model.state_dict() with torch.save."
        )
    try:
        content = read_zip(path) if start.startswith(b"PK") else read_stream(path)
    except Blocked as error:
        raise CamxError(
            f"The checkpoint {path!r} holds {error}, which would run code when loaded; camx never does.",
            "If you trust it, load it with torch.load(weights_only=False), and save only its weights with torch.save.",
        ) from error
    except OtherTensor as error:
        raise CamxError(
            f"The checkpoint {path!r} holds tensors that are no plain numbers ({error}): it is quantised, sparse or "
            "divided between machines.",
            "Save the state_dict() of the float network on one machine.",
        ) from error
    except TooMuch as error:
        raise CamxError(
            f"The checkpoint {path!r} demands far more than weights of its size ({error}): it is hostile, or holds "
            "much beside its weights.",
            "Save only model.state_dict().",
        ) from error
    except zipfile.BadZipFile as error:
        named = str(error).partition("for file ")[2].strip("'")
        what = f"is damaged (bad checksum in {named})" if named else f"is broken or cut short: {first_line(error)}"
        raise CamxError(f"The checkpoint {path!r} {what}. {_AGAIN}") from error
    # Reading damaged bytes may raise anything (IndexError, MemoryError …).
    except Exception as error:
        raise CamxError(f"The checkpoint {path!r} is broken: {first_line(error)}. {_AGAIN}") from error
    if is_module(content):
        return {"module": content}
    if isinstance(content, Placeholder):
        content = content.pairs or _trainer_module(content) or content
    if not isinstance(content, Mapping):
        kind = content.path if isinstance(content, Placeholder) else type(content).__name__
        raise CamxError(f"The checkpoint {path!r} holds a {kind}, not weights by name. Save model.state_dict().")
    return dict(content)


def _trainer_module(content: Placeholder) -> dict[str, Any]:
    """Module inside a pickled trainer, such as an exported Learner of fastai, by its attribute."""
    own = {name: content.attribute(name) for name in ("model", "module", "net", "network")}
    return next(({name: value} for name, value in own.items() if is_module(value)), {})


def _check_archive(path: str) -> None:
    """Raises `CamxError` for a zip that torch did not write, and for one whose entries are larger than the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, ValueError) as error:
        raise CamxError(f"The checkpoint {path!r} is broken or cut short: {first_line(error)}. {_AGAIN}") from error
    if problem := _not_weights(entries):
        raise CamxError(f"The checkpoint {path!r} {problem}")
    if sum(entry.file_size for entry in entries) > os.path.getsize(path):
        raise CamxError(f"The checkpoint {path!r} is broken: its entries are longer than the file. {_AGAIN}")


def _not_weights(entries: list[zipfile.ZipInfo]) -> str:
    """Format of a zip file without torch weights, with advice; else ""."""
    names = [entry.filename for entry in entries]
    no_layers = "which has no layers to look into. Save model.state_dict() instead."
    if any(name.endswith(("archive_format", "/model.json", "serialized_exported_program.json")) for name in names):
        return f"is a program of torch.export (.pt2), {no_layers}"
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        return f"is a TorchScript program, {no_layers}"
    if problem := other_zip(names):
        return problem
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        return "is a compressed zip, which torch never writes. Unpack it first."
    if not any(name.endswith("data.pkl") for name in names):
        held = ", ".join(names[:3]) or "nothing"
        return (
            f"is a zip file without weights of torch (it holds {held}). Unpack it, and give the file of weights in it."
        )
    return ""
