"""A case with two answers, and helpers of many cases."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: A small network with random weights, for commands.
TINY = ("--model", "test_resnet", "--no-pretrained", "--device", "cpu", "--no-report", "--workers", "1")


@dataclass(frozen=True)
class Case:
    """ask: returns the answer of the imported camx as JSON data, in an empty working folder. before: the wrong answer
    of 0.1.0. now: the right answer."""

    name: str
    ask: Callable[[], Any]
    before: Any
    now: Any


def answered(case: Case) -> Any:
    """The answer after a round trip through JSON; for an exception its class, with the first words of a `CamxError`."""
    try:
        found = case.ask()
    except Exception as error:
        found = refusal(error)
    return json.loads(json.dumps(found))


def refusal(error: Exception) -> str:
    kind = type(error).__name__
    return f"{kind}: {' '.join(str(error).split()[:5])}" if kind == "CamxError" else kind


def command(*argv: object) -> tuple[int, str]:
    """Exit code of a command, and its whole output in one line."""
    from cli.main import run

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(word) for word in argv])
    return code, " ".join(f"{out.getvalue()} {err.getvalue()}".split())


def rows(out: str = "camx-out") -> dict[str, dict[str, Any]]:
    """The last row of each image of a folder; empty without a journal."""
    path = Path(out, "manifest.jsonl")
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return {row["image"]: row for row in map(json.loads, lines)}


def written(name: str, *lines: str, encoding: str = "utf-8") -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("\n".join(lines) + "\n", encoding)
    return name


def pictures(*names: str, size: tuple[int, int] = (32, 32)) -> str:
    """Writes images of these names into the folder `images`, each in its own grey."""
    from PIL import Image

    for place, name in enumerate(names):
        path = Path("images", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.linear_gradient("L").resize(size).rotate(place * 20).save(path)
    return "images"


def explained(*argv: object, folder: Sequence[object] = ("images",)) -> int:
    """Exit code of `camx explain` with the small network."""
    return command("explain", *folder, *TINY, *argv)[0]
