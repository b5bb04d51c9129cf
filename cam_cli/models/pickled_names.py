"""Resolves names of classes and functions in a pickle to harmless stand-ins."""

from __future__ import annotations

import pickle
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING

import torch

from .pickled_values import DTYPES, STORAGES, StorageKind
from .placeholders import Name

#: Modules whose functions only run programs: files that name one are refused, as in torch.
_BLOCKED_MODULES = frozenset(
    ("sys", "os", "posix", "nt", "subprocess", "pty", "runpy", "importlib", "ctypes", "socket", "shutil", "webbrowser")
)
_BLOCKED = frozenset(f"builtins.{name}" for name in ("eval", "exec", "compile", "open", "__import__", "breakpoint"))
#: Kinds of tensors that float networks do not have.
_OTHER_TENSORS = ("_rebuild_qtensor", "_rebuild_sparse_tensor", "_rebuild_nested_tensor", "_rebuild_wrapper_subclass")
#: Longest module and name in characters.
_LONGEST = 300


class Blocked(pickle.UnpicklingError):
    """The file names a function that runs programs."""


class OtherTensor(pickle.UnpicklingError):
    """The file holds quantised, sparse or other tensors that are no plain numbers."""


def stand_in(module: str, name: str) -> Name | StorageKind | torch.dtype:
    """Type of numbers or storage of a name, else a `Name`. Raises `Blocked` and `OtherTensor`."""
    if len(module) + len(name) > _LONGEST:
        raise pickle.UnpicklingError(f"a name of {len(module) + len(name)} characters")
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    path = f"{module}.{name}"
    if module.partition(".")[0] in _BLOCKED_MODULES or path in _BLOCKED:
        raise Blocked(path)
    if path in DTYPES:
        return DTYPES[path]
    if module in ("torch", "torch.storage", "torch.cuda") and name.endswith("Storage"):
        dtype = STORAGES.get(name.removesuffix("Storage"))
        return StorageKind(dtype) if dtype is not None else Name(path)
    if module == "torch._utils" and name.startswith(_OTHER_TENSORS):
        raise OtherTensor(name.removeprefix("_rebuild_"))
    return Name(path)
