"""A stand-in for a GPU: a device whose tensors hold tensors on the CPU, which do the work.

Registers it with torch as a device in Python. It rejects whatever CUDA rejects: operations on tensors of two devices,
`numpy()` and similar calls on tensors that are not on the host. The registration lasts as long as the process, so tests
run `python -m tests.away_cases` in their own process.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "away"
#: Operations that accept tensors of two devices: copies, and indices on the host.
_BETWEEN = ("_to_copy", "copy_", "index", "index_put", "index_put_", "_index_put_impl_", "_local_scalar_dense")
_HOST = torch.device("cpu")
_AUTOCAST = "AutocastPrivateUse1"
#: Operations whose precision autocast lowers: those of convolutional networks and transformers.
_LOWER = ("linear", "conv2d", "matmul", "bmm", "mm", "addmm", "scaled_dot_product_attention")
#: Keeps the registrations alive.
_KEPT: list[Any] = []


class Away(Tensor):
    """A tensor of the device; `held` is the one on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Away:
        made: Away = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=f"{NAME}:0",
        )
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _done(func, args, kwargs or {})

    def tolist(self) -> Any:
        # Real devices copy here by themselves; torch does not do it for classes of tensors.
        return self.held.tolist()


class Present(TorchDispatchMode):
    """While active, the device exists also for functions that create tensors without a tensor of it."""

    def __enter__(self) -> Any:
        # `torch.tensor` fills its own memory before it consults a mode.
        torch._C._set_only_lift_cpu_tensors(True)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        torch._C._set_only_lift_cpu_tensors(False)

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _done(func, args, kwargs or {})


class _Module(_DummyBackendModule):  # type: ignore[misc]
    """The module that torch looks up by the name of the device."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


def register() -> torch.device:
    """Registers the device with torch, until the process ends."""
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
    fallback, casts = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
    _KEPT.extend((fallback, casts))
    fallback.fallback(torch.library.fallthrough_kernel, _AUTOCAST)
    for name in _LOWER:
        casts.impl(name, _lower(getattr(torch.ops.aten, name).default), _AUTOCAST)
    return torch.device(NAME, 0)


def _lower(operation: Any) -> Any:
    """The operation in the precision of autocast, as on CUDA."""
    without = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, _AUTOCAST))

    def cast(value: Any) -> Any:
        lowers = isinstance(value, Away) and value.dtype == torch.float32
        return value.to(torch.get_autocast_dtype(NAME)) if lowers else value

    def run(*args: Any, **kwargs: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(without):
            return operation(*tree_map(cast, args), **tree_map(cast, kwargs))

    return run


def _done(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
    away = any(isinstance(one, Away) for one in tensors)
    name = func.overloadpacket.__name__
    # Any device accepts a number on the host.
    others = [one for one in tensors if not isinstance(one, Away) and one.dim()]
    if away and others and (name not in _BETWEEN or not _allowed(name, args)):
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, {NAME}:0 and cpu! ({name})"
        )
    wanted = kwargs.get("device")
    result_away = away if wanted is None else torch.device(wanted).type == NAME
    on_host = {key: _HOST if key == "device" and value is not None else value for key, value in kwargs.items()}
    held = tree_map(_held, args), tree_map(_held, on_host)
    made = func(*held[0], **held[1])
    if name == "_to_copy" and result_away != away and wanted is not None:
        # Copies between devices, even without a change of type.
        made = made.clone() if made is held[0][0] else made
    if not result_away:
        return made
    wrapped = tree_map(lambda one: Away(one) if isinstance(one, Tensor) and not isinstance(one, Away) else one, made)
    return return_and_correct_aliasing(func, args, kwargs, wrapped) if away else wrapped


def _allowed(name: str, args: Any) -> bool:
    """Whether an operation of `_BETWEEN` may have these arguments: tensor and values must be on one device."""
    if not name.lstrip("_").startswith("index"):
        return True
    values = [args[0], *args[2:3]]
    kinds = {isinstance(one, Away) for one in values if isinstance(one, Tensor) and one.dim()}
    # Indices on the device cannot index a tensor on the host.
    return kinds <= {True}


def _held(value: Any) -> Any:
    return value.held if isinstance(value, Away) else value
