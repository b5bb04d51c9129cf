"""Faults of a worker process, as functions that it can import without torch."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from cam_cli.images.listing import Source
from cam_cli.images.picture import load


def double(number: int) -> int:
    return 2 * number


def crash(_: object) -> None:
    """Crashes as a decoder does that writes beyond its memory."""
    os.kill(os.getpid(), signal.SIGSEGV)


def leave(code: int) -> None:
    os._exit(code)


def hang(_: object) -> None:
    """Hangs in C with the interpreter locked: no Python code of the process can end it."""
    ctypes.PyDLL(None).sleep(1000)


def killed_once(note: Path) -> str:
    """Dies once, as if the system killed it for memory; the next worker succeeds."""
    if not note.exists():
        note.write_text("killed")
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def stop(_: object) -> None:
    """Stops the process, as SIGSTOP from outside does."""
    os.kill(os.getpid(), signal.SIGSTOP)


def stopped_once(note: Path) -> str:
    if not note.exists():
        note.write_text("stopped")
        stop(note)
    return "done"


def noted_hang(note: Path) -> None:
    with note.open("a") as file:
        file.write("hangs\n")
    hang(note)


def swallow(size: int) -> int:
    return len(bytearray(size))


def fail(_: object) -> None:
    raise KeyError("ihdr")


def chatter(_: object) -> str:
    """Writes to both streams, as libtiff does."""
    os.write(1, b"TIFFReadDirectory: Warning, Unknown field")
    os.write(2, b"TIFFReadDirectory: Warning, Unknown field")
    return "said"


def where(_: object) -> int:
    return os.getpid()


def unpicklable(_: object) -> Any:
    return lambda: None


#: Fault by the start of the name of an image.
FAULTS = {"crash": crash, "hang": hang, "fail": fail, "huge": partial(swallow, 1 << 45)}


def faulty_load(source: Source, *arguments: Any, **options: Any) -> Any:
    """`load`, with a fault for images whose name begins with that of one."""
    for name, fault in FAULTS.items():
        if Path(source.path).name.startswith(name):
            return fault(source) if name != "huge" else fault()  # type: ignore[operator]
    return load(source, *arguments, **options)


def slow_load(source: Source, *arguments: Any, **options: Any) -> Any:
    """`load` after a wait; writes the time of its end beside the images."""
    time.sleep(0.01)
    loaded = load(source, *arguments, **options)
    Path(f"{source.path}.decoded").touch()
    return loaded


def loaded_modules(_: object) -> list[str]:
    return sorted(sys.modules)
