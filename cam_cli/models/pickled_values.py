"""Builds containers, bytes and tensors from the arguments of a few known functions in a pickle."""

from __future__ import annotations

import math
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from .placeholders import Placeholder
from .reading_limits import ReadingLimits

_NUMBERS = (
    *("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"),
    *("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool"),
)
#: Other names in torch.
_ALIASES = {
    "double": "float64",
    "float": "float32",
    "half": "float16",
    "long": "int64",
    "int": "int32",
    "short": "int16",
}
DTYPES: dict[str, torch.dtype] = {f"torch.{name}": getattr(torch, name) for name in _NUMBERS}
DTYPES |= {f"torch.{other}": DTYPES[f"torch.{name}"] for other, name in _ALIASES.items()}
STORAGES = {
    "Float": torch.float32, "Double": torch.float64, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool, "Untyped": torch.uint8,
}  # fmt: skip
CONTAINERS = {
    **dict.fromkeys(("collections.OrderedDict", "collections.defaultdict", "collections.Counter"), "mapping"),
    "builtins.dict": "mapping",
    **dict.fromkeys(("builtins.set", "builtins.frozenset", "builtins.list", "builtins.tuple"), "sequence"),
    "torch.Size": "sequence",
    **dict.fromkeys(("builtins.bytearray", "builtins.bytes", "_codecs.encode"), "bytes"),
}
#: Bytes per entry of a list, and of a mapping.
_ENTRY, _PAIR = 8, 100
#: Most dimensions of a tensor.
_DIMENSIONS = 32
#: Most repetitions of a small storage in a tensor: some buffers are expanded.
_REPEATED = 100_000


@dataclass(frozen=True)
class StorageKind:
    """A class of storages, with the type of its numbers."""

    dtype: torch.dtype


@dataclass(frozen=True, eq=False)
class Storage:
    """Flat tensor of numbers, of which tensors are views."""

    numbers: torch.Tensor

    def part(self, offset: object, count: object) -> Storage:
        """View of `count` numbers. Raises `UnpicklingError` beyond the end."""
        if not (_whole(offset) and _whole(count)) or offset + count > self.numbers.numel():  # type: ignore[operator]
            raise pickle.UnpicklingError("a storage that reaches beyond its numbers")
        return Storage(self.numbers[offset : offset + count])  # type: ignore[operator]


def key_of(value: object) -> Any:
    """Key of a mapping: text and small numbers unchanged; a unique object for everything else.

    Hashing nested tuples may take forever or overflow the stack, and large numbers can be chosen to collide.
    """
    if value is None or isinstance(value, (str, bytes, float)) or (isinstance(value, int) and abs(value) < 2**60):
        return value
    return Placeholder("key", (value,))


def mapping_of(keys_and_values: list[Any]) -> dict[Any, Any]:
    """Mapping from alternating keys and values. Raises `UnpicklingError` for an odd number."""
    if len(keys_and_values) % 2:
        raise pickle.UnpicklingError("a key without a value")
    return {key_of(key): value for key, value in zip(keys_and_values[::2], keys_and_values[1::2])}


def container(path: str, args: tuple[Any, ...], limits: ReadingLimits) -> Any:
    """Value of a call of one of `CONTAINERS`; sets become lists."""
    first = args[0] if args else None
    kind = CONTAINERS[path]
    if kind == "bytes":
        if not isinstance(first, (str, bytes, bytearray)):
            return b""
        limits.copy(len(first))
        return first.encode("latin1") if isinstance(first, str) else bytes(first)
    if kind == "mapping":
        if not isinstance(first, (Mapping, list, tuple)):
            return OrderedDict()
        limits.copy(_PAIR * len(first))
        pairs = first.items() if isinstance(first, Mapping) else first
        return OrderedDict((key_of(key), value) for key, value in pairs)
    items = first if isinstance(first, (list, tuple)) else ()
    limits.copy(_ENTRY * len(items))
    return tuple(items) if path in ("builtins.tuple", "torch.Size") else list(items)


def tensor(args: tuple[Any, ...], limits: ReadingLimits) -> torch.Tensor:
    """Tensor from (storage, offset, size, stride, …). Raises `UnpicklingError` for an impossible one."""
    if len(args) < 4 or not isinstance(args[0], Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    numbers, (offset, size, stride) = args[0].numbers, args[1:4]
    dtype = next((one for one in args[4:9] if isinstance(one, torch.dtype)), numbers.dtype)
    if dtype != numbers.dtype:
        numbers = numbers.view(torch.uint8)
        numbers = numbers[: numbers.numel() // dtype.itemsize * dtype.itemsize].view(dtype)
    if not _dimensions(size) or not _dimensions(stride) or len(size) != len(stride) or not _whole(offset):
        raise pickle.UnpicklingError("a tensor of an impossible shape")
    count = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride)) if count else offset
    if (count and last >= numbers.numel()) or count > max(numbers.numel(), _REPEATED):
        raise pickle.UnpicklingError("a tensor that reaches beyond its numbers")
    limits.view(count)
    offset += numbers.storage_offset()
    return numbers.as_strided(size, stride, offset) if count else torch.empty(size, dtype=dtype)


def _dimensions(value: object) -> bool:
    return isinstance(value, (tuple, list)) and len(value) <= _DIMENSIONS and all(map(_whole, value))


def _whole(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < 2**60
