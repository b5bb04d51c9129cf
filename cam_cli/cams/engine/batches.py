"""Batches on the device of a network: decoded, normalised, and as large as memory allows."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import CamxError
from ...images.picture import Decodable, Encoded, Picture, placeholder_picture
from ...models.catalog import Network
from ..tracing.out_of_memory import is_out_of_memory
from .device_decoding import Decoded, JpegDecoder
from .devices import PRECISIONS, DeviceFailed, chosen_precision, device_answers, find_device

R = TypeVar("R")

#: (images, their inputs B×C×H×W) → one result per image.
BatchFunction = Callable[[Sequence[Picture], Tensor], Sequence[R]]
#: (an image without pixels, why it has no result) → its result.
FailureFunction = Callable[[Picture, str], R]
#: (results, the canvas H×W×3 uint8 of each on the device; None for an image in main memory) → results with overlays.
OverlayFunction = Callable[[Sequence[R], Sequence[Tensor | None]], Sequence[R]]


class Runner:
    """Moves a network to a device and runs functions of batches on it, in a precision.

    device, precision: the resolved values of `auto`. Raises `CamxError` for a device that this machine does not have.
    """

    def __init__(self, network: Network, device: str = "auto", precision: str = "auto") -> None:
        self.network = network
        self.device = find_device(device)
        self.precision = chosen_precision(precision, self.device)
        self.module = network.module.to(self.device)
        if self.device.type == "cuda":
            _use_channels_last(self.module)
        preprocessing = network.preprocessing
        self._mean = torch.tensor(preprocessing.mean, device=self.device).view(1, -1, 1, 1)
        self._std = torch.tensor(preprocessing.std, device=self.device).view(1, -1, 1, 1)
        self._decode = JpegDecoder(preprocessing, self.device)
        self._largest_batch: int | None = None

    def inputs(self, pictures: Sequence[Picture]) -> Tensor:
        """Returns the normalised batch B×C×H×W float32 of images, channels last in memory.

        An image whose input is float32 is normalised already.
        """
        arrays = [picture.input for picture in pictures]
        if self.device.type != "cuda":
            return self._normalised(torch.from_numpy(np.stack(arrays)))
        first = torch.from_numpy(arrays[0])
        # Pinned memory: the GPU copies from it while this thread goes on.
        pinned = torch.empty((len(arrays), *first.shape), dtype=first.dtype, pin_memory=True)
        np.stack(arrays, out=pinned.numpy())
        return self._normalised(pinned)

    def masks(self, pictures: Sequence[Picture]) -> Tensor | None:
        """Returns the masks B×H×W int16 of images on the device; None if they have none."""
        found = [picture.mask for picture in pictures if picture.mask is not None]
        return torch.from_numpy(np.stack(found)).to(self.device) if found else None

    def _normalised(self, stacked: Tensor) -> Tensor:
        pixels = stacked.to(self.device, non_blocking=True)
        if not pixels.is_floating_point():
            # Whole rows at once: a CPU is slower with three channels at a time.
            mean, std = (one.flatten().repeat(pixels.shape[2]) for one in (self._mean, self._std))
            pixels = pixels.float()
            pixels.flatten(2).div_(255).sub_(mean).div_(std)
        return pixels.permute(0, 3, 1, 2)

    def replica(self) -> Runner:
        """Returns a runner on modules of its own, with the same weights in memory (`Network.replica`)."""
        other = copy.copy(self)
        other.network = self.network.replica()
        other.module = other.network.module
        return other

    @property
    def normalised_black(self) -> Tensor:
        """A black image after normalisation, 1×C×1×1."""
        return -self._mean / self._std

    @property
    def normalised_white(self) -> Tensor:
        """A white image after normalisation, 1×C×1×1."""
        return (1 - self._mean) / self._std

    def autocast(self) -> AbstractContextManager[object]:
        """Returns the context in which the network runs in its precision."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, PRECISIONS[self.precision])

    def in_batches(
        self,
        images: Sequence[Decodable],
        run: BatchFunction[R],
        failed: FailureFunction[R],
        draw: OverlayFunction[R] | None = None,
    ) -> list[R]:
        """Decodes images and runs `run` on all of them at once, or on smaller batches if memory is short.

        Returns one result per image, in order. The size that fits is remembered. `failed` makes the result of an image
        whose file cannot be decoded, that does not fit into memory alone, or on which the network fails: after such an
        error, the images of the batch run one by one. With `draw`, the pixels of decoded files stay on the device, and
        `draw` gets them with the results of `run`. Raises `DeviceFailed` if the device is lost, and any `CamxError` of
        `run`.
        """
        done: list[R] = []
        alone = 0
        while len(done) < len(images):
            most = min(self._largest_batch or len(images), len(images) - len(done))
            size = 1 if len(done) < alone else _of_one_size(images[len(done) : len(done) + most])
            try:
                done += self._run_batch(images[len(done) : len(done) + size], run, failed, draw)
                continue
            except CamxError:
                raise
            except Exception as error:
                too_large, reason = is_out_of_memory(error), self._reason(error)
            # Outside the handler: its traceback keeps the tensors of the failed attempt alive.
            if size == 1:
                done.append(failed(placeholder_picture(images[len(done)]), reason))
            elif not too_large:
                alone = len(done) + size
            if too_large:
                self._largest_batch = max(1, size // 2)
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
        return done

    def _run_batch(
        self,
        images: Sequence[Decodable],
        run: BatchFunction[R],
        failed: FailureFunction[R],
        draw: OverlayFunction[R] | None,
    ) -> list[R]:
        decoded = self._decoded(images, keep_on_device=draw is not None)
        ready = [one for one in decoded if not isinstance(one, str)]
        results = run([_picture(one) for one in ready], self._inputs(ready)) if ready else ()
        if draw is not None:
            results = draw(results, [one.canvas if isinstance(one, Decoded) else None for one in ready])
        finished = iter(results)
        return [
            failed(placeholder_picture(image), one) if isinstance(one, str) else next(finished)
            for image, one in zip(images, decoded, strict=True)
        ]

    def _decoded(self, images: Sequence[Decodable], *, keep_on_device: bool) -> Sequence[Picture | Decoded | str]:
        """Decodes the files among the images; the result of a broken file is the reason."""
        files = [image for image in images if isinstance(image, Encoded)]
        decoded = iter(self._decode(files, keep_on_device=keep_on_device))
        results = [next(decoded) if isinstance(image, Encoded) else image for image in images]
        broken = next((one for one in results if isinstance(one, str)), None)
        if broken is not None and not device_answers(self.device):
            raise RuntimeError(broken)
        return results

    def _inputs(self, ready: Sequence[Picture | Decoded]) -> Tensor:
        """Returns the normalised batch of images, some of which may be on the device."""
        pictures = [one for one in ready if isinstance(one, Picture)]
        if len(pictures) == len(ready):
            return self.inputs(pictures)
        pixels = [one.input if isinstance(one, Decoded) else torch.tensor(one.input) for one in ready]
        return self._normalised(torch.stack([one.to(self.device, non_blocking=True) for one in pixels]))

    def _reason(self, error: Exception) -> str:
        """Returns why one image has no result. Raises `DeviceFailed` if the device computes nothing more."""
        if is_out_of_memory(error):
            return f"not enough memory on {self.device} for one image"
        first_line = str(error).partition("\n")[0]
        if not device_answers(self.device):
            raise DeviceFailed(
                f"The device {self.device} has failed ({first_line}). The images in flight are marked failed; "
                "the same command continues, if need be with another `device`."
            ) from error
        return f"the network failed on it: {type(error).__name__}: {first_line}"


def _of_one_size(images: Sequence[Decodable]) -> int:
    """Returns the number of the first images with inputs of one size: all, except for a network that resizes itself.

    Files that the device decodes get the size of the images beside them.
    """
    shapes = [image.input.shape if isinstance(image, Picture) else None for image in images]
    first = next((shape for shape in shapes if shape), None)
    return next((place for place, shape in enumerate(shapes) if shape and shape != first), len(shapes)) or 1


def _use_channels_last(module: nn.Module) -> None:
    """Lays out the weights of convolutions as the inputs: otherwise cuDNN would reorder them in every forward."""
    for one in module.modules():
        if isinstance(one, nn.Conv2d):
            one.to(memory_format=torch.channels_last)


def _picture(one: Picture | Decoded) -> Picture:
    return one.picture if isinstance(one, Decoded) else one
