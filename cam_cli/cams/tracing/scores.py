"""Class scores from any output of a network: a tensor, or one of several in tuples, dictionaries and objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import CamxError
from ...models.layouts import Path, tensors_in

#: Which output holds the class scores: a key, a position, a path of both (`heads.0`), or a function of the output.
Wanted = str | int | Callable[[Any], Any] | None
#: The attribute of a wrapper that holds the wrapped network, as in `ScoredNetwork`.
NETWORK = "_network"


def network_name(module: nn.Module) -> str:
    """Returns the name of a network's class, as its author wrote it."""
    while NETWORK in vars(module):
        module = vars(module)[NETWORK]
    return str(module.original_name) if isinstance(module, torch.jit.ScriptModule) else type(module).__name__


def scores_of(output: Any, batch: int | None = None) -> Tensor:
    """Finds the class scores B×K in a network's output: the only tensor that can be scores, or the `logits` of several.

    batch: the number of images, if it is known. Raises `CamxError` for an output that has no score per image and
    class, or several that could be.
    """
    if isinstance(output, Tensor) and output.dim() >= 2 and all(side == 1 for side in output.shape[2:]):
        return output.flatten(1)
    path = score_path(output, len(output) if batch is None and isinstance(output, Tensor) else batch)
    return as_scores(at(output, path), batch)


def score_path(output: Any, batch: int | None, wanted: Wanted = None) -> Path:
    """Returns the path of the class scores of `batch` images in an output.

    `logits` comes before other tensors. Raises `CamxError` if no tensor or several could be the scores, or if `wanted`
    is none of them.
    """
    tensors = dict(tensors_of(output))
    possible = {path: one for path, one in tensors.items() if _could_be_scores(one, batch)}
    if isinstance(wanted, (str, int)):
        path = _wanted_path(wanted, tensors)
        if path is None:
            raise CamxError(f"The network has no output {str(wanted)!r}: it returns {listed(tensors)}.", field="scores")
        if path not in possible:
            raise CamxError(
                f"The output {str(wanted)!r} has the shape {tuple(tensors[path].shape)}, not one score per image and "
                f"class. The network returns {listed(tensors)}.",
                field="scores",
            )
        return path
    named = [path for path in possible if path == ("logits",)]
    if named or len(possible) == 1:
        return named[0] if named else next(iter(possible))
    if not possible:
        raise CamxError(
            f"The network returns {listed(tensors)}, not one score per image and class.",
            "Wrap it in a module that returns such scores, or give its kind with `task`.",
            field="task",
        )
    raise CamxError(
        f"The network returns {len(possible)} tensors that could be class scores: {listed(possible)}.",
        f"Choose one: `scores={spelled(next(reversed(possible)))}`.",
        field="scores",
    )


def as_scores(output: Any, batch: int | None) -> Tensor:
    """Returns a tensor or array of scores as B×K; adds the axis of a head that squeezes its output."""
    tensor = torch.from_numpy(output) if isinstance(output, np.ndarray) else output
    return tensor.reshape(batch or len(tensor), -1)


def at(output: Any, path: Path) -> Any:
    """Returns the part of an output at a path of keys, positions and attributes."""
    for key in path:
        output = output[key] if isinstance(output, (dict, list, tuple)) else getattr(output, key)
    return output


def spelled(path: Path) -> str:
    """Returns a path as a user writes it: `1`, `logits`, `heads.species`."""
    return ".".join(map(str, path))


def tensors_of(output: Any) -> list[tuple[Path, Tensor]]:
    """Returns all tensors of an output with their places, also in the fields of an object and as arrays of numpy."""
    found: list[tuple[Path, Tensor]] = []
    _collect(output, (), found)
    return found


def two_sided(scores: Tensor, module: nn.Module) -> Tensor:
    """Returns scores B×K of a network unchanged, but a single logit z as the two classes (−z/2, z/2).

    The softmax of these two is 1 − sigmoid(z), sigmoid(z). The single value of a regression has no second class.
    """
    if scores.shape[1] != 1 or getattr(module, "gives_values", False):
        return scores
    return torch.cat([-scores / 2, scores / 2], dim=1)


def _collect(value: Any, path: Path, found: list[tuple[Path, Tensor]]) -> None:
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        found.append((path, torch.from_numpy(value)))
    elif isinstance(value, (Tensor, list, tuple, dict)):
        for inner, tensor in tensors_in(value):
            found.append(((*path, *inner), tensor))
    elif hasattr(value, "__dict__") and not isinstance(value, nn.Module):
        for name, item in vars(value).items():
            if not name.startswith("_"):
                _collect(item, (*path, name), found)


def _could_be_scores(tensor: Tensor, batch: int | None) -> bool:
    if not tensor.is_floating_point() or not tensor.dim() or (batch is not None and len(tensor) != batch):
        return False
    return len(tensor) > 0 and sum(side != 1 for side in tensor.shape[1:]) <= 1


def _wanted_path(wanted: str | int, tensors: dict[Path, Tensor]) -> Path | None:
    text = str(wanted)
    return next((path for path in tensors if spelled(path) == text), None)


def listed(tensors: dict[Path, Tensor]) -> str:
    """Lists the tensors of an output for a message, with paths and shapes, at most six."""
    if list(tensors) == [()]:
        return f"a tensor of shape {tuple(tensors[()].shape)}"
    words = [f"{spelled(path)} {tuple(one.shape)}" for path, one in list(tensors.items())[:6]]
    more = f" and {len(tensors) - 6} more" * (len(tensors) > 6)
    return ", ".join(words) + more if words else "no tensor"
