"""The loader on damaged and hostile files: a network or an error, in bounded time and memory, never a traceback."""

from __future__ import annotations

import io
import json
import os
import random
import resource
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from cam_cli.errors import CamxError
from cam_cli.models.catalog import load_model
from cam_cli.models.options import ModelSpec

ARCH = "test_resnet"
#: Damaged files per form and kind of damage; `-m slow` tries as many as the processor time allows.
_FEW, _MANY, _SECONDS = 12, 1500, 30.0

torch.manual_seed(7)
STATE = timm.create_model(ARCH, num_classes=4).state_dict()


def forms(folder: Path) -> Iterator[Path]:
    """One good file of each container, with some metadata."""
    about = {"arch": ARCH, "args": {"mean": [0.1, 0.2, 0.3]}, "classes": list("abcd"), "epoch": 3}
    torch.save({"state_dict": STATE, **about}, folder / "new.pth")
    torch.save({"state_dict": STATE, **about}, folder / "old.pth", _use_new_zipfile_serialization=False)
    save_file(STATE, folder / "w.safetensors", {"arch": ARCH})
    yield from (folder / "new.pth", folder / "old.pth", folder / "w.safetensors")


def cut(data: bytearray, dice: random.Random) -> bytearray:
    return data[: dice.randrange(len(data))]


def flipped(data: bytearray, dice: random.Random) -> bytearray:
    """Flips bits of the first or the last thousand bytes, or anywhere: in the structure, or in the numbers."""
    for _ in range(dice.randrange(1, 8)):
        start, end = dice.choice([(0, 1000), (len(data) - 1000, len(data)), (0, len(data))])
        data[dice.randrange(start, end)] ^= 1 << dice.randrange(8)
    return data


def moved(data: bytearray, dice: random.Random) -> bytearray:
    """Copies a piece over another one."""
    size = dice.randrange(1, 400)
    source, target = dice.randrange(len(data) - size), dice.randrange(len(data) - size)
    data[target : target + size] = data[source : source + size]
    return data


def inserted(data: bytearray, dice: random.Random) -> bytearray:
    place = dice.randrange(len(data))
    return data[:place] + bytearray(dice.randbytes(dice.randrange(1, 60))) + data[place:]


def replaced(data: bytearray, dice: random.Random) -> bytearray:
    """Changes one byte or number, where more damage would end the reading early."""
    place = dice.randrange(len(data))
    data[place : place + 1] = dice.choice(
        [dice.randbytes(1), bytes([data[place] ^ 1 << dice.randrange(8)]), b"\xff", b"0"]
    )
    return data


def rewritten(data: bytearray, dice: random.Random) -> bytearray:
    """Damages only the pickle or header, in a whole container: checksum and length are right."""
    damage = dice.choice([replaced, moved, inserted])
    if data[:2] != b"PK" and data[8:9] != b"{":
        return bytearray(damage(data[:_PICKLES], dice)) + data[_PICKLES:]
    if data[8:9] == b"{":
        end = 8 + int.from_bytes(data[:8], "little")
        header = damage(data[8:end], dice)
        return bytearray(len(header).to_bytes(8, "little")) + header + data[end:]
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as good, zipfile.ZipFile(target, "w") as bad:
        for name in good.namelist():
            content = bytearray(good.read(name))
            bad.writestr(name, bytes(damage(content, dice) if name.endswith("data.pkl") else content))
    return bytearray(target.getvalue())


DAMAGES: dict[str, Callable[[bytearray, random.Random], bytearray]] = {
    "cut": cut, "flipped": flipped, "moved": moved, "inserted": inserted, "rewritten": rewritten,
}  # fmt: skip
#: Bytes at the start of the older form of torch's files that hold its pickles; its numbers follow.
_PICKLES = 13_000


