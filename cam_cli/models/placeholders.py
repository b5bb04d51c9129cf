"""What stands for the objects of other packages in a file of weights: data without behaviour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

import numpy as np
import torch

#: Values that `to_plain` makes of one object at most: a few bytes of a pickle can describe 10²⁴.
_MOST_VALUES = 200_000
_ARRAY_MAKERS = ("multiarray._reconstruct", "numeric._frombuffer")


class Name:
    """Stands for a class or function of another package. `path`: its module and name."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path


class Placeholder:
    """Stands for an object: the path of its class, the arguments it was made with, its state, its items."""

    __slots__ = ("args", "items", "kwargs", "pairs", "path", "state")

    def __init__(self, path: str, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> None:
        self.path, self.args, self.kwargs = path, args, dict(kwargs or {})
        self.state: Any = None
        self.items: list[Any] = []
        self.pairs: dict[Any, Any] = {}

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Its state as attributes, also where a pickle has those of slots apart."""
        parts = self.state if isinstance(self.state, tuple) else (self.state,)
        return {k: v for part in parts if isinstance(part, Mapping) for k, v in part.items() if isinstance(k, str)}


def array_of(value: object) -> np.ndarray | None:
    """The numbers of a pickled NumPy array; None for anything else, also for arrays of objects."""
    if not isinstance(value, Placeholder) or not value.path.endswith(_ARRAY_MAKERS):
        return None
    try:
        if value.path.endswith(_ARRAY_MAKERS[1]):
            data, kind, shape, order = value.args
        else:
            _, shape, kind, fortran, data = value.state
            order = "F" if fortran else "C"
        dtype = _dtype(kind)
        return None if dtype is None else np.frombuffer(bytes(data), dtype).reshape(shape, order=order)
    except (TypeError, ValueError):
        return None


def _dtype(kind: object) -> np.dtype[Any] | None:
    """The type of numbers that a pickled `numpy.dtype` names; None for objects."""
    if not isinstance(kind, Placeholder) or not kind.path.endswith("dtype") or not kind.args:
        return None
    code = kind.args[0]
    if isinstance(code, bytes):
        code = code.decode("latin1")
    if not isinstance(code, str) or code[:1] not in "biuf":
        return None
    swapped = isinstance(kind.state, tuple) and len(kind.state) > 1 and kind.state[1] in (">", b">")
    return np.dtype(code).newbyteorder(">" if swapped else "=")


def is_module(value: object) -> TypeGuard[Placeholder]:
    """Whether this stands for a whole `torch.nn.Module`."""
    return isinstance(value, Placeholder) and {"_parameters", "_modules"} <= set(value.attributes)


def module_tensors(module: Placeholder, prefix: str = "", depth: int = 40) -> Iterator[tuple[str, torch.Tensor]]:
    """What the module's `state_dict()` would hold, by walking its parameters, buffers and modules."""
    own = module.attributes
    fleeting = own.get("_non_persistent_buffers_set", ())
    for kind in ("_parameters", "_buffers"):
        tensors = own.get(kind)
        for name, tensor in tensors.items() if isinstance(tensors, Mapping) else ():
            if isinstance(tensor, torch.Tensor) and not (kind == "_buffers" and name in fleeting):
                yield f"{prefix}{name}", tensor
    inner = own.get("_modules")
    for name, child in inner.items() if isinstance(inner, Mapping) and depth else ():
        if is_module(child):
            yield from module_tensors(child, f"{prefix}{name}.", depth - 1)


def to_plain(value: Any, depth: int = 24) -> Any:
    """Dicts, lists, numbers and text: the attributes of a namespace, the content of an OmegaConf node."""
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
        return {key: _plain(item, depth - 1, left) for key, item in value.items() if isinstance(key, (str, int))}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, depth - 1, left) for item in value]
    return value


def _plain_object(value: Placeholder, depth: int, left: list[int]) -> Any:
    numbers = array_of(value)
    if numbers is not None:
        return numbers.tolist() if numbers.size < 100_000 else None
    if value.path.endswith("multiarray.scalar") and len(value.args) == 2:
        kind = _dtype(value.args[0])
        with_data = kind is not None and isinstance(value.args[1], bytes) and len(value.args[1]) == kind.itemsize
        return np.frombuffer(value.args[1], kind)[0].item() if with_data else None
    if value.pairs:
        return _plain(value.pairs, depth - 1, left)
    state = value.attributes
    if state:
        return _plain(state.get("_content", state.get("_val", state)), depth - 1, left)
    if value.items:
        return _plain(value.items, depth - 1, left)
    if value.kwargs:
        return _plain(value.kwargs, depth - 1, left)
    return _plain(value.args[0], depth - 1, left) if len(value.args) == 1 else None
