"""Pickles read as data. No name in a pickle is ever imported or called: each becomes a placeholder.

Torch's own restricted reader knows a list of names and the opcodes of one protocol. This one reads every protocol, has
placeholders for every name it does not know, and makes nothing but containers, numbers, text and tensors.
"""

from __future__ import annotations

import io
import math
import pickle
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

import torch

from .placeholders import Name, Placeholder

#: Whose functions serve to run programs and nothing else: a file that names one is refused, as torch refuses it.
_BLOCKED_MODULES = frozenset(
    ("sys", "os", "posix", "nt", "subprocess", "pty", "runpy", "importlib", "ctypes", "socket", "shutil", "webbrowser")
)
_BLOCKED = frozenset(f"builtins.{name}" for name in ("eval", "exec", "compile", "open", "__import__", "breakpoint"))
_DTYPES = {
    str(dtype): dtype
    for name in dir(torch)
    if isinstance(dtype := getattr(torch, name), torch.dtype) and not dtype.is_complex
}
_STORAGES = {
    "Float": torch.float32, "Double": torch.float64, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool, "Untyped": torch.uint8,
}  # fmt: skip
#: Tensors of kinds that no float network holds.
_OTHER_TENSORS = ("_rebuild_qtensor", "_rebuild_sparse_tensor", "_rebuild_nested_tensor", "_rebuild_wrapper_subclass")


class Blocked(pickle.UnpicklingError):
    """The file names a function that serves to run programs."""


class OtherTensor(pickle.UnpicklingError):
    """The file holds quantised, sparse or other tensors that cannot be read as numbers."""


@dataclass(frozen=True)
class StorageKind:
    """A class of storages: the type of its numbers."""

    dtype: torch.dtype


@dataclass(frozen=True)
class Storage:
    """The numbers that tensors are views of, as a flat tensor."""

    numbers: torch.Tensor


#: From (key, type of numbers, how many) to the storage.
ReadStorage = Callable[[str, torch.dtype, int], Storage]
#: From the bytes of a storage that was pickled alone to the storage.
ReadBytes = Callable[[bytes], object]


if TYPE_CHECKING:

    class _Unpickler:
        """What is used of Python's unpickler that is written in Python: its opcodes can be replaced."""

        stack: list[Any]
        append: Callable[[Any], None]
        readline: Callable[[], bytes]
        dispatch: ClassVar[dict[int, Callable[..., None]]]

        def __init__(self, file: Any, *, encoding: str) -> None: ...
        def load(self) -> Any: ...
        def pop_mark(self) -> list[Any]: ...

else:
    _Unpickler = pickle._Unpickler


