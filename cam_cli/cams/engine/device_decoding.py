"""JPEG files decoded on the device of the network: by nvJPEG on CUDA, otherwise by libjpeg-turbo on the CPU.

The pixels are turned, resized and cropped there in float32, as Pillow does in a worker. Canvases for the overlays go to
main memory once per batch, or stay on the device.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from ...errors import CamxError
from ...images.geometry import Preprocessing
from ...images.orientation import Orientation
from ...images.picture import Encoded, Picture, placeholder_picture
from ..tracing.out_of_memory import is_out_of_memory

#: The most bytes of complete images on the device at once.
_AT_ONCE = 256 << 20
#: Weights of red, green and blue in Pillow's grey.
_GREY = (0.299, 0.587, 0.114)
#: The beginning of torchvision's errors: a function and a line of its source.
_PLACE = re.compile(r"^\w+, \S+, ")


class Decoded(NamedTuple):
    """An image and its pixels on the device.

    input: uint8 h×w×C. canvas: uint8 H×W×3, if the picture has no pixels in main memory.
    """

    picture: Picture
    input: Tensor
    canvas: Tensor | None = None


class _Pixels(NamedTuple):
    """The pixels of one file on the device: input uint8 h×w×C, canvas uint8 H×W×3."""

    input: Tensor
    canvas: Tensor


class JpegDecoder:
    """Decodes JPEG files; several threads may call it at once."""

    def __init__(self, preprocessing: Preprocessing, device: torch.device) -> None:
        self._preprocessing = preprocessing
        self._device = decoding_device(device)

    def __call__(self, images: Sequence[Encoded], *, keep_on_device: bool = False) -> list[Decoded | str]:
        """Returns the decoded image of each file, in order, or why it cannot be decoded.

        keep_on_device: copy no pixels to main memory.
        """
        results = [one for group in _groups(images) for one in self._decode_group(group)]
        pixels = [] if keep_on_device else [one for pair in results if not isinstance(pair, str) for one in pair]
        arrays = on_host(pixels)

        def decoded(image: Encoded, one: _Pixels) -> Decoded:
            frame = self._preprocessing.placed(image.width, image.height).frame
            picture = replace(placeholder_picture(image), frame=frame)
            if keep_on_device:
                return Decoded(picture, *one)
            return Decoded(replace(picture, input=next(arrays), canvas=next(arrays)), one.input)

        pairs = zip(images, results, strict=True)
        return [one if isinstance(one, str) else decoded(image, one) for image, one in pairs]

    def _decode_group(self, images: Sequence[Encoded]) -> list[_Pixels | str]:
        decoded = _decode_files([torch.from_numpy(image.data) for image in images], self._device)
        return [one if isinstance(one, str) else self._prepare(one, image) for image, one in zip(images, decoded)]

    def _prepare(self, stored: Tensor, image: Encoded) -> _Pixels | str:
        """Makes input and canvas from stored pixels 3×h×w, as `prepare` does, but resizes before it turns them."""
        if image.turn.size(stored.shape[2], stored.shape[1]) != (image.width, image.height):
            return "broken image: its pixels are not as many as its header says"
        preprocessing, pixels = self._preprocessing, stored.float()
        place = preprocessing.placed(image.width, image.height)
        colours = pixels if preprocessing.channels == 3 else _grey(pixels)
        left, top, right, bottom = place.kept
        kept = resized(colours, place.size, image.turn, preprocessing.interpolation)[:, top:bottom, left:right]
        inputs = torch.tensor(preprocessing.background, dtype=torch.float32, device=self._device).view(-1, 1, 1)
        inputs = inputs.repeat(1, *preprocessing.input_size)
        inputs[:, place.top : place.top + bottom - top, place.left : place.left + right - left] = kept
        return _Pixels(eight_bit(inputs), eight_bit(resized(pixels, image.canvas, image.turn, "bicubic")))


def decoding_device(device: torch.device) -> torch.device:
    """Returns the device that decodes for a network on `device`: torchvision has decoders for CUDA and the CPU."""
    return device if device.type == "cuda" else torch.device("cpu")


def check_decoder(device: torch.device) -> None:
    """Raises `CamxError` if torchvision cannot decode JPEG files for a network on this device."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG")
    try:
        _decode_jpeg([torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)], decoding_device(device))
    except (ImportError, AttributeError, RuntimeError) as error:
        raise CamxError(
            f"`decode=device` needs a torchvision that decodes JPEG files on {decoding_device(device)}: "
            f"{_reason(error)}. Use `decode=draft`, or exact."
        ) from error


def _decode_jpeg(files: list[Tensor], device: torch.device) -> list[Tensor]:
    # Imported here: torchvision has announced its removal, and nothing else needs it.
    from torchvision.io import ImageReadMode, decode_jpeg

    decoded: list[Tensor] = decode_jpeg(files, mode=ImageReadMode.RGB, device=device)
    return decoded


def _decode_files(files: list[Tensor], device: torch.device) -> list[Tensor | str]:
    """Returns the pixels 3×h×w of each file, or why it cannot be decoded; a broken file does not affect others."""
    try:
        return [*_decode_jpeg(files, device)]
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        if len(files) == 1:
            return [f"broken image: {_reason(error)}"]
    return [one for file in files for one in _decode_files([file], device)]


def _reason(error: Exception) -> str:
    return _PLACE.sub("", str(error).partition("\n")[0])


def on_host(pixels: Sequence[Tensor]) -> Iterator[np.ndarray]:
    """Copies tensors of bytes to main memory in one transfer, and yields them as arrays."""
    together = torch.cat([one.flatten() for one in pixels]).cpu().numpy() if pixels else np.empty(0, np.uint8)
    begin = 0
    for one in pixels:
        yield together[begin : begin + one.numel()].reshape(one.shape)
        begin += one.numel()


def _groups(images: Sequence[Encoded]) -> Iterator[list[Encoded]]:
    """Yields the files in order, in groups whose complete images fit into memory at once."""
    group: list[Encoded] = []
    size = 0
    for image in images:
        need = 3 * image.width * image.height
        if group and size + need > _AT_ONCE:
            yield group
            group, size = [], 0
        group.append(image)
        size += need
    if group:
        yield group


def resized(stored: Tensor, size: tuple[int, int], turn: Orientation, interpolation: str) -> Tensor:
    """Resizes stored pixels C×h×w to the upright image of (width, height) `size`: float32, not rounded."""
    width, height = turn.size(*size)
    if stored.shape[1:] != (height, width):
        stored = interpolate(stored[None], size=(height, width), mode=interpolation, antialias=True)[0]
    upright = stored.transpose(1, 2) if turn.transposed else stored
    return upright.flip([axis for axis, changes in ((1, turn.flipped), (2, turn.mirrored)) if changes])


def _grey(pixels: Tensor) -> Tensor:
    """Returns pixels 3×h×w as grey levels 1×h×w, rounded to integers."""
    return (pixels * pixels.new_tensor(_GREY).view(3, 1, 1)).sum(0, keepdim=True).round()


def eight_bit(pixels: Tensor) -> Tensor:
    """Rounds levels C×h×w to uint8 h×w×C."""
    return pixels.permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).contiguous()
