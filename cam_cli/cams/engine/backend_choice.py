"""Chooses the backend of the part of a network before its target layer: as the user says, or the fastest."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...errors import CamxError
from ...machine import cpus
from ...models.hooks import TargetLayer
from ...models.tasks import DETECTION
from ..tracing.cut import NoCut
from ..tracing.scored_network import task_of
from ..tracing.trace import traces
from .backends import Backend, EagerBackend, compile_upstream
from .batches import Runner
from .cast_backend import cast_upstream
from .devices import PRECISIONS
from .openvino_model import openvino_is_there

#: Runs of fewer images never pay for a conversion.
FEWEST = 200
#: Seconds of forwards from which `auto` converts: that takes some seconds, and saves at least a tenth of the rest.
_PAYS = 60.0
#: Images of a timed forward, how often both backends take turns, and how many times as fast OpenVINO must be.
_TIMED, _ROUNDS, _GAIN = 4, 3, 1.1


@dataclass(frozen=True)
class Chosen:
    """A backend, its name (torch, compile or openvino), and warnings for the user."""

    backend: Backend
    name: str
    warnings: tuple[str, ...] = ()


def depends_on_threads(wanted: str, images: int) -> bool:
    """Whether the backend of this name may depend on the number of threads that torch has when it is built."""
    return wanted in ("compile", "openvino") or (wanted == "auto" and images >= FEWEST and openvino_is_there())


def choose_backend(
    wanted: str, module: nn.Module, layers: Sequence[TargetLayer], picture: Tensor, runner: Runner, images: int
) -> Chosen:
    """Returns the backend of a name for the part before the first of `layers`; see `ExplainOptions`.

    picture: a normalised image 1×C×H×W on the device. images: their number; 0 if it is unknown. Raises `CamxError` for
    a backend that this machine, device or task does not have, and for a network that torch.compile cannot compile.
    """
    if task_of(module) == DETECTION:
        if wanted in ("compile", "openvino"):
            raise CamxError(
                f"`backend={wanted}` needs images of one size, and a detector takes each at its own.",
                "Leave it out.",
                field="backend",
            )
        return Chosen(EagerBackend(), "torch")
    if wanted == "compile":
        return Chosen(compile_upstream(module, layers, picture, runner.autocast), "compile")
    if wanted == "openvino":
        if not openvino_is_there():
            raise CamxError(
                "`backend=openvino` needs the package openvino.", "pip install 'camx[openvino]'", field="backend"
            )
        if runner.device.type != "cpu":
            raise CamxError(
                f"`backend=openvino` runs on the CPU, not on {runner.device}.",
                "Give `device=cpu`, or leave it out.",
                field="backend",
            )
        return _converted(module, layers, picture, runner)
    if wanted == "auto" and _would_pay(module, layers, picture, runner, images):
        chosen = _converted(module, layers, picture, runner)
        if chosen.name == "torch" or _is_faster(chosen.backend, module, layers, picture):
            return chosen
    return Chosen(_in_torch(module, layers, picture, runner), "torch")


def _in_torch(module: nn.Module, layers: Sequence[TargetLayer], picture: Tensor, runner: Runner) -> Backend:
    """Returns the network as it is; in half precision on a CPU, with weights that are cast once."""
    if runner.device.type != "cpu" or runner.precision == "fp32":
        return EagerBackend()
    return cast_upstream(module, layers, picture, PRECISIONS[runner.precision])


def _converted(module: nn.Module, layers: Sequence[TargetLayer], picture: Tensor, runner: Runner) -> Chosen:
    # Imported here: only this backend needs OpenVINO.
    from .openvino_backend import openvino_backend

    weights = runner.network.digest
    try:
        backend = openvino_backend(module, layers, picture, runner.precision, runner.autocast, weights)
    except NoCut as error:
        plain = _in_torch(module, layers, picture, runner)
        return Chosen(plain, "torch", (f"The network runs in torch, not in OpenVINO: {error}.",))
    return Chosen(backend, "openvino")


def _would_pay(module: nn.Module, layers: Sequence[TargetLayer], picture: Tensor, runner: Runner, images: int) -> bool:
    """Whether a run over so many images takes long enough, by the time of one forward on this machine."""
    if runner.device.type != "cpu" or runner.precision != "fp32" or images < FEWEST or not openvino_is_there():
        return False
    seconds = _seconds(EagerBackend(), module, layers, picture) / _TIMED
    return images * seconds / max(1, cpus() // torch.get_num_threads()) >= _PAYS


def _is_faster(backend: Backend, module: nn.Module, layers: Sequence[TargetLayer], picture: Tensor) -> bool:
    """Whether a backend saves a tenth here: OpenVINO does so only for some networks on some processors."""
    rounds = [[_seconds(one, module, layers, picture) for one in (EagerBackend(), backend)] for _ in range(_ROUNDS)]
    plain, other = (min(times) for times in zip(*rounds))
    return bool(other * _GAIN <= plain)


def _seconds(backend: Backend, module: nn.Module, layers: Sequence[TargetLayer], picture: Tensor) -> float:
    """Returns the seconds of a forward of `_TIMED` images."""
    pictures = picture.repeat(_TIMED, 1, 1, 1).contiguous(memory_format=torch.channels_last)
    began = time.perf_counter()
    with backend(pictures) as batch:
        traces(module, batch, layers, gradients=False)
    return time.perf_counter() - began
