"""The part of a network before its target layer as a model of OpenVINO, converted once and cached on disk."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

from ...models.network import digest
from ...models.remote_weights import cache_folder
from ..tracing.cut import Cut
from ..tracing.network_state import undisturbed

#: The most bytes of converted networks on disk; the least recently used ones are removed first.
KEPT_BYTES = 8 * 2**30
#: Changes when converted networks of earlier versions of camx cannot be used.
_FORMAT = 1
_MODEL, _WEIGHTS = "model.xml", "model.bin"


def openvino_is_there() -> bool:
    """Whether the package openvino is installed; imports nothing."""
    return importlib.util.find_spec("openvino") is not None


def import_openvino() -> Any:
    """Imports OpenVINO without its telemetry, which would contact its makers over the network."""
    name = "openvino_telemetry"
    before = {name: sys.modules[name]} if name in sys.modules else {}
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("openvino")
    finally:
        del sys.modules[name]
        sys.modules.update(before)


class Front(nn.Module):
    """The part of a network before its target layer: normalised images B×C×H×W → the pieces of a cut."""

    def __init__(self, network: nn.Module, cut: Cut) -> None:
        super().__init__()
        self.network, self._cut = network, cut

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        return self._cut.pieces_of(lambda: self.network(pictures), self.network)


def converted(module: nn.Module, cut: Cut, picture: Tensor, weights: str = "") -> Any:
    """Returns an `openvino.Model` from images B×H×W×C, for any B, to the pieces of a cut; from disk if it is cached.

    picture: a normalised image 1×C×H×W. weights: the digest of all parameters and buffers, if it is known. Raises
    errors of OpenVINO and torch if they cannot convert the network.
    """
    openvino = import_openvino()
    folder = os.path.join(cache_folder(), "openvino", _key(module, cut, picture, weights or digest(module)))
    with contextlib.suppress(OSError, RuntimeError):
        os.utime(folder)
        return openvino.Core().read_model(os.path.join(folder, _MODEL), os.path.join(folder, _WEIGHTS))
    model = _with_channels_last(openvino, _convert(openvino, module, cut, picture))
    # A model that cannot be cached is converted again by the next run.
    with contextlib.suppress(OSError, RuntimeError):
        _keep(openvino, model, folder)
    return model


def _key(module: nn.Module, cut: Cut, picture: Tensor, weights: str) -> str:
    versions = [version(name) for name in ("openvino", "torch")]
    parts = (_FORMAT, versions, weights, type(module).__qualname__, repr(module), cut.layer, cut.pieces, picture.shape)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def _convert(openvino: Any, module: nn.Module, cut: Cut, picture: Tensor) -> Any:
    decoder = importlib.import_module("openvino.frontend.pytorch.ts_decoder").TorchScriptPythonDecoder
    example = picture.repeat(2, 1, 1, 1)
    with warnings.catch_warnings(), undisturbed(module), torch.no_grad():
        # Advice to authors of networks; `openvino_proof` checks the values.
        warnings.simplefilter("ignore")
        trace: Any = torch.jit.trace
        traced = trace(Front(module, cut).eval(), example, check_trace=False)
        frontend = openvino.frontend.FrontEndManager().load_by_framework("pytorch")
        # Named, to keep it alive while the frontend reads from it.
        decoded = decoder(traced)
        model = frontend.convert(frontend.load(decoded))
    model.inputs[0].get_node().set_element_type(openvino.Type.f32)
    model.reshape(openvino.PartialShape([-1, *picture.shape[1:]]))
    return model


def _with_channels_last(openvino: Any, model: Any) -> Any:
    """Returns the model for images B×H×W×C."""
    builder = openvino.preprocess.PrePostProcessor(model)
    builder.input(0).tensor().set_layout(openvino.Layout("NHWC"))
    builder.input(0).model().set_layout(openvino.Layout("NCHW"))
    return builder.build()


def _keep(openvino: Any, model: Any, folder: str) -> None:
    """Writes a model whole or not at all, and removes others beyond `KEPT_BYTES`."""
    above = os.path.dirname(folder)
    os.makedirs(above, exist_ok=True)
    temporary = tempfile.mkdtemp(dir=above, prefix=".new-")
    try:
        openvino.save_model(model, os.path.join(temporary, _MODEL), compress_to_fp16=False)
        os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    kept = 0
    for _, path, size in sorted(_models(above), reverse=True):
        kept += size
        if kept > KEPT_BYTES and path != folder:
            shutil.rmtree(path, ignore_errors=True)


def _models(above: str) -> Iterator[tuple[float, str, int]]:
    """Yields the cached models: the time of the last use, the folder, and the bytes of each."""
    with os.scandir(above) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".new-"):
                    size = sum(one.stat().st_size for one in os.scandir(entry.path))
                    yield entry.stat().st_mtime, entry.path, size