class DataUnpickler(_Unpickler):
    """Reads one pickle. Everything that it makes is data; see the head of this module."""

    def __init__(self, file: io.BytesIO | BinaryIO, read_storage: ReadStorage, read_bytes: ReadBytes) -> None:
        super().__init__(file, encoding="latin1")
        self._read_storage = read_storage
        self._read_bytes = read_bytes

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name. Raises `Blocked` and `OtherTensor`."""
        module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        path = f"{module}.{name}"
        if module.partition(".")[0] in _BLOCKED_MODULES or path in _BLOCKED:
            raise Blocked(path)
        if path in _DTYPES:
            return _DTYPES[path]
        if module in ("torch", "torch.storage", "torch.cuda") and name.endswith("Storage"):
            dtype = _STORAGES.get(name.removesuffix("Storage"))
            return StorageKind(dtype) if dtype is not None else Name(path)
        if module == "torch._utils" and name.startswith(_OTHER_TENSORS):
            raise OtherTensor(name.removeprefix("_rebuild_"))
        return Name(path)

    def persistent_load(self, pid: Any) -> Any:
        if isinstance(pid, tuple) and len(pid) == 4 and pid[0] in ("module", b"module"):
            return pid[1]  # a class with its source, which nobody needs
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] not in ("storage", b"storage"):
            raise pickle.UnpicklingError("an unknown reference")
        kind, key, count = pid[1], pid[2], pid[4]
        dtype = kind.dtype if isinstance(kind, StorageKind) else kind
        if not isinstance(dtype, torch.dtype) or not isinstance(count, int) or count < 0:
            raise pickle.UnpicklingError("a storage of an unknown kind")
        return self._read_storage(str(key), dtype, count)

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError("a name from a private registry")

    def _make(self, function: Any, args: Any, kwargs: Mapping[str, Any] | None = None) -> Any:
        args = args if isinstance(args, tuple) else ()
        if isinstance(function, Name):
            made = self._known(function.path, args)
            return Placeholder(function.path, args, kwargs) if made is None else made
        # Whatever else a pickle would call.
        return Placeholder("call", (function, *args), kwargs)

    def _known(self, path: str, args: tuple[Any, ...]) -> Any:
        """What a handful of functions of torch and Python make of their arguments; None for all others."""
        if path in _CONTAINERS:
            return _container(path, args)
        if path.startswith("torch._utils._rebuild_tensor"):
            return _tensor(*args)
        if path.startswith("torch._utils._rebuild_parameter") or path == "torch.nn.parameter.Parameter":
            return args[0] if args and isinstance(args[0], torch.Tensor) else None
        if path == "torch._tensor._rebuild_from_type_v2" and len(args) == 4:
            return self._make(args[0], args[2])
        if path == "torch.storage._load_from_bytes" and args and isinstance(args[0], bytes):
            return self._read_bytes(args[0])
        if path == "copyreg._reconstructor" and args and isinstance(args[0], Name):
            return Placeholder(args[0].path)
        return None

    # One function per opcode that would call, import or change something.

    def _reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self._make(self.stack[-1], args)

    def _newobj_ex(self) -> None:
        kwargs, args = self.stack.pop(), self.stack.pop()
        self.stack[-1] = self._make(self.stack[-1], args, kwargs if isinstance(kwargs, Mapping) else None)

    def _inst(self) -> None:
        module, name = self.readline()[:-1].decode("ascii"), self.readline()[:-1].decode("ascii")
        args = tuple(self.pop_mark())
        self.append(self._make(self.find_class(module, name), args))

    def _obj(self) -> None:
        function, *args = self.pop_mark()
        self.append(self._make(function, tuple(args)))

    def _build(self) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Placeholder):
            self.stack[-1].state = state

    def _append(self) -> None:
        value = self.stack.pop()
        _extend(self.stack[-1], [value])

    def _appends(self) -> None:
        values = self.pop_mark()
        _extend(self.stack[-1], values)

    def _setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _update(self.stack[-1], [key, value])

    def _setitems(self) -> None:
        values = self.pop_mark()
        _update(self.stack[-1], values)

    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        **_Unpickler.dispatch,
        **dict.fromkeys((pickle.REDUCE[0], pickle.NEWOBJ[0]), _reduce),
        pickle.NEWOBJ_EX[0]: _newobj_ex,
        pickle.INST[0]: _inst,
        pickle.OBJ[0]: _obj,
        pickle.BUILD[0]: _build,
        pickle.APPEND[0]: _append,
        **dict.fromkeys((pickle.APPENDS[0], pickle.ADDITEMS[0]), _appends),
        pickle.SETITEM[0]: _setitem,
        pickle.SETITEMS[0]: _setitems,
    }


_CONTAINERS = {
    **dict.fromkeys(("collections.OrderedDict", "collections.defaultdict", "collections.Counter"), "mapping"),
    "builtins.dict": "mapping",
    **dict.fromkeys(("builtins.set", "builtins.frozenset", "builtins.list", "builtins.tuple"), "sequence"),
    "torch.Size": "sequence",
    **dict.fromkeys(("builtins.bytearray", "builtins.bytes", "_codecs.encode"), "bytes"),
}


def _container(path: str, args: tuple[Any, ...]) -> Any:
    first = args[0] if args else None
    kind = _CONTAINERS[path]
    if kind == "mapping":
        if isinstance(first, (list, tuple)):
            first = {key: value for key, value in first if isinstance(key, (str, int))}
        return OrderedDict(first) if isinstance(first, Mapping) else OrderedDict()
    if kind == "bytes":
        return first.encode("latin1") if isinstance(first, str) else bytes(first) if isinstance(first, bytes) else b""
    items = list(first) if isinstance(first, (list, tuple, set, frozenset)) else []
    return tuple(items) if path in ("builtins.tuple", "torch.Size") else items


def _extend(target: Any, values: list[Any]) -> None:
    if isinstance(target, Placeholder):
        target.items += values
    elif isinstance(target, list):
        target += values
    elif isinstance(target, set):
        target.update(values)
    else:
        raise pickle.UnpicklingError("items of what holds none")


def _update(target: Any, values: list[Any]) -> None:
    pairs = target.pairs if isinstance(target, Placeholder) else target
    if not isinstance(pairs, dict):
        raise pickle.UnpicklingError("keys of what has none")
    pairs.update(zip(values[::2], values[1::2]))


def _tensor(storage: Any = None, offset: Any = 0, size: Any = (), stride: Any = (), *more: Any) -> torch.Tensor:
    """A view of a storage. Raises `UnpicklingError` where it would reach beyond its end."""
    if not isinstance(storage, Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    numbers = storage.numbers
    dtype = next((one for one in more if isinstance(one, torch.dtype)), numbers.dtype)
    if dtype != numbers.dtype:
        numbers = numbers.view(torch.uint8)
        numbers = numbers[: numbers.numel() // dtype.itemsize * dtype.itemsize].view(dtype)
    whole = (offset, *size, *stride)
    if len(size) != len(stride) or len(size) > 32 or not all(isinstance(n, int) and n >= 0 for n in whole):
        raise pickle.UnpicklingError("a tensor of an impossible shape")
    count = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride)) if count else offset
    if (count and last >= numbers.numel()) or count > max(numbers.numel(), 1_000_000):
        raise pickle.UnpicklingError("a tensor that reaches beyond its numbers")
    return numbers.as_strided(size, stride, offset) if count else torch.empty(size, dtype=dtype)
