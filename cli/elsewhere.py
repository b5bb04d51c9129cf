"""Commands that read run folders, for run folders in object stores."""

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


def require_here(output: str | None) -> None:
    """Raises `CamxError` if results are to be written to an address of their own."""
    if output and is_remote(output):
        raise CamxError(
            f"`output` {output!r} is an address.",
            "Give a folder of this machine; without it the results go to the folder of the run, wherever that is.",
            field="output",
        )


def fetched(*fields: str) -> Callable[[Callable[[J], int]], Callable[[J], int]]:
    """Decorates a command whose job names run folders in these fields: an address becomes a folder of this machine
    while the command runs, and is shown as the address."""

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
    """The path of a run folder on this machine, also for one at an address."""
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
