"""Pickles that try to take all memory, all time or the whole stack end with an error, soon and cheaply.

Each attack runs in its own process with limits on both, so that an attack that succeeds fails only its test.
"""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cam_cli.errors import CamxError
from cam_cli.models.weights import read_weights

from .test_pickles import contained

ROOT = Path(__file__).parents[1]
#: Bytes of address space and processor seconds that reading may use beyond those of importing torch.
_MEMORY, _SECONDS = 700_000_000, 20
_READ = """
import resource, sys, torch
from cam_cli.errors import CamxError
from cam_cli.models.checkpoints import read_checkpoint
from cam_cli.models import reading_limits
reading_limits.MOST_INSTRUCTIONS = 300_000
with open("/proc/self/statm") as file:
    now = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + int(sys.argv[1]),) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (int(resource.getrusage(resource.RUSAGE_SELF).ru_utime) + int(sys.argv[2]),) * 2)
for path in sys.argv[3:]:
    try:
        read_checkpoint(path)
        print("read", path)
    except CamxError as error:
        print("refused", str(error)[:200])
"""

STATE = b"X\x0a\x00\x00\x00state_dict"


def long_text(size: int) -> bytes:
    return b"X" + struct.pack("<I", size) + b"a" * size


def doubled_tuples(levels: int) -> bytes:
    """A tuple with twice the same tuple, nested `levels` deep: it takes 2**levels steps to hash or to print."""
    return b")" + b"".join(b"q\x01h\x01\x86" for _ in range(levels))


def nested(opcode: bytes, start: bytes, levels: int) -> bytes:
    return start + opcode * levels


def often(first: bytes, each: bytes, times: int) -> bytes:
    """A list of the results of `each` on the value `first`, which is memo 0."""
    return b"\x80\x02]q\x02" + first + b"q\x000(" + each * times + b"e."


