"""Layouts of a feature map in a tensor: NCHW, NHWC, or a sequence of tokens with prefix tokens."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

Kind = Literal["NCHW", "NHWC", "NLC", "LNC", "NCL"]
#: Path to a tensor in a nested output: indices and keys from the outside in; () for a bare tensor.
Path = tuple[Any, ...]


class Layout(NamedTuple):
    """Axes of a feature map in a tensor.

    height, width: the grid. prefix, suffix: numbers of tokens before and after the grid.
    """

    kind: Kind
    height: int
    width: int
    channels: int
    prefix: int = 0
    suffix: int = 0

    def to_nchw(self, tensor: Tensor) -> Tensor:
        """Returns the map as N×C×h×w, as a view if possible."""
        if self.kind == "NCHW":
            return tensor
        if self.kind == "NHWC":
            return tensor.permute(0, 3, 1, 2)
        # A wrong number of tokens must fail in the reshape, which takes all tokens of the grid.
        if self.kind == "NLC":
            tokens = tensor[:, self.prefix : tensor.shape[1] - self.suffix].transpose(1, 2)
        elif self.kind == "LNC":
            tokens = tensor[self.prefix : tensor.shape[0] - self.suffix].permute(1, 2, 0)
        else:
            tokens = tensor[:, :, self.prefix : tensor.shape[2] - self.suffix]
        return tokens.reshape(tokens.shape[0], self.channels, self.height, self.width)

    def put(self, tensor: Tensor, maps: Tensor) -> Tensor:
        """Copies `tensor` (of one image) for each of the `maps` N×C×h×w, and inserts the map.

        Tokens before and after the grid stay unchanged.
        """
        count, end = len(maps), self.prefix + self.height * self.width
        if self.kind == "NCHW":
            return maps
        if self.kind == "NHWC":
            return maps.permute(0, 2, 3, 1)
        tokens = maps.flatten(2)
        if self.kind == "NLC":
            before, after = (part.expand(count, -1, -1) for part in (tensor[:, : self.prefix], tensor[:, end:]))
            return torch.cat([before, tokens.transpose(1, 2), after], dim=1)
        if self.kind == "LNC":
            before, after = (part.expand(-1, count, -1) for part in (tensor[: self.prefix], tensor[end:]))
            return torch.cat([before, tokens.permute(2, 0, 1), after])
        before, after = (part.expand(count, -1, -1) for part in (tensor[:, :, : self.prefix], tensor[:, :, end:]))
        return torch.cat([before, tokens, after], dim=2)

    def __str__(self) -> str:
        prefix = f" after {self.prefix} prefix token{'s' * (self.prefix > 1)}" if self.prefix else ""
        suffix = f" before {self.suffix} token{'s' * (self.suffix > 1)}" if self.suffix else ""
        channels = f"{self.channels} channel{'s' * (self.channels != 1)}"
        return f"{self.height}×{self.width}, {channels}, {self.kind}{prefix}{suffix}"

    @property
    def at_the_end(self) -> Layout:
        """The layout with its prefix tokens after the grid."""
        return self._replace(prefix=0, suffix=self.prefix)


def possible_layouts(
    shape: torch.Size, batch: int, input_size: tuple[int, int], prefixes: Sequence[int]
) -> list[Layout]:
    """Returns all layouts in which a tensor of this shape is a map of `batch` images of `input_size` (h, w)."""
    if len(shape) == 4 and shape[0] == batch:
        _, a, b, c = shape
        nchw = [Layout("NCHW", b, c, a)] if _is_grid(b, c, input_size) else []
        nhwc = [Layout("NHWC", a, b, c)] if _is_grid(a, b, input_size) else []
        return nchw + nhwc
    if len(shape) == 3 and shape[0] == batch:
        return [
            *_tokens("NLC", shape[1], shape[2], input_size, prefixes),
            *_tokens("NCL", shape[2], shape[1], input_size, prefixes),
        ]
    if len(shape) == 3 and shape[1] == batch:
        return list(_tokens("LNC", shape[0], shape[2], input_size, prefixes))
    return []


def _tokens(
    kind: Kind, length: int, channels: int, input_size: tuple[int, int], prefixes: Sequence[int]
) -> Iterator[Layout]:
    for prefix in prefixes:
        count = length - prefix
        if count < 4:
            continue
        guess = round(math.sqrt(count * input_size[0] / input_size[1]))
        for height in (guess, guess - 1, guess + 1):
            if height > 1 and count % height == 0 and _is_grid(height, count // height, input_size):
                yield Layout(kind, height, count // height, channels, prefix)
                break


def _is_grid(height: int, width: int, input_size: tuple[int, int]) -> bool:
    """Whether the grid has more than one position per side and one stride for both sides, up to rounding."""
    full_height, full_width = input_size
    if height < 2 or width < 2 or height > full_height or width > full_width:
        return False
    if abs(full_height - full_width) <= 2:
        return height == width
    smallest = max(full_height / (height + 1), full_width / (width + 1))
    largest = min(full_height / (height - 1), full_width / (width - 1))
    return smallest < largest


def tensors_in(output: Any, path: Path = ()) -> Iterator[tuple[Path, Tensor]]:
    """Yields all tensors of a nested module output with their paths."""
    if isinstance(output, Tensor):
        yield path, output
    elif isinstance(output, (list, tuple)):
        for index, item in enumerate(output):
            yield from tensors_in(item, (*path, index))
    elif isinstance(output, dict):
        for key, item in output.items():
            yield from tensors_in(item, (*path, key))
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        for field in dataclasses.fields(output):
            yield from tensors_in(getattr(output, field.name), (*path, field.name))


def replaced(output: Any, path: Path, new: Tensor) -> Any:
    """Returns a copy of a nested output with another tensor at `path`."""
    if not path:
        return new
    key, *rest = path
    if isinstance(output, dict):
        return type(output)({**output, key: replaced(output[key], tuple(rest), new)})
    if isinstance(key, str):
        changed = copy.copy(output)
        # Works for a frozen dataclass, too.
        object.__setattr__(changed, key, replaced(getattr(output, key), tuple(rest), new))
        return changed
    items = list(output)
    items[key] = replaced(items[key], tuple(rest), new)
    if isinstance(output, tuple):
        return type(output)(*items) if hasattr(output, "_fields") else tuple(items)
    return items


def map_tensors(output: Any, function: Callable[[Path, Tensor], Tensor]) -> Any:
    """Returns a copy of a nested output with `function`(path, tensor) in place of each tensor."""
    for path, tensor in list(tensors_in(output)):
        output = replaced(output, path, function(path, tensor))
    return output


def dequantised(tensor: Tensor) -> Tensor:
    """Converts a quantised tensor to floats; returns any other one unchanged."""
    return tensor.dequantize() if tensor.is_quantized else tensor


def quantised_like(own: Tensor, new: Tensor) -> Tensor:
    """Quantises `new` as `own`; returns it unchanged if `own` is not quantised."""
    if not own.is_quantized:
        return new
    return torch.quantize_per_tensor(new, own.q_scale(), own.q_zero_point(), own.dtype)
