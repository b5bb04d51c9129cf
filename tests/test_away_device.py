"""Every method and path runs on a stand-in device, which finds tensors on the wrong device without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cam_cli.cams.methods.names import METHOD_NAMES

_ROOT = Path(__file__).parents[1]
#: Methods that a network without tokens does not have, and one that needs several layers.
_REFUSED = {"tis", "refinecam", "attention-rollout", "attention-gradient", "attnlrp", "legrad"}


def outcomes(*prefixes: str) -> dict[str, str]:
    """Outcomes of `tests.away_cases`, from its own process: the registration of the device lasts as long as a
    process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.away_cases", *prefixes],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.long
def test_the_paths_of_the_engine_keep_to_the_device() -> None:
    found = outcomes("device", "path")
    assert len(found) == 15
    assert {name: text for name, text in found.items() if text} == {}


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_every_method_keeps_to_the_device(precision: str) -> None:
    found = outcomes(f"{precision} ")
    refused = {name for name, text in found.items() if text.startswith("refused")}
    assert refused == {f"{precision} {name}" for name in _REFUSED}
    assert {name: text for name, text in found.items() if text and name not in refused} == {}
    assert {f"{precision} {name}" for name in METHOD_NAMES} <= found.keys()
