"""Turns errors of a network's first forwards into sentences that say what to do."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator

from torch import Tensor, nn

from ...errors import CamxError, first_line
from .out_of_memory import is_out_of_memory
from .scores import network_name

#: Errors whose text says enough without their class.
_PLAIN_ERRORS = (RuntimeError, AssertionError, ValueError)


@contextlib.contextmanager
def running(module: nn.Module, pictures: Tensor) -> Iterator[None]:
    """Context of a network's first forwards. Raises its errors as `CamxError`, except for a lack of memory."""
    try:
        yield
    except CamxError:
        raise
    # A network may raise any error.
    except Exception as error:
        if is_out_of_memory(error):
            raise
        name, size = network_name(module), f"{pictures.shape[2]}×{pictures.shape[3]}"
        missing = _missing_arguments(module) if isinstance(error, TypeError) else []
        if missing:
            raise CamxError(
                f"The forward of {name} needs {', '.join(map(repr, missing))} in addition to the images.",
                "Wrap it in a module whose forward takes only the images.",
            ) from error
        kind = "" if isinstance(error, _PLAIN_ERRORS) else f"{type(error).__name__}: "
        raise CamxError(
            f"{name} does not run on {size} pixels: {kind}{first_line(error)}.",
            "Leave `image_size` out, or check `model_arg`.",
        ) from error


def _missing_arguments(module: nn.Module) -> list[str]:
    """Returns the parameters of a forward without a default, except for the first one."""
    try:
        parameters = list(inspect.signature(module.forward).parameters.values())[1:]
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one.name for one in parameters if one.default is one.empty and one.kind not in kinds]
