"""A backend that runs the part of a network before its target layer in OpenVINO, on a CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from ...machine import cpus
from ...models.hooks import TargetLayer, answering
from ..tracing.cut import Cut, NoCut
from .openvino_model import converted, import_openvino
from .openvino_proof import prove_rounding, prove_values

#: OpenVINO's names of its precisions on CPUs.
_HINTS = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoBackend:
    """Computes the modules before the target layer in OpenVINO. Replicas share its weights.

    Each replica has a request of its own, so that they run at the same time.
    """

    def __init__(self, module: nn.Module, cut: Cut, compiled: Any) -> None:
        self._module, self._cut, self._compiled = module, cut, compiled
        self._request = compiled.create_infer_request()

    def replica(self, module: nn.Module) -> OpenVinoBackend:
        return OpenVinoBackend(module, self._cut, self._compiled)

    @contextlib.contextmanager
    def __call__(self, batch: Tensor) -> Iterator[Tensor]:
        """Runs OpenVINO on a normalised batch B×C×H×W; in the context, the network only runs its head."""
        pixels = batch.detach().float().permute(0, 2, 3, 1).contiguous().numpy()
        found = self._request.infer({0: pixels}, share_inputs=True)
        values = {piece: torch.from_numpy(found[index]) for index, piece in enumerate(self._cut.pieces)}
        with answering(self._cut.answers(self._module, values, len(batch))):
            yield batch


def openvino_backend(
    module: nn.Module,
    layers: Sequence[TargetLayer],
    picture: Tensor,
    precision: str,
    autocast: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
    weights: str = "",
) -> OpenVinoBackend:
    """Converts the part before the first of `layers`, and checks it on images made from a normalised one, 1×C×H×W.

    As many streams run at the same time as the processors hold torch's threads. precision: fp32 or bf16. weights: as of
    `converted`. Raises `NoCut` with the reason if the network cannot be converted, or gives other values.
    """
    kinds = {one.dtype for one in module.parameters() if one.is_floating_point()}
    if kinds - {torch.float32}:
        raise NoCut(f"its weights are {', '.join(sorted(str(one).removeprefix('torch.') for one in kinds))}")
    if precision not in _HINTS:
        raise NoCut(f"OpenVINO has no {precision} on this processor")
    openvino = import_openvino()
    core = openvino.Core()
    if precision == "bf16" and not can_bf16(core):
        raise NoCut("this processor has no instructions for bf16")
    try:
        cut = Cut(module, layers, picture)
        threads = torch.get_num_threads()
        streams = max(1, cpus() // threads)
        settings = {
            "INFERENCE_NUM_THREADS": str(threads * streams),
            "NUM_STREAMS": str(streams),
        }
        model = converted(module, cut, picture, weights)

        def compiled(kind: str) -> OpenVinoBackend:
            hint = {"INFERENCE_PRECISION_HINT": _HINTS[kind]}
            return OpenVinoBackend(module, cut, core.compile_model(model, "CPU", settings | hint))

        # Also for bf16, whose rounding would hide a wrong conversion.
        backend = compiled("fp32")
        prove_values(backend, module, layers, picture)
        if precision != "fp32":
            backend = compiled(precision)
            prove_rounding(backend, module, layers, picture, autocast)
    except NoCut:
        raise
    # The tracer, the converter, the plugin and the network itself: each raises errors of its own.
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise NoCut(f"it cannot be converted: {lines[-1].strip().rstrip('.:')[:200]}") from error
    return backend


def can_bf16(core: Any) -> bool:
    """Whether an `openvino.Core` has instructions for bf16 on this processor."""
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