def tried(path: Path, **spec: Any) -> bool:
    """Whether the file loads. Fails on anything but a network or a `CamxError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            load_model(ModelSpec(ARCH, checkpoint=str(path), **spec))
    except CamxError as error:
        assert str(error).strip()
        return False
    return True


def damaged(kind: str, count: int, folder: Path) -> None:
    dice = random.Random(kind)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = refused = 0
    for good in forms(folder):
        data = good.read_bytes()
        assert tried(good)
        end = time.process_time() + _SECONDS
        for number in range(count):
            began = time.process_time()
            if began > end:
                break
            bad = folder / f"bad{good.suffix}"
            bad.write_bytes(DAMAGES[kind](bytearray(data), dice))
            try:
                refused += not tried(bad)
            except Exception as error:
                raise AssertionError(f"{kind} {good.name} {number}: {error!r}") from error
            bad.unlink()
            done += 1
            assert time.process_time() - began < 10, (good.name, number)
    print(f"\n{kind}: {done} files, {refused} refused")
    assert refused > done / 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 800_000, "in KiB"


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_files(kind: str, tmp_path: Path) -> None:
    damaged(kind, _FEW, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", DAMAGES)
def test_many_damaged_files(kind: str, tmp_path: Path) -> None:
    damaged(kind, _MANY, tmp_path)


def test_shapes_that_are_swapped(tmp_path: Path) -> None:
    dice, loads = random.Random(3), 0
    for _ in range(25):
        state = dict(STATE)
        for name in dice.sample(list(state), 2):
            tensor = state[name]
            state[name] = dice.choice(
                [
                    tensor[..., None],
                    tensor.flatten(),
                    tensor.new_zeros(0),
                    tensor.new_zeros(3, 2),
                    tensor.flatten()[:, None],
                    tensor.bool(),
                ]
            )
        torch.save(state, tmp_path / "w.pth")
        loads += tried(tmp_path / "w.pth")
    assert loads < 25


ODD: list[Any] = [
    None, True, -1, 0, 1e400, float("nan"), "", "x" * 100_000, b"\xff", [], [[]], [None] * 3, {}, {"a": {"b": {}}}, {1: 2},
    [1, 2], [0.5, "x", 3], (10**9,) * 3, -224, 2**70, {"mean": [1]}, "resnet18", "../../etc/passwd", "os:system", set(),
]  # fmt: skip
KEYS = (
    *("arch", "architecture", "args", "hyper_parameters", "config", "cfg", "classes", "class_to_idx", "idx_to_class"),
    *("pretrained_cfg", "model_args", "model_name", "img_size", "mean", "head", "format", "label_names", "id2label"),
)
INNER = (
    *("model", "mean", "std", "img_size", "input_size", "crop_pct", "crop_mode", "interpolation", "gp", "in_chans"),
    *("model_kwargs", "num_classes", "val_crop_size", "val_resize_size", "class_names", "pretrained_cfg"),
)


@pytest.mark.slow
def test_hostile_metadata(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    dice = random.Random(5)
    for key, odd in dice.sample([(key, odd) for key in KEYS for odd in ODD], _FEW * 5):
        torch.save({"state_dict": STATE, key: odd}, path)
        tried(path)
    for _ in range(_FEW * 3):
        torch.save({"state_dict": STATE, "args": {key: dice.choice(ODD) for key in dice.sample(INNER, 3)}}, path)
        tried(path)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "args.yaml"])
def test_hostile_files_beside(name: str, tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "model.safetensors")
    torch.save(STATE, tmp_path / "w.pth")
    dice = random.Random(7)
    contents = [
        "",
        "{",
        "[]",
        "null",
        "[" * 5000,
        "a: &a [*a]" if name.endswith("yaml") else "{}",
        "!!python/object/apply:os.system [ls]",
    ]
    keys = (
        "architecture",
        "model_type",
        "pretrained_cfg",
        "model_args",
        "size",
        "crop_size",
        "resample",
        "image_mean",
        *INNER,
    )
    plain = [odd for odd in ODD if not isinstance(odd, (bytes, set))]
    for _ in range(_FEW):
        said = {key: dice.choice(plain) for key in dice.sample(keys, 4)}
        contents.append(json.dumps({"architecture": ARCH, "model": ARCH, **said}))
    for content in contents:
        (tmp_path / name).write_text(content)
        if name == "preprocessor_config.json":
            (tmp_path / "config.json").write_text(json.dumps({"architecture": ARCH}))
        tried(tmp_path / ("w.pth" if name.endswith("yaml") else "model.safetensors"))


def test_yaml_that_doubles_what_it_merges(tmp_path: Path) -> None:
    """Forty lines of merge keys would become 2⁴⁰ pairs."""
    torch.save(STATE, tmp_path / "w.pth")
    lines = ["model: test_resnet", "a0: &a0 {x: 1}"]
    lines += [f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}" for i in range(1, 40)]
    (tmp_path / "args.yaml").write_text("\n".join(lines))
    began = time.process_time()
    tried(tmp_path / "w.pth")
    assert time.process_time() - began < 5


def test_thousands_of_networks_in_one_file(tmp_path: Path) -> None:
    """Each of their prefixes is a candidate for removal; camx counts all in one pass."""
    one = torch.zeros(1)
    names = list(STATE)[:5]
    torch.save({f"n{i}.{name}": one for i in range(8000) for name in names}, tmp_path / "w.pth")
    began = time.process_time()
    assert not tried(tmp_path / "w.pth")
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "args", [{"layers": (10**6, 1, 1, 1)}, {"channels": (6000, 6000, 6000, 6000)}, {"img_size": 10**7}]
)
def test_arguments_that_make_a_giant_of_a_small_file(args: dict[str, Any], tmp_path: Path) -> None:
    torch.save({"state_dict": STATE, "arch": ARCH, "model_args": args}, tmp_path / "w.pth")
    began = time.process_time()
    with pytest.raises(CamxError, match="do not belong to its weights: .*(weights|model_arg)"):
        load_model(str(tmp_path / "w.pth"))
    assert time.process_time() - began < 10


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.pth")
    with pytest.raises(CamxError, match="it is a pipe"):
        load_model(ModelSpec(ARCH, checkpoint=str(tmp_path / "w.pth")))


@pytest.mark.parametrize("kind", ["float8_e4m3fn", "float8_e5m2", "uint16", "bool", "int8"])
def test_numbers_of_every_kind(kind: str, tmp_path: Path) -> None:
    for make in (torch.save, save_file):
        make({name: tensor.to(getattr(torch, kind)) for name, tensor in STATE.items()}, tmp_path / "w.pth")
        tried(tmp_path / "w.pth")
