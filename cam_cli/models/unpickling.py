"""Reads pickles as data: never imports or calls a name, but replaces it by a placeholder.

Torch's restricted reader supports a list of names and one protocol. This one supports all protocols, replaces unknown
names by placeholders, and creates only containers, numbers, text and tensors. Memory and time are bounded by the size
of the file (`ReadingLimits`).
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

import torch

from .pickled_names import stand_in
from .pickled_values import CONTAINERS, Storage, StorageKind, container, mapping_of, tensor
from .placeholders import Name, Placeholder
from .reading_limits import MOST_INSTRUCTIONS, ReadingLimits, TooMuch

#: Longest whole number in bytes.
_LONGEST_NUMBER = 1000
#: Lengths above this are compared with the file size before allocation.
_LARGE = 2**16

#: (key, type, count) → storage.
ReadStorage = Callable[[str, torch.dtype, int], Storage]
#: Bytes of a separately pickled storage → storage.
ReadBytes = Callable[[bytes], object]


if TYPE_CHECKING:

    class _Unpickler:
        """Types of Python's own unpickler, whose opcodes can be replaced."""

        stack: list[Any]
        metastack: list[list[Any]]
        append: Callable[[Any], None]
        proto: int
        read: Callable[[int], bytes]
        readline: Callable[[], bytes]
        dispatch: ClassVar[dict[int, Callable[..., None]]]

        def __init__(self, file: Any, *, encoding: str) -> None: ...
        def pop_mark(self) -> list[Any]: ...

    class _Stop(Exception):
        value: Any

else:
    _Unpickler, _Stop = pickle._Unpickler, pickle._Stop


