"""Limits of the kernel on a command: errors or rows, never a traceback, and success without the limits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.main import run

from .test_shortages import check_rows
from .test_streams import COMMANDS, ROOT, Camx, finished  # noqa: F401 - a fixture is found by its name

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory and processes in other ways"),
]

#: Limits of open files, memory in KiB, file size in KiB, and processes and threads of a user.
LIMITS = ("-n 8", "-n 20", "-v 300000", "-v 1500000", "-f 0", "-f 1", "-f 8", "-u 1", "-u 6")
#: The kernel does not count the processes of root, so root becomes nobody, who may still read what root may.
RIGHTS = "+dac_override,+dac_read_search"
NOBODY = (
    "setpriv", "--reuid=65534", "--clear-groups", f"--inh-caps=-all,{RIGHTS}", f"--ambient-caps=-all,{RIGHTS}",
)  # fmt: skip


def limited(cwd: Path, limit: str, *argv: str) -> tuple[int, str]:
    """Exit code and output of `camx` under a limit."""
    user: tuple[str, ...] = ()
    if limit.startswith("-u") and os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root has no limit of processes, and there is no setpriv to become somebody else")
        user = NOBODY
    done = subprocess.run(
        ["bash", "-c", f'ulimit {limit}; exec "$@"', "-", *user, sys.executable, "-m", "cli.main", *argv],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


def results(folder: Path) -> dict[str, bytes]:
    """The tables of all results, and the names of all files except temporary ones and those of a page."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    kept = {name: path for name, path in files.items() if ".camx" not in name and "/report/" not in name}
    return {name: path.read_bytes() if name.endswith(".csv") else b"" for name, path in kept.items()}


@pytest.mark.parametrize("command", ["explain", "report", "merge", "audit", "evaluate"])
def test_a_command_under_every_limit(
    command: str,
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    argv = [str(word) for word in COMMANDS[command]]
    well = 1 if command == "merge" else 0
    whole = finished.with_name(f"whole-{command}")
    shutil.copytree(finished, whole)
    monkeypatch.chdir(whole)
    assert run(argv) == well
    work = finished.with_name(f"work-{command}")
    for limit in LIMITS:
        shutil.copytree(finished, work)
        code, words = limited(work, limit, *argv)
        last = words.strip().splitlines()[-1:]
        with capsys.disabled():
            print(f"\n{command} {limit}: {code} {last}", end="")
        if "-v" not in limit:
            # Without memory the interpreter or a library may end before camx begins.
            assert "Traceback" not in words, (limit, words)
            assert code in (0, 1, 2), (limit, words)
            assert code != 2 or "ulimit" in words, (limit, words)
        if command == "explain":
            check_rows(work / "made", whole / "made")
        monkeypatch.chdir(work)
        assert run(argv) == well, limit
        assert results(work) == results(whole), limit
        shutil.rmtree(work)
