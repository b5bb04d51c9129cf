"""Copies of run folders in object stores, for commands that read a local folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, TypeVar

from cam_cli.errors import CamxError
from cam_cli.images.remote import is_remote

from .terminal import SHOWN_AS

J = TypeVar("J")


def require_local(output: str | None) -> None:
    """Raises `CamxError` if `output` is an address."""
    if output and is_remote(output):
        raise CamxError(
            f"`output` {output!r} is an address.",
            "Give a local folder, or leave `output` out to write into the folder of the run.",
            field="output",
        )


def fetched(*fields: str) -> Callable[[Callable[[J], int]], Callable[[J], int]]:
    """Decorates a command whose job names run folders in `fields`. Replaces an address by a local copy while the
    command runs; messages still show the address."""

    def decorate(command: Callable[[J], int]) -> Callable[[J], int]:
        @wraps(command)
        def run(job: J) -> int:
            with ExitStack() as held:
                local = {name: held.enter_context(run_folder(getattr(job, name))) for name in fields}
                there: Any = job
                return command(dataclasses.replace(there, **local))

        return run

    return decorate


@contextmanager
def run_folder(output: str) -> Iterator[str]:
    """Yields the local path of a run folder; for an address, that of a temporary copy."""
    if not is_remote(output):
        yield output
        return
    from cam_cli.outputs.mirror import mirrored

    with mirrored(output) as path:
        SHOWN_AS[path] = output.rstrip("/")
        try:
            yield path
        finally:
            del SHOWN_AS[path]