#: Pickles, each small.
ATTACKS: dict[str, Callable[[], bytes]] = {
    "bytes of a length that is not there": lambda: b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b".",
    "a bytearray of a length that is not there": lambda: b"\x80\x05\x96" + struct.pack("<Q", 2**34) + b".",
    "text of a length that is not there": lambda: b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b".",
    "a frame of a length that is not there": lambda: b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"}.",
    "a number of a million digits": lambda: b"I" + b"9" * 1_000_000 + b"\n.",
    "a number of a million hexadecimal digits": lambda: b"L0x" + b"f" * 1_000_000 + b"L\n.",
    "a number of a million bytes": lambda: b"\x80\x02\x8b" + struct.pack("<i", 10**6) + b"\xff" * 10**6 + b".",
    "PUT far away": lambda: b"\x80\x02}r\xff\xff\xff\xff.",
    "PUT of a large number": lambda: b"}p" + b"9" * 4000 + b"\n.",
    "a key that hashes for ever": lambda: b"\x80\x02}" + doubled_tuples(90) + b"Ns.",
    "a member of a set that hashes for ever": lambda: b"\x80\x04(" + doubled_tuples(90) + b"\x91.",
    "a member added to a set that hashes for ever": lambda: b"\x80\x04\x8f(" + doubled_tuples(90) + b"\x90.",
    "DICT with a key that hashes for ever": lambda: b"(" + doubled_tuples(90) + b"Nd.",
    "a storage whose key prints for ever": lambda: (
        b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\n" + doubled_tuples(90) + b"X\x03\x00\x00\x00cpuK\x01tQ."
    ),
    "a key of tuples in each other": lambda: b"\x80\x02}" + nested(b"\x85", b")", 100_000) + b"Ns.",
    "lists in each other": lambda: b"\x80\x02}" + STATE + b"]" * 10**5 + b"a" * (10**5 - 1) + b"s.",
    "objects in each other": lambda: b"\x80\x02cmine\nThing\nq\x000h\x00)R" + b"q\x010h\x00h\x01\x85R" * 30_000 + b".",
    "keys that all have one hash": lambda: b"\x80\x02}("
    + b"".join(b"\x8a\x0a" + (i * (2**61 - 1)).to_bytes(10, "little") + b"N" for i in range(60_000)) + b"u.",
    "copies of a list": lambda: often(b"(" + b"N" * 10**5 + b"l", b"cbuiltins\nlist\nh\x00\x85R", 30_000),
    "copies of a mapping": lambda: often(
        b"}(" + b"".join(b"J" + struct.pack("<i", i) + b"N" for i in range(10**5)) + b"u",
        b"ccollections\nOrderedDict\nh\x00\x85R", 3000,
    ),
    "copies of text as bytes": lambda: often(long_text(10**6), b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R", 10_000),
    "names of a million characters": lambda: b"\x80\x04" + long_text(10**6) + b"\x940" + b"h\x00h\x00\x930" * 20_000 + b"}.",
    "many names": lambda: b"\x80\x04" + b"".join(
        b"\x8c\x8c" + str(i).zfill(140).encode() + b"\x940" for i in range(200)
    ) + b"".join(bytes((0x68, i, 0x68, j, 0x93, 0x30)) for i in range(200) for j in range(200)) + b"}.",
    "many empty sets": lambda: b"\x80\x04(" + b"\x8f" * 500_000 + b"t.",
    "many objects": lambda: b"\x80\x02cmine\nThing\nq\x00(" + b"h\x00)R" * 150_000 + b"t.",
    "marks": lambda: b"(" * 500_000 + b".",
    "storages within bytes, again and again": lambda: often(
        b"B" + struct.pack("<I", 10**6) + pickle.dumps(["a" * 999_900], 2).ljust(10**6, b"."),
        b"ctorch.storage\n_load_from_bytes\nh\x00\x85R", 10_000,
    ),
    "a NumPy array of a number in place of bytes": lambda: (
        b"\x80\x02}" + STATE + b"}X\x01\x00\x00\x00acnumpy.core.numeric\n_frombuffer\n(J\xff\xff\xff\x7f"
        b"cnumpy\ndtype\nX\x02\x00\x00\x00f4\x85RK\x01\x85X\x01\x00\x00\x00CtRss."
    ),
    "itself as its own wrapper": lambda: b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s.",
    "wrappers of two wrappers": lambda: b"\x80\x02}q\x00" + b"".join(
        b"}(X\x05\x00\x00\x00modelh\x00X\x03\x00\x00\x00neth\x00X\x06\x00\x00\x00paramsh\x00uq\x00" for _ in range(60)
    ) + b".",
    "wide mappings of one wide mapping": lambda: b"\x80\x02}q\x00" + b"".join(
        b"}(" + b"".join(b"X\x05\x00\x00\x00" + str(i).zfill(5).encode() + b"h\x00" for i in range(20_000)) + b"uq\x00"
        for _ in range(6)
    ) + b".",
    "a module that is its own child": lambda: (
        b"\x80\x02cmine\nNet\n)Rq\x00}(X\x0b\x00\x00\x00_parameters}X\x08\x00\x00\x00_modules}"
        b"(X\x01\x00\x00\x00ah\x00X\x01\x00\x00\x00bh\x00uub."
    ),
    "text in place of items": lambda: b"\x80\x02X\x01\x00\x00\x00aNa.",
    "opcodes without a stack": lambda: b"R.",
    "an unknown opcode": lambda: b"\xff.",
    "a buffer from outside": lambda: b"\x80\x05\x97.",
}  # fmt: skip


@pytest.mark.parametrize("container", ["zip", pytest.param("bare", marks=pytest.mark.slow)])
@pytest.mark.long
def test_attacks_take_little_time_and_memory(container: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.pth" for number in range(len(ATTACKS))]
    for path, make in zip(paths, ATTACKS.values()):
        contained(container, make(), path)
    command = [sys.executable, "-c", _READ, str(_MEMORY), str(_SECONDS), *map(str, paths)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, (list(ATTACKS)[len(lines) :][:1], done.stderr[-2000:])
    for kind, line in zip(ATTACKS, lines, strict=True):
        assert line.startswith("refused"), (kind, line)


def test_views_of_one_storage_are_bounded(tmp_path: Path) -> None:
    """camx does not read thousands of tensors that each repeat one number a hundred thousand times."""
    torch.save({f"layer{i}.weight": torch.zeros(1).expand(100_000) for i in range(2000)}, tmp_path / "w.pth")
    with pytest.raises(CamxError, match="demands far more than weights of its size"):
        read_weights(str(tmp_path / "w.pth"))


def test_parts_of_storages_of_torch_before_0_4(tmp_path: Path) -> None:
    """Two tensors on parts of one storage, as in the oldest files."""
    root = b"(X\x07\x00\x00\x00storageq\x01ctorch\nFloatStorage\nq\x02X\x01\x00\x00\x00%dX\x03\x00\x00\x00cpuK\x06%stQ"
    tensor = b"ctorch._utils\n_rebuild_tensor\n(%sK\x00K\x02\x85K\x01\x85tR"
    parts = []
    for name, offset in (("a", 0), ("b", 4)):
        part = root % (int(name == "b") + 7, b"(X\x01\x00\x00\x00vK%cK\x02t" % offset)
        parts.append(b"X\x01\x00\x00\x00" + name.encode() + tensor % part)
    head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    numbers = torch.arange(6.0)
    body = b"\x80\x02}(" + b"".join(parts) + b"u."
    data = b"".join(struct.pack("<q", 6) + numbers.numpy().tobytes() for _ in range(2))
    (tmp_path / "old.pth").write_bytes(head + body + pickle.dumps(["7", "8"], 2) + data)
    content, _ = read_weights(str(tmp_path / "old.pth"))
    assert content["a"].tolist() == [0, 1]
    assert content["b"].tolist() == [4, 5]