class DataUnpickler(_Unpickler):
    """Reads one pickle as data; see the module docstring."""

    def __init__(
        self, file: io.BytesIO | BinaryIO, read_storage: ReadStorage, read_bytes: ReadBytes, limits: ReadingLimits
    ) -> None:
        super().__init__(file, encoding="latin1")
        self._file, self._read_storage, self._read_bytes, self._limits = file, read_storage, read_bytes, limits
        self._names: dict[tuple[str, str], Any] = {}
        self.read, self.readline = self._exactly, file.readline

    def load(self) -> Any:
        """Value of the pickle. Raises any exception for damaged bytes, and `TooMuch`."""
        self.metastack, self.stack, self.proto = [], [], 0
        self.append = self.stack.append
        read, dispatch = self._file.read, self.dispatch
        done = 0
        try:
            for _ in range(self._limits.instructions):
                done += 1
                dispatch[read(1)[0]](self)
            raise TooMuch(f"more than {MOST_INSTRUCTIONS:,} instructions")
        except _Stop as stop:
            return stop.value
        finally:
            self._limits.instructions -= done

    def _exactly(self, count: int) -> bytes:
        """Reads `count` bytes. Refuses a length beyond the file before allocation."""
        if count > _LARGE:
            start = self._file.tell()
            end = self._file.seek(0, io.SEEK_END)
            if count > end - start:
                raise EOFError("a value that is longer than the file")
            self._file.seek(start)
        data = self._file.read(count)
        if len(data) < count:
            raise EOFError("the file ends within a value")
        return data

    def find_class(self, module: str, name: str) -> Any:
        """Object or placeholder of a name. Raises `Blocked` and `OtherTensor`."""
        if (module, name) not in self._names:
            self._limits.copy(len(module) + len(name))
            self._names[module, name] = stand_in(module, name)
        return self._names[module, name]

    def persistent_load(self, pid: Any) -> Any:
        if isinstance(pid, tuple) and len(pid) == 4 and pid[0] in ("module", b"module"):
            return pid[1]  # a class with its source, which is ignored
        if not isinstance(pid, tuple) or len(pid) not in (5, 6) or pid[0] not in ("storage", b"storage"):
            raise pickle.UnpicklingError("an unknown reference")
        kind, key, count = pid[1], pid[2], pid[4]
        dtype = kind.dtype if isinstance(kind, StorageKind) else kind
        known = isinstance(dtype, torch.dtype) and isinstance(key, (str, int)) and isinstance(count, int)
        if not known or count < 0:
            raise pickle.UnpicklingError("a storage of an unknown kind")
        storage = self._read_storage(str(key), dtype, count)
        if len(pid) == 5 or pid[5] is None:
            return storage
        # Before torch 0.4 a storage could be a part of another one: (key, offset, count).
        if not isinstance(pid[5], tuple) or len(pid[5]) != 3:
            raise pickle.UnpicklingError("a part of a storage of an unknown kind")
        return storage.part(*pid[5][1:])

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError("a name from a private registry")

    def _make(self, function: Any, args: Any, kwargs: Mapping[str, Any] | None = None) -> Any:
        args = args if isinstance(args, tuple) else ()
        if isinstance(function, Name):
            value = self._known(function.path, args)
            return Placeholder(function.path, args, kwargs) if value is None else value
        # Any other call.
        return Placeholder("call", (function, args), kwargs)

    def _known(self, path: str, args: tuple[Any, ...]) -> Any:
        """Result of a call of a few known functions of torch and Python; None for all others."""
        if path in CONTAINERS:
            return container(path, args, self._limits)
        if path.startswith("torch._utils._rebuild_tensor"):
            return tensor(args, self._limits)
        if path.startswith("torch._utils._rebuild_parameter") or path == "torch.nn.parameter.Parameter":
            return args[0] if args and isinstance(args[0], torch.Tensor) else None
        if path == "torch._tensor._rebuild_from_type_v2" and len(args) == 4:
            return self._make(args[0], args[2])
        if path == "torch.storage._load_from_bytes" and args and isinstance(args[0], bytes):
            self._limits.copy(len(args[0]))
            return self._read_bytes(args[0])
        if path == "copyreg._reconstructor" and args and isinstance(args[0], Name):
            return Placeholder(args[0].path)
        return None

    # Replacements of opcodes that call, import, hash, change something, or trust a length.

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

    def _dict(self) -> None:
        values = self.pop_mark()
        self.append(mapping_of(values))

    def _empty_set(self) -> None:
        self.append([])

    def _frozenset(self) -> None:
        values = self.pop_mark()
        self.append(values)

    def _int(self) -> None:
        line = self._number()
        self.append({b"00": False, b"01": True}[line] if line in (b"00", b"01") else int(line, 0))

    def _long(self) -> None:
        self.append(int(self._number().removesuffix(b"L"), 0))

    def _number(self) -> bytes:
        line = self.readline()[:-1]
        if len(line) > _LONGEST_NUMBER:
            raise pickle.UnpicklingError(f"a number of {len(line)} digits")
        return line

    def _long4(self) -> None:
        count = int.from_bytes(self.read(4), "little")
        if count > _LONGEST_NUMBER:
            raise pickle.UnpicklingError(f"a number of {count} bytes")
        self.append(int.from_bytes(self.read(count), "little", signed=True))

    def _bytearray(self) -> None:
        self.append(bytearray(self.read(int.from_bytes(self.read(8), "little"))))

    def _frame(self) -> None:
        self.read(8)  # the length; the content follows

    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        **_Unpickler.dispatch,
        **dict.fromkeys((pickle.REDUCE[0], pickle.NEWOBJ[0]), _reduce),
        pickle.NEWOBJ_EX[0]: _newobj_ex, pickle.INST[0]: _inst, pickle.OBJ[0]: _obj, pickle.BUILD[0]: _build,
        **dict.fromkeys((pickle.APPENDS[0], pickle.ADDITEMS[0]), _appends), pickle.APPEND[0]: _append,
        pickle.SETITEM[0]: _setitem, pickle.SETITEMS[0]: _setitems, pickle.DICT[0]: _dict,
        pickle.EMPTY_SET[0]: _empty_set, pickle.FROZENSET[0]: _frozenset, pickle.INT[0]: _int, pickle.LONG[0]: _long,
        pickle.LONG4[0]: _long4, pickle.BYTEARRAY8[0]: _bytearray, pickle.FRAME[0]: _frame,
    }  # fmt: skip


def _extend(target: Any, values: list[Any]) -> None:
    if isinstance(target, Placeholder):
        target.extend(values)
    elif isinstance(target, list):
        target += values
    else:
        raise pickle.UnpicklingError("items of what holds none")


def _update(target: Any, values: list[Any]) -> None:
    if isinstance(target, (Placeholder, dict)):
        target.update(mapping_of(values))
    else:
        raise pickle.UnpicklingError("keys of what has none")
