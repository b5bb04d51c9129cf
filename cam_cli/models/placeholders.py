"""Placeholders for the objects of other packages in a file of weights: data without behaviour."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Any, TypeGuard

import numpy as np
import torch

#: Most values to read from one object: a few bytes of a pickle can describe 10²⁴.
_MOST_VALUES = 200_000
#: Deepest nesting of modules, which may be circular, and longest name in characters.
_DEEPEST_MODULE, _LONGEST_NAME = 40, 200
#: Most bits of a whole number: Python cannot format longer ones.
_LONGEST_NUMBER = 4096
_NO_PAIRS: Mapping[Any, Any] = MappingProxyType({})
_ARRAY_MAKERS = ("multiarray._reconstruct", "numeric._frombuffer")


class Name:
    """Placeholder of a class or function of another package. path: module and name."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path


class Placeholder:
    """Placeholder of an object: path of its class, constructor arguments, state, items.

    A pickle can create millions from few bytes, so nothing is copied, and containers are created lazily.
    """

    __slots__ = ("args", "array", "items", "kwargs", "pairs", "path", "state")

    def __init__(self, path: str, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> None:
        self.path, self.args, self.kwargs = path, args, kwargs or _NO_PAIRS
        self.state: Any = None
        self.items: Sequence[Any] = ()
        self.pairs: Mapping[Any, Any] = _NO_PAIRS
        #: Cached result of `array_of`.
        self.array: np.ndarray | None = None

    def extend(self, values: list[Any]) -> None:
        if not isinstance(self.items, list):
            self.items = []
        self.items += values

    def update(self, pairs: Mapping[Any, Any]) -> None:
        if not isinstance(self.pairs, dict):
            self.pairs = {}
        self.pairs.update(pairs)

    @property
    def _parts(self) -> tuple[Mapping[Any, Any], ...]:
        """State, and the separate state of slots."""
        parts = self.state[:2] if isinstance(self.state, tuple) else (self.state,)
        return tuple(part for part in parts if isinstance(part, Mapping))

    @property
    def attributes(self) -> Mapping[str, Any]:
        """State as attributes."""
        return {k: v for part in self._parts for k, v in part.items() if isinstance(k, str)}

    def attribute(self, name: str) -> Any:
        """An attribute, or None."""
        return next((part[name] for part in self._parts if name in part), None)


def array_of(value: object) -> np.ndarray | None:
    """Numbers of a pickled NumPy array; None for anything else, also for arrays of objects."""
    if not isinstance(value, Placeholder) or not value.path.endswith(_ARRAY_MAKERS):
        return None
    if value.array is None:
        try:
            value.array = _array(value)
        except (TypeError, ValueError):
            return None
    return value.array


def _array(value: Placeholder) -> np.ndarray | None:
    """Writable array in native byte order."""
    if value.path.endswith(_ARRAY_MAKERS[1]):
        data, kind, shape, order = value.args
    else:
        _, shape, kind, fortran, data = value.state
        order = "F" if fortran else "C"
    dtype = _dtype(kind)
    whole = isinstance(shape, tuple) and len(shape) <= 32 and all(isinstance(side, int) for side in shape)
    if dtype is None or not whole or not isinstance(data, (bytes, bytearray)):
        return None
    return np.frombuffer(data, dtype).reshape(shape, order=order).astype(dtype.newbyteorder("="))


def _dtype(kind: object) -> np.dtype[Any] | None:
    """Type of a pickled `numpy.dtype`; None for objects."""
    if not isinstance(kind, Placeholder) or not kind.path.endswith("dtype") or not kind.args:
        return None
    code = kind.args[0]
    if isinstance(code, bytes):
        code = code.decode("latin1")
    if not isinstance(code, str) or not re.fullmatch("[biuf][0-9]{1,2}", code):
        return None
    swapped = isinstance(kind.state, tuple) and len(kind.state) > 1 and kind.state[1] in (">", b">")
    return np.dtype(code).newbyteorder(">" if swapped else "=")


def is_module(value: object) -> TypeGuard[Placeholder]:
    """Whether this is a pickled `torch.nn.Module`."""
    if not isinstance(value, Placeholder):
        return False
    return value.attribute("_parameters") is not None and value.attribute("_modules") is not None


def module_tensors(module: Placeholder) -> Iterator[tuple[str, torch.Tensor]]:
    """Content of the module's `state_dict()`, from its parameters, buffers and submodules."""
    todo, left = [("", module, 0)], _MOST_VALUES
    while todo and left > 0:
        prefix, own, depth = todo.pop()
        fleeting = own.attribute("_non_persistent_buffers_set")
        hidden = {name for name in fleeting[:1000] if isinstance(name, str)} if isinstance(fleeting, list) else set()
        for kind in ("_parameters", "_buffers"):
            for name, tensor in _entries(own, kind, left):
                left -= 1
                if isinstance(tensor, torch.Tensor) and not (kind == "_buffers" and name in hidden):
                    yield f"{prefix}{name}", tensor
        children = _entries(own, "_modules", left) if depth < _DEEPEST_MODULE else []
        left -= len(children) + 1
        todo += [(f"{prefix}{name}.", child, depth + 1) for name, child in reversed(children) if is_module(child)]


def _entries(module: Placeholder, kind: str, most: int) -> list[tuple[str, Any]]:
    """Named parameters, buffers or submodules of a module."""
    held = module.attribute(kind)
    pairs = islice(held.items(), max(most, 0)) if isinstance(held, Mapping) else ()
    return [(name, value) for name, value in pairs if isinstance(name, str) and len(name) <= _LONGEST_NAME]


def to_plain(value: Any, depth: int = 24) -> Any:
    """Converts a namespace or OmegaConf node to dicts, lists, numbers and text."""
    return _plain(value, depth, [_MOST_VALUES])


def _plain(value: Any, depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if depth == 0 or left[0] <= 0:
        return None
    if isinstance(value, Placeholder):
        return _plain_object(value, depth, left)
    if isinstance(value, Name):
        return value.path
    if isinstance(value, Mapping):
        pairs = {}
        for key, item in value.items():
            if isinstance(key, (str, int)):
                _charge(key, left)
                pairs[key] = _plain(item, depth - 1, left)
            if left[0] <= 0:
                break
        return pairs
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, depth - 1, left) for item in islice(value, left[0])]
    if isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
        return None
    _charge(value, left)
    return value if left[0] > 0 else None


def _charge(value: object, left: list[int]) -> None:
    """Subtracts a value from the remaining number; text counts by its length."""
    if isinstance(value, (str, bytes, bytearray)):
        left[0] -= len(value) // 64


def _plain_object(value: Placeholder, depth: int, left: list[int]) -> Any:
    numbers = array_of(value)
    if numbers is not None:
        left[0] -= numbers.size
        return numbers.tolist() if left[0] > 0 else None
    if value.path.endswith("multiarray.scalar") and len(value.args) == 2:
        kind = _dtype(value.args[0])
        with_data = kind is not None and isinstance(value.args[1], bytes) and len(value.args[1]) == kind.itemsize
        return np.frombuffer(value.args[1], kind)[0].item() if with_data else None
    if value.pairs:
        return _plain(value.pairs, depth - 1, left)
    for name in ("_content", "_val"):
        if (content := value.attribute(name)) is not None:
            return _plain(content, depth - 1, left)
    for inner in (value.attributes, value.items, value.kwargs):
        if inner:
            return _plain(inner, depth - 1, left)
    return _plain(value.args[0], depth - 1, left) if len(value.args) == 1 else None
