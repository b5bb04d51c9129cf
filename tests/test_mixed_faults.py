"""Commands on one folder, one after the other, with random faults of all kinds at any moment, from a seed.

After each: an error or the usual end, nothing outside its places is touched, no untrue row, no half-written file; and
the command, repeated, or the one that the error names, repairs the rest. `CAMX_TEST_STEPS=300 pytest -m slow
tests/test_mixed_faults.py` tries longer.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from cam_cli.images.remote import filesystem

from .forked_commands import Commands, Ended
from .mixed_world import COMMANDS, World, damage
from .test_remote import s3_server  # noqa: F401 - a fixture is found by its name

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="forks, and tells signals by their numbers"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]
DISK = ("kill", "ENOSPC", "EIO", "EACCES", "ENOSPC for good", "EROFS for good", "EDQUOT")
SHARDS = ("shard 1", "shard 2", "merge")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
STEPS = int(os.environ.get("CAMX_TEST_STEPS", "40"))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.made(tmp_path / "w", f"s3://mixed/{tmp_path.name}", random.Random(0))


@pytest.fixture
def commands(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Commands]:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DATA_DIR", "WANDB_PROJECT", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    cache = world.path / "cache"
    places = ("XDG_CACHE_HOME", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "TMPDIR")
    cache.mkdir()
    with Commands(world.path, {**dict.fromkeys(places, str(cache)), "NETRC": str(cache / "netrc")}) as started:
        yield started


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """An object store for this process and the commands."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("s3_server"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    filesystem("s3://mixed").mkdirs("s3://mixed", exist_ok=True)


def is_usual(name: str, ended: Ended) -> bool:
    """Whether a command ended as usual; failed gates and missing shards count as usual."""
    return ended.code == 0 or (ended.code == 1 and name == "merge")


def faulty(name: str, world: World, commands: Commands, draw: random.Random) -> tuple[str, str, Ended, set[int]]:
    """Runs a command with a fault. Returns its kind, a description, the end, and the expected exit codes."""
    argv = world.command(name)
    match draw.randrange(7):
        case 0 | 1:
            number, after = draw.choice(SIGNALS), draw.uniform(0, draw.choice((0.3, 3.0)))
            ended = commands.run(argv, ending=(after, number))
            return "signal", f"{number.name} after {after:.3f} s", ended, {0, 1, -number, 128 + number}
        case 2 | 3:
            at, mode = draw.choice((draw.randint(1, 20), draw.randint(1, 300))), draw.choice(DISK)
            return "disk", f"{mode} at {at}", commands.run(argv, disk=(at, mode)), {0, 1, 2}
        case 4:
            full, closed = draw.choice(((1,), (2,), (1, 2), ())), draw.choice(((0,), (0, 1), (0, 2), (0, 1, 2)))
            ended = commands.run(argv, full=full, closed=closed)
            return "stream", f"full {full}, closed {closed}", ended, {0, 1, 2}
    how = damage(world.path / ("parts" if name in SHARDS else "out"), draw)
    return "damage", how, commands.run(argv), {0, 1, 2}


def step(name: str, world: World, commands: Commands, draw: random.Random) -> str:
    """Runs one command with one fault, and its repair. Returns the kind of fault and the exit code."""
    kind, how, ended, codes = faulty(name, world, commands, draw)
    context = f"{name}, {kind} ({how}): {ended}"
    assert "Traceback" not in ended.err + ended.out, context
    assert ended.code in codes, context
    if ended.code == 2 and kind in ("disk", "damage"):
        assert ended.err.count("error: ") == 1, context
    world.check(context, damaged=kind == "damage")
    again = commands.run(world.command(name))
    assert "Traceback" not in again.err, (context, again)
    assert is_usual(name, again) or (kind == "damage" and again.code == 2), (context, again)
    makers = SHARDS if name in SHARDS else ("remote",) if name.startswith("remote") else ("explain",)
    for maker in makers:
        made = commands.run(world.command(maker))
        if made.code == 2 and world.follow(made.err):
            made = commands.run(world.command(maker))
        if made.code == 2 and kind == "damage" and maker != "merge":
            assert "--overwrite" in made.err, (context, maker, made)
            made = commands.run([*world.command(maker), "--overwrite"])
        assert made.code == 0, (context, maker, made)
    world.check_whole(context, {"merge": "parts", "remote": "", "explain": "out"}[makers[-1]])
    if not is_usual(name, again):
        last = commands.run(world.command(name))
        assert is_usual(name, last), (context, last)
    return f"{name}, {kind}: {ended.code}"


def mixed(names: tuple[str, ...], world: World, commands: Commands, seed: int, steps: int) -> Counter[str]:
    """Runs steps of these commands, after an undisturbed run of each."""
    draw, told = random.Random(seed), Counter[str]()
    for name in names:
        done = commands.run(world.command(name))
        assert done.code == 0, (name, done)
        if name == "explain":
            world.settled()
    for number in range(steps):
        try:
            told[step(draw.choice(names), world, commands, draw)] += 1
        except AssertionError as error:
            raise AssertionError(f"step {number} of seed {seed}: {error}") from error
    return told


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_commands_with_many_faults(seed: int, world: World, commands: Commands) -> None:
    told = mixed(tuple(COMMANDS), world, commands, seed, STEPS)
    print("".join(f"\n{count:4} {what}" for what, count in sorted(told.items())))
