"""A network on its device: pictures to normalised batches, in the precision asked for, as large as memory allows."""

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

R = TypeVar("R")

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Runner:
    """Moves the network to the device. Raises `CamxError` for a device that is not there."""

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
        """B×C×H×W float32, normalised, channels last in memory; an input that is float32 already is normalised."""
        arrays = [picture.input for picture in pictures]
        if self.device.type != "cuda":
            return self._normalised(torch.from_numpy(np.stack(arrays)))
        first = torch.from_numpy(arrays[0])
        # Memory from which the GPU copies by itself, while this thread goes on.
        pinned = torch.empty((len(arrays), *first.shape), dtype=first.dtype, pin_memory=True)
        np.stack(arrays, out=pinned.numpy())
        return self._normalised(pinned)

    def _normalised(self, stacked: Tensor) -> Tensor:
        pixels = stacked.to(self.device, non_blocking=True)
        if not pixels.is_floating_point():
            # Whole rows at once: a CPU is slower with three channels at a time.
            mean, std = (one.flatten().repeat(pixels.shape[2]) for one in (self._mean, self._std))
            pixels = pixels.float()
            pixels.flatten(2).div_(255).sub_(mean).div_(std)
        return pixels.permute(0, 3, 1, 2)

    def replica(self) -> Runner:
        """The same on a `Network.twin`."""
        other = copy.copy(self)
        other.network = self.network.replica()
        other.module = other.network.module
        return other

    @property
    def normalised_black(self) -> Tensor:
        """A black picture as the network sees it, 1×C×1×1."""
        return -self._mean / self._std

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which the network runs in the precision asked for."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, PRECISIONS[self.precision])

    def in_batches(
        self,
        images: Sequence[Decodable],
        work: Callable[[Sequence[Picture], Tensor], Sequence[R]],
        refused: Callable[[Picture, str], R],
        paint: Callable[[Sequence[R], Sequence[Tensor | None]], Sequence[R]] | None = None,
    ) -> list[R]:
        """`work` on all pictures and their `inputs` at once, or on smaller batches where the memory does not hold them.

        Files are decoded first; one that cannot be is `refused`, as a picture without pixels. With `paint` the pixels
        of files stay on the device, and it makes the results from those of the work and the canvas H×W×3 uint8 of each
        picture, None for one whose pixels are in main memory. The size that fits is remembered; a picture that does not
        even fit alone is `refused` with the reason. Where the network fails on a batch in another way, its pictures are
        done one by one and the culprits `refused`.
        Raises `DeviceFailed` when the device is lost, and `CamxError` of the work itself.
        """
        done: list[R] = []
        alone = 0
        while len(done) < len(images):
            size = 1 if len(done) < alone else min(self._largest_batch or len(images), len(images) - len(done))
            try:
                done += self._done(images[len(done) : len(done) + size], work, refused, paint)
                continue
            except CamxError:
                raise
            except Exception as error:
                too_large, reason = is_out_of_memory(error), self._reason(error)
            # Outside the handler: its traceback keeps the tensors of the failed try alive.
            if size == 1:
                done.append(refused(placeholder_picture(images[len(done)]), reason))
            elif not too_large:
                alone = len(done) + size
            if too_large:
                self._largest_batch = max(1, size // 2)
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
        return done

    def _done(
        self,
        images: Sequence[Decodable],
        work: Callable[[Sequence[Picture], Tensor], Sequence[R]],
        refused: Callable[[Picture, str], R],
        paint: Callable[[Sequence[R], Sequence[Tensor | None]], Sequence[R]] | None,
    ) -> list[R]:
        ready = self._ready(images, stay=paint is not None)
        decoded = [one for one in ready if not isinstance(one, str)]
        results = work([_picture(one) for one in decoded], self._inputs(decoded)) if decoded else ()
        if paint is not None:
            results = paint(results, [one.canvas if isinstance(one, Decoded) else None for one in decoded])
        finished = iter(results)
        return [
            refused(placeholder_picture(image), one) if isinstance(one, str) else next(finished)
            for image, one in zip(images, ready, strict=True)
        ]

    def _ready(self, images: Sequence[Decodable], *, stay: bool) -> Sequence[Picture | Decoded | str]:
        """The images with files decoded, or why one cannot be; `stay`: their pixels are on the device only."""
        files = [image for image in images if isinstance(image, Encoded)]
        decoded = iter(self._decode(files, stay=stay))
        ready = [next(decoded) if isinstance(image, Encoded) else image for image in images]
        broken = next((one for one in ready if isinstance(one, str)), None)
        if broken is not None and not _answers(self.device):
            raise RuntimeError(broken)
        return ready

    def _inputs(self, ready: Sequence[Picture | Decoded]) -> Tensor:
        """The `inputs` of pictures, some of which are on the device already."""
        pictures = [one for one in ready if isinstance(one, Picture)]
        if len(pictures) == len(ready):
            return self.inputs(pictures)
        pixels = [one.input if isinstance(one, Decoded) else torch.tensor(one.input) for one in ready]
        return self._normalised(torch.stack([one.to(self.device, non_blocking=True) for one in pixels]))

    def _reason(self, error: Exception) -> str:
        """Why one picture could not be explained. Raises `DeviceFailed` if nothing more can be."""
        if is_out_of_memory(error):
            return f"not enough memory on {self.device} for one picture"
        first_line = str(error).partition("\n")[0]
        if not _answers(self.device):
            raise DeviceFailed(
                f"The device {self.device} has failed ({first_line}). The images in flight are marked failed; "
                "the same command continues, if need be with another --device."
            ) from error
        return f"the network failed on it: {type(error).__name__}: {first_line}"


def _use_channels_last(module: nn.Module) -> None:
    """Lay out the weights of convolutions as the inputs are: cuDNN would turn them round in every forward otherwise."""
    for one in module.modules():
        if isinstance(one, nn.Conv2d):
            one.to(memory_format=torch.channels_last)


def _picture(one: Picture | Decoded) -> Picture:
    return one.picture if isinstance(one, Decoded) else one


class DeviceFailed(CamxError):
    """The device answers nothing more in this process."""


def find_device(wanted: str) -> torch.device:
    """`auto` takes the first CUDA device, then Apple's, then the CPU. Raises `CamxError` for one that is not there."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise CamxError(f"Unknown device {wanted!r}. Give auto, cpu, cuda, cuda:1 or mps.") from None
    count = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}.get(device.type, 1)
    if device.type not in ("cpu", "cuda", "mps") or (device.index or 0) >= count:
        raise CamxError(
            f"The device {wanted!r} is not there (this machine has {_devices()}). Leave --device out to take the best."
        )
    return device


def _devices() -> str:
    return ", ".join(["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))])


def chosen_precision(wanted: str, device: torch.device) -> str:
    """`auto` is bf16 on GPUs that have it, else fp32."""
    if wanted == "auto":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return wanted


def _answers(device: torch.device) -> bool:
    """Whether a device still computes. After a failed assertion or an illegal access every later call fails too."""
    try:
        return device.type == "cpu" or torch.ones(1, device=device).item() == 1
    except RuntimeError:
        return False
