"""Lists the networks of the census in order, and ways to build large ones within the limits."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from cam_cli.errors import CamxError
from cam_cli.models.libraries import Architecture, TimmModel, TorchvisionModel, timm_names, torchvision_names
from cam_cli.models.options import PreprocessingOptions

#: Arguments that set the depth of a family, with the values of a shallow network.
_SHALLOW: tuple[tuple[str, Any], ...] = (
    ("depth", 4),
    *(("depths", (2,) * stages) for stages in (4, 3, 5)),
    *(("layers", (2,) * stages) for stages in (4, 3)),
    ("num_blocks", 4),
)
#: Smaller input sizes for expensive networks, for strides of 32 and for patches of 14.
_SIZES = {32: (224, 192, 160, 128, 96), 14: (224, 168, 112)}


@dataclass(frozen=True)
class Specimen:
    """A name with its properties before anything is allocated; `family` is the module that defines it.

    `cost` estimates the multiply-adds of one forward as parameters × positions of a stride of 16: right within a
    factor of three for convolutional networks and transformers alike.
    """

    library: str
    name: str
    family: str
    parameters: int = 0
    input_size: int = 224

    @property
    def cost(self) -> float:
        return self.parameters * (self.input_size / 16) ** 2

    @property
    def architecture(self) -> Architecture:
        return TimmModel(self.name) if self.library == "timm" else TorchvisionModel(self.name)

    @property
    def variant(self) -> tuple[str, str, str]:
        """Library, family and first word of the name: `halonet` and `lambda` differ from the rest of `byobnet`."""
        return self.library, self.family, re.split(r"[_\d]", self.name)[0]


def all_names() -> list[tuple[str, str, str]]:
    """(library, name, family) of every classifier of timm and torchvision."""
    import timm
    import torchvision

    timms = [("timm", n, timm.models.model_entrypoint(n).__module__) for n in timm_names()]
    builder = torchvision.models.get_model_builder
    visions = [("torchvision", n, builder(n).__module__) for n in torchvision_names()]
    return [(library, name, module.split(".")[-1]) for library, name, module in timms + visions]


def planned(library: str, name: str, family: str) -> Specimen:
    """The specimen with its number of parameters, counted on a network without memory."""
    bare = Specimen(library, name, family)
    try:
        module = _on_meta(bare, {})
        size = bare.architecture.preprocessing(module, PreprocessingOptions(), {}).input_size[0]
        return Specimen(library, name, family, sum(p.numel() for p in module.parameters()), size)
    except Exception:  # a family that computes with its weights while it is built counts as medium-sized
        return Specimen(library, name, family, 30_000_000)


def in_order(specimens: Iterable[Specimen]) -> list[Specimen]:
    """Orders specimens: one of each family, then one of each variant, then the rest; small ones first in each part."""
    families: defaultdict[tuple[str, str], int] = defaultdict(int)
    variants: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    ranked = []
    for one in sorted(specimens, key=lambda s: s.cost):
        turn = 0 if not families[one.library, one.family] else 1 if not variants[one.variant] else 2
        families[one.library, one.family] += 1
        variants[one.variant] += 1
        ranked.append((turn, one.cost, one))
    return [one for _, _, one in sorted(ranked, key=lambda r: r[:2])]


def ways_to_build(specimen: Specimen, limit: float, parameters: int) -> Iterator[tuple[str, dict[str, Any], int]]:
    """(how, arguments, input size) to try one after the other: whole, if it is within the limits, or made smaller.

    limit: of `Specimen.cost`. parameters: largest number of parameters.
    """
    if specimen.cost <= limit and specimen.parameters <= parameters:
        yield "whole", {}, specimen.input_size
        return
    shallow = _shallow(specimen)
    if shallow is not None:
        argument, value, count = shallow
        smaller = Specimen(specimen.library, specimen.name, specimen.family, count, specimen.input_size)
        how = f"{argument}={value}"
        if smaller.cost > limit and (size := _smaller(smaller, limit)) < specimen.input_size:
            yield f"{how}, {size} px", {argument: value}, size
        yield how, {argument: value}, specimen.input_size
    if (size := _smaller(specimen, limit)) < specimen.input_size:
        yield f"{size} px", {}, size
    yield "whole", {}, specimen.input_size


def resized_args(specimen: Specimen, size: int) -> Mapping[str, Any]:
    """Arguments that build the network for another input size."""
    return specimen.architecture.resized_args(_on_meta(specimen, {}), size)


def _smaller(specimen: Specimen, limit: float) -> int:
    """The largest input size within the limit, or the smallest of all."""
    sizes = _SIZES[14 if "patch14" in specimen.name else 32]
    fitting = [size for size in sizes if specimen.parameters * (size / 16) ** 2 <= limit]
    return min(specimen.input_size, fitting[0] if fitting else sizes[-1])


def _shallow(specimen: Specimen) -> tuple[str, Any, int] | None:
    """An argument that makes the network shallow, its value, and the number of parameters that remain."""
    try:
        whole = _on_meta(specimen, {})
    except Exception:
        return None
    known = inspect.signature(type(whole).__init__).parameters
    for argument, value in _SHALLOW:
        if argument not in known or specimen.library != "timm":
            continue
        try:
            count = sum(p.numel() for p in _on_meta(specimen, {argument: value}).parameters())
        except Exception:
            continue
        if count < specimen.parameters:
            return argument, value, count
    return None


class QuickDraws(TorchFunctionMode):
    """While active, fills large tensors by drawing a million random values and repeating them.

    Drawing takes most of the time to build a large network, and the census does not need independent values.
    """

    _PERIOD = 1_000_003  # a prime: rows of a weight do not repeat each other

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        drawn = func in (torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.erfinv_)
        if not drawn or args[0].numel() <= self._PERIOD or args[0].is_meta or not args[0].is_contiguous():
            return func(*args, **(kwargs or {}))
        flat = args[0].view(-1)
        func(flat[: self._PERIOD], *args[1:], **(kwargs or {}))
        done = self._PERIOD
        while done < len(flat):
            more = min(done, len(flat) - done)
            flat[done : done + more].copy_(flat[:more])
            done += more
        return args[0]


class _NoDraws(TorchFunctionMode):
    """While active, skips in-place functions on meta tensors: initialisation has no effect there."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name.endswith("_") and not name.endswith("__") and args and getattr(args[0], "is_meta", False):
            return args[0]
        return func(*args, **(kwargs or {}))


def _on_meta(specimen: Specimen, args: dict[str, Any]) -> nn.Module:
    try:
        with torch.device("meta"), _NoDraws():
            return specimen.architecture.build(pretrained=False, num_classes=None, args=args)
    except (CamxError, RuntimeError, NotImplementedError) as error:
        raise ValueError(str(error)) from error
