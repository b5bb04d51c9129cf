"""Logs feature maps during a training, in any training loop."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..cams.target_layer.choose import AUTO
from ..cams.tracing.network_state import undisturbed
from ..errors import CamxError
from ..models.hooks import hooked
from ..models.layouts import Path, tensors_in
from .layer import as_map, find_map_layer, maps_at, no_map, observed_modules, prefix_counts
from .maps import feature_maps
from .options import ChannelChoice
from .sheet import draw_sheet
from .sinks import Sink, as_sink

#: Name of the network itself among its modules.
_ROOT = ""


class FeatureLogger:
    """Writes sheets of a layer's feature maps to a folder or a sink, as a context manager or as a callback.

    While the context is open, it reads every `every`-th forward pass of the network, beginning with the first. No
    forward pass runs twice, and the others only increase a counter:

    >>> with FeatureLogger(model, every=100, to="activations"):
    ...     for images, labels in loader:
    ...         loss(model(images), labels).backward()

    As a callback it runs the same images after every `every`-th epoch, in evaluation mode and without gradients:

    >>> logger = FeatureLogger(model, to=WandbSink())
    >>> logger.log(images, step=epoch)

    layer: `auto` (the first convolution that runs) or the name of a module. images: drawn images per batch.
    sort, max_channels: the channels, as in `ChannelChoice`; `index` keeps a channel in its place from step to step.
    mean, std: the normalisation of the images, one number per channel; without them the tile of the input
    goes from its lowest value (black) to its highest (white).

    The network has hooks only while the context is open; they are removed also after an exception. Raises
    `CamxError` for a layer that does not exist, does not run, or gives no map.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        layer: str = AUTO,
        every: int = 1,
        to: Sink | str | os.PathLike[str] = "activations",
        images: int = 4,
        sort: str = "index",
        max_channels: int = 64,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        if every < 1 or images < 1:
            raise CamxError(f"FeatureLogger(every={every}, images={images}): both must be 1 or more.")
        if (mean is None) != (std is None):
            raise CamxError("FeatureLogger needs both mean and std, or neither.")
        self.model, self.layer, self.every, self.images = model, layer, every, images
        self.sink, self.choice = as_sink(to), ChannelChoice(sort, max_channels)
        self._modules = {**observed_modules(model, layer), _ROOT: model}
        self._normalisation = (tuple(mean), tuple(std)) if mean is not None and std is not None else None
        self._step = 0
        self._stored: tuple[str, list[tuple[Path, Tensor]]] | None = None
        self._hooks: contextlib.AbstractContextManager[None] | None = None
        self._busy = False

    def __enter__(self) -> FeatureLogger:
        if self._hooks is not None:
            raise CamxError("This FeatureLogger is open already. Use one `with` at a time.")
        self._hooks = hooked(self._modules, self._after_forward)
        self._hooks.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        hooks, self._hooks, self._stored = self._hooks, None, None
        if hooks is not None:
            # The error belongs to the loop: passed to the context of the hooks, it would be raised again there.
            hooks.__exit__(None, None, None)

    def log(self, images: Tensor, step: int) -> None:
        """Writes the sheets of normalised images B×C×H×W, if `step` is a multiple of `every`.

        Restores the network's mode; leaves gradients and statistics unchanged.
        """
        if step % self.every:
            return
        pictures = images[: self.images]
        device = next((p.device for p in self.model.parameters()), pictures.device)
        self._busy = True
        try:
            with undisturbed(self.model):
                layer = find_map_layer(self.model, pictures.to(device), self.layer)
                self._write(maps_at(self.model, pictures.to(device), layer), layer.name, pictures, step)
        finally:
            self._busy = False

    def _after_forward(self, name: str, _call: int, inputs: tuple[Any, ...], output: Any) -> None:
        """Forward hook. Stores the output of the layer, and writes it at the end of the whole forward."""
        if self._busy:
            return
        if name == _ROOT:
            stored, self._stored = self._stored, None
            step, self._step = self._step, self._step + 1
            if step % self.every == 0:
                self._write_stored(stored, inputs, step)
        # An aborted forward leaves an output behind, which the next forward replaces.
        elif self._step % self.every == 0 and (self._stored is None or self._stored[0] == name):
            found = list(tensors_in(output))
            if self.layer != AUTO or any(min(tensor.shape[2:], default=0) > 1 for _, tensor in found):
                # Copied, because the next operation may work in place.
                self._stored = name, [(path, tensor.detach().clone()) for path, tensor in found]

    def _write_stored(
        self, stored: tuple[str, list[tuple[Path, Tensor]]] | None, inputs: tuple[Any, ...], step: int
    ) -> None:
        pictures = inputs[0] if inputs else None
        if not isinstance(pictures, Tensor) or pictures.dim() != 4:
            raise CamxError(
                "FeatureLogger needs a network whose first argument is the images B×C×H×W. Call it so, or call log()."
            )
        tensors = dict(stored[1]) if stored else {}
        size = (pictures.shape[2], pictures.shape[3])
        for tensor in tensors.values():
            place = as_map(tensor, len(pictures), size, prefix_counts(self.model))
            if place is not None and stored:
                with torch.no_grad():
                    maps = place[1].to_nchw(tensor)[: self.images].float()
                    self._write(maps, stored[0], pictures, step)
                return
        raise no_map(self.model, self.layer)

    def _write(self, maps: Tensor, layer: str, pictures: Tensor, step: int) -> None:
        read = feature_maps(maps, layer, self.choice)
        self.sink.write([draw_sheet(one, self._as_pixels(x)) for one, x in zip(read, pictures, strict=False)], step)

    def _as_pixels(self, picture: Tensor) -> np.ndarray | None:
        """Converts a normalised image C×H×W to uint8 H×W×C; None unless it has one or three channels."""
        values = picture.detach().float().cpu()
        if values.shape[0] not in (1, 3):
            return None
        if self._normalisation is not None:
            mean, std = (torch.tensor(numbers).view(-1, 1, 1) for numbers in self._normalisation)
            values = values * std + mean
        else:
            low, high = values.min(), values.max()
            values = (values - low) / (high - low).clamp_min(1e-12)
        pixels: np.ndarray = (values.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        return pixels
