"""Helpers of `test_tracking`, `test_table_sample`, `test_trackers_that_fail` and `test_push`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cam_cli.tracking.tracker import RunInfo, Scalar, Step, Value
from cli import tracking as cli_tracking

Camx = Callable[..., int]


SAMPLES = Path(__file__).parents[1] / "sample_images"


FLAGS = ("--wandb", "--wandb-mode", "offline", "--wandb-project", "animals", "--wandb-group", "g1")


@pytest.fixture(autouse=True)
def nobody_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DATA_DIR", "WANDB_PROJECT", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "wandb-settings"))


def row(
    name: str, *, prob: float = 0.9, label: str = "", correct: bool | None = None, status: str = "ok"
) -> dict[str, Any]:
    known = {} if correct is None else {"correct": correct}
    top = [] if status == "failed" else [{"index": 0, "name": f"class {name[0]}", "prob": prob}]
    return {"image": name, "status": status, "label": label, "top": top, **known}


class Recorder:
    """A tracker that stores its input."""

    def __init__(self) -> None:
        self.about: RunInfo | None = None
        self.logged: list[tuple[dict[str, Value], Step | None]] = []
        self.finished: tuple[dict[str, Scalar], int] | None = None

    def begin(self, about: RunInfo) -> None:
        self.about = about

    def log(self, values: Mapping[str, Value], at: Step | None = None) -> None:
        self.logged.append((dict(values), at))

    def finish(self, summary: Mapping[str, Scalar], exit_code: int) -> None:
        self.finished = (dict(summary), exit_code)

    def values(self, name: str) -> list[Any]:
        return [values[name] for values, _ in self.logged if name in values]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Records the input of the requested trackers."""
    made = Recorder()
    monkeypatch.setattr(cli_tracking, "trackers", lambda *_, **__: [made])
    return made
