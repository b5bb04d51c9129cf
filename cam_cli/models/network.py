"""A network ready to be explained, with preprocessing, class names and origins."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from ..errors import CamxError, unknown
from ..images.geometry import Preprocessing
from .classes import ClassNames
from .input_settings import input_line
from .options import PreprocessingOptions
from .tasks import AUTO, TASKS


@dataclass(frozen=True)
class Network:
    """A network in evaluation mode, with preprocessing, class names and origins.

    weights: their origin as text. digest: SHA-256 of all parameters and buffers. args: arguments of the architecture.
    notes: one line for each fact that was inferred from the weights. idle_tensors: tensors of the file without
    influence on the scores. origins: origin of each value of the preprocessing and each argument. warnings:
    contradictions. silent_checkpoint: the file of weights has no input settings. scores: output with the class scores:
    a key, a position, a path of both (`heads.0`), or a function of the output. task: meaning of the scores, one of
    `models.tasks`; `auto` decides between segmentation and classification by the output. methods: default methods of
    `camx explain`, if other than usual.
    """

    module: nn.Module
    name: str
    preprocessing: Preprocessing
    classes: ClassNames = ClassNames()
    weights: str = ""
    digest: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    idle_tensors: tuple[str, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    silent_checkpoint: bool = False
    scores: str | int | Callable[[Any], Any] | None = None
    task: str = AUTO
    methods: tuple[str, ...] = ()

    @property
    def input_line(self) -> str:
        """One line with the input settings and their origins."""
        return input_line(self.preprocessing, self.origins, silent=self.silent_checkpoint)

    def replica(self) -> Network:
        """Copies the modules but shares the memory of their weights. Hooks on one are not on the other.

        Raises any exception of a module that cannot be copied.
        """
        shared: dict[int, Any] = {id(buffer): buffer for buffer in self.module.buffers()}
        for parameter in self.module.parameters():
            shared[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=parameter.requires_grad)
        # TorchScript copies its weights, with an autograd graph to them if gradients are on.
        with torch.no_grad():
            module = copy.deepcopy(self.module, shared)
        return replace(self, module=module)

    @classmethod
    def of(
        cls,
        module: nn.Module,
        *,
        image_size: int | tuple[int, int],
        mean: Sequence[float],
        std: Sequence[float],
        class_names: Sequence[str] = (),
        scores: str | int | Callable[[Any], Any] | None = None,
        task: str = AUTO,
    ) -> Network:
        """Wraps a module of your own for images of `image_size` (h, w).

        mean, std: one per channel, for values in [0, 1]. The short side of an image is resized to the input and the
        middle cut out; for anything else give `preprocessing` to `Network` itself. class_names: in the order of the
        scores. scores: the output with the scores, if the network returns several. task: see `Network`. Raises
        `CamxError` for invalid values.
        """
        if not isinstance(module, nn.Module):
            raise CamxError(
                f"A {type(module).__name__} is no torch.nn.Module.", "Use load_model(NAME) for names and files."
            )
        if task not in TASKS:
            raise unknown("task", task, TASKS)
        for name, values in (("mean", mean), ("std", std), ("class_names", class_names)):
            if isinstance(values, str) or not isinstance(values, Sequence):
                raise CamxError(f"`{name}` {values!r:.60} is no list.", "Give one value per channel or class.")
        if wrong := [name for name in class_names if not isinstance(name, str)]:
            raise CamxError(f"`class_names`: {wrong[0]!r:.60} is no text.", "Give one name per class.")
        size = (image_size, image_size) if isinstance(image_size, int) else image_size
        if not isinstance(size, tuple) or len(size) != 2 or not all(isinstance(n, int) and n > 0 for n in size):
            raise CamxError(f"`image_size` {image_size!r:.60} is no size.", "Give pixels: 224, or (height, width).")
        if len(mean) != len(std) or not mean:
            raise CamxError(
                f"mean has {len(mean)} values and std {len(std)}: give one per channel, 3 (colour) or 1 (grey)."
            )
        PreprocessingOptions(mean=tuple(mean), std=tuple(std))  # checks the values
        preprocessing = Preprocessing(size, size, "center", "bicubic", tuple(mean), tuple(std))
        return cls(
            module, type(module).__name__, preprocessing, ClassNames(tuple(class_names)), scores=scores, task=task
        )


def digest(module: nn.Module) -> str:
    """SHA-256 of names, types, shapes and values of all parameters and buffers."""
    sha = hashlib.sha256()
    for name, value in module.state_dict().items():
        for tensor in value if isinstance(value, tuple) else (value,):
            if isinstance(tensor, torch.Tensor):
                sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
                stored = tensor.int_repr() if tensor.is_quantized else tensor
                sha.update(stored.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
            else:
                # State dicts of quantised layers also hold types and packed weights.
                sha.update(f"{name} {tensor!r}".encode())
    return sha.hexdigest()
