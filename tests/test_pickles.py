"""Every honest pickle is read as data; nothing in a hostile one is imported or run."""

from __future__ import annotations

import argparse
import builtins
import functools
import io
import pickle
import pickletools
import sys
import tarfile
import types
import zipfile
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from cam_cli.errors import CamxError
from cam_cli.models.catalog import digest, load_model
from cam_cli.models.checkpoints import read_checkpoint
from cam_cli.models.options import ModelSpec
from cam_cli.models.weights import read_weights

ARCH = "test_resnet"
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def trained(classes: int = 4) -> nn.Module:
    torch.manual_seed(7)
    module: nn.Module = timm.create_model(ARCH, num_classes=classes)
    return module.eval()


@dataclass
class Config:
    """A class of a training script, unknown to the reader."""

    lr: float = 0.1
    class_names: tuple[str, ...] = ("ant", "bee", "cow", "dog")


class History(dict[str, Any]):
    """A subclass of dict with attributes."""


class Losses(list[float]):
    """A subclass of list."""


HONEST: dict[str, Any] = {
    "a partial": functools.partial(torch.relu, inplace=True),
    "a loss": nn.CrossEntropyLoss(weight=torch.ones(4)),
    "an optimizer": torch.optim.SGD,
    "a dataclass": Config(),
    "a subclass of dict": History(acc=[0.5]),
    "a subclass of list": Losses([0.5]),
    "a date": datetime(2024, 1, 2),
    "a namespace": argparse.Namespace(lr=0.1),
    "a bound method": Config().__eq__,
    "NumPy": [np.float64(0.5), np.arange(3), np.array(["a"]), np.random.default_rng(0)],
    "containers": [deque([1]), defaultdict(list, a=[1]), Counter("ab"), frozenset({1}), {1, 2}, 1 << 80, b"x", bytearray(b"y")],
    "a path": Path("x"),
    "a type": int,
    "itself": [],
}  # fmt: skip
HONEST["itself"].append(HONEST["itself"])


@pytest.mark.parametrize("kind", HONEST)
@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("new", [True, False])
def test_honest_objects_beside_the_weights(kind: str, protocol: int, new: bool, tmp_path: Path) -> None:
    module, path = trained(), tmp_path / "w.ckpt"
    content = {"state_dict": module.state_dict(), "hyper_parameters": {"it": HONEST[kind]}, "epoch": 3}
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=new)
    assert load_model(ModelSpec(ARCH, checkpoint=str(path))).digest == digest(module)


def test_values_inside_of_unknown_objects(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    values = {
        "args": Config(lr=np.float64(0.5)),
        "config": History(a=1),
        "cfg": {"l": Losses([1.0]), "n": np.arange(2)},
    }
    torch.save({"model": trained().state_dict(), **values}, path)
    about = read_checkpoint(str(path)).about
    assert about["args"] == {"lr": 0.5, "class_names": ["ant", "bee", "cow", "dog"]}
    assert about["config"] == {"a": 1}
    assert about["cfg"] == {"l": [1.0], "n": [0, 1]}
    assert load_model(ModelSpec(ARCH, checkpoint=str(path))).classes[3] == "dog"


MODULES: dict[str, tuple[str | None, Callable[[], nn.Module], Callable[[nn.Module], Any]]] = {
    "of timm": (None, trained, lambda m: m),
    "of torchvision": ("torchvision/resnet18", lambda: torchvision.models.resnet18(num_classes=3), lambda m: m),
    "in a checkpoint": (None, trained, lambda m: {"model": m, "epoch": 1}),
    "under another key": (ARCH, trained, lambda m: {"classifier_net": m, "epoch": 1}),
    "in DataParallel": (ARCH, trained, nn.DataParallel),
    "compiled": (ARCH, trained, lambda m: nn.ModuleDict({"_orig_mod": m})),
}


@pytest.mark.filterwarnings("ignore:.*DataParallel")
@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("kind", MODULES)
def test_whole_modules(kind: str, new: bool, tmp_path: Path) -> None:
    name, make, wrap = MODULES[kind]
    module, path = make(), tmp_path / "w.pth"
    torch.save(wrap(module), path, _use_new_zipfile_serialization=new)
    spec = ModelSpec(str(path)) if name is None else ModelSpec(name, checkpoint=str(path))
    assert load_model(spec).digest == digest(module)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pickles_without_torchs_container(protocol: int, tmp_path: Path) -> None:
    """`pickle.dump` of tensors, and of NumPy arrays as in Detectron."""
    module = trained()
    arrays = OrderedDict((name, tensor.numpy()) for name, tensor in module.state_dict().items())
    for content in (module.state_dict(), {"model": arrays, "__author__": "me"}):
        (tmp_path / "w.pkl").write_bytes(pickle.dumps(content, protocol))
        assert load_model(ModelSpec(ARCH, checkpoint=str(tmp_path / "w.pkl"))).digest == digest(module)


TYPES = [
    torch.float16,
    torch.bfloat16,
    torch.float64,
    torch.int8,
    torch.int64,
    torch.bool,
    torch.float8_e4m3fn,
    torch.uint16,
]


@pytest.mark.parametrize("new", [True, False])
def test_tensors_are_read_as_torch_reads_them(new: bool, tmp_path: Path) -> None:
    base = torch.arange(24.0).reshape(2, 3, 4)
    tensors: dict[str, Tensor] = {
        "transposed": base.transpose(0, 2), "a part": base[1, 1:, ::2], "scalar": torch.tensor(3.5), "none": torch.zeros(0, 4),
        "shared": base, "parameter": nn.Parameter(base), "expanded": torch.tensor([1.0, 2.0]).expand(3, 2),
        **{str(kind): torch.arange(5).to(kind) for kind in TYPES if new or kind not in TYPES[-2:]},
    }  # fmt: skip
    torch.save(tensors, tmp_path / "w.pth", _use_new_zipfile_serialization=new)
    content, _ = read_weights(str(tmp_path / "w.pth"))
    expected = torch.load(tmp_path / "w.pth", weights_only=True)
    for name, tensor in expected.items():
        assert content[name].dtype == tensor.dtype
        assert content[name].shape == tensor.shape
        assert torch.equal(content[name].float(), tensor.detach().float())


SUNG: list[str] = []


def sing(*_: Any, **__: Any) -> str:
    SUNG.append("sung")
    return "sung"


class Reduce:
    def __reduce__(self) -> Any:
        return sing, ("a",)


class Nested:
    def __reduce__(self) -> Any:
        return dict, ([("a", Reduce())],)


class State:
    def __setstate__(self, state: Any) -> None:
        sing(state)

    def __getstate__(self) -> Any:
        return {"a": 1}


class New:
    def __new__(cls, *_: Any, **__: Any) -> New:
        sing()
        return super().__new__(cls)

    def __getnewargs_ex__(self) -> Any:
        return (1,), {"b": 2}


class Items(dict[str, int]):
    def __setitem__(self, key: str, value: int) -> None:
        sing(key)


class Appended(list[int]):
    def append(self, value: int) -> None:
        sing(value)

    def extend(self, values: Any) -> None:
        sing(values)


class Setter:
    def __reduce__(self) -> Any:
        return object.__new__, (Setter,), {"a": 1}, None, None, sing


class Hash:
    def __hash__(self) -> int:
        sing()
        return 1


CANARIES: dict[str, Callable[[], Any]] = {
    "__reduce__": Reduce, "nested": Nested, "__setstate__": State, "__new__": New, "__setitem__": lambda: Items(a=1),
    "append": lambda: Appended([1, 2]), "a function for the state": Setter, "as a key": lambda: {Hash(): 1},
    "getattr": lambda: functools.partial(getattr, Config, "__init__"),
}  # fmt: skip

#: Opcodes that call a function, written by hand.
OPCODES = {
    "GLOBAL REDUCE": b"ctests.test_pickles\nsing\n(S'a'\ntR.",
    "INST": b"(S'a'\nitests.test_pickles\nsing\n.",
    "OBJ": b"(ctests.test_pickles\nsing\nS'a'\no.",
    "STACK_GLOBAL": b"\x80\x04\x8c\x12tests.test_pickles\x8c\x04sing\x93)R.",
    "NEWOBJ": b"\x80\x02ctests.test_pickles\nNew\n)\x81.",
    "NEWOBJ_EX": b"\x80\x04ctests.test_pickles\nNew\n)}\x92.",
    "BUILD": b"\x80\x02ctests.test_pickles\nState\n)\x81}X\x01\x00\x00\x00aK\x01sb.",
    "BUILD of a class": b"\x80\x02ctests.test_pickles\nConfig\nN}X\x02\x00\x00\x00lrK\x05s\x86b.",
    "BUILD of a function": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x0c\x00\x00\x00__defaults__)s\x86b.",
    "PERSID": b"Pa\n.",
    "EXT": b"\x80\x02\x82\x01.",
    "dotted": b"\x80\x04\x8c\x12tests.test_pickles\x8c\x0bNew.__new__\x93)R.",
}


def contained(container: str, data: bytes, path: Path) -> None:
    """The pickle in one of the containers of torch."""
    if container == "bare":
        path.write_bytes(data)
    elif container == "zip":
        torch.save({"x": 1}, path)
        with zipfile.ZipFile(path) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, entry in entries.items():
                archive.writestr(name, data if name.endswith("data.pkl") else entry)
    elif container == "legacy":
        head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
        path.write_bytes(b"".join(pickle.dumps(part, 2) for part in head) + data + pickle.dumps([], 2))
    else:
        with tarfile.open(path, "w") as archive:
            for name in ("sys_info", "pickle", "storages", "tensors"):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize("container", ["bare", "zip", "legacy", "tar"])
def test_nothing_in_a_pickle_is_run(container: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = torch._utils._rebuild_tensor_v2.__defaults__
    pickles = dict(OPCODES)
    for name, make in CANARIES.items():
        made = make()
        for protocol in PROTOCOLS:
            try:
                pickles[f"{name}, protocol {protocol}"] = pickle.dumps(made, protocol)
                pickles[f"{name} in a dict, protocol {protocol}"] = pickle.dumps({"state_dict": {"a": made}}, protocol)
            except (pickle.PicklingError, ValueError, TypeError, AttributeError):
                assert protocol < 2
    SUNG.clear()
    monkeypatch.setattr(builtins, "__import__", _no_import(builtins.__import__))
    for name, data in pickles.items():
        path = tmp_path / "w.pth"
        contained(container, data, path)
        with pytest.raises(CamxError):
            read_checkpoint(str(path))
        assert not SUNG, name
    assert torch._utils._rebuild_tensor_v2.__defaults__ is kept
    assert Config.lr == 0.1
    assert len(pickles) > 80


def _no_import(real: Callable[..., types.ModuleType]) -> Callable[..., types.ModuleType]:
    def guarded(name: str, *args: Any, **kwargs: Any) -> types.ModuleType:
        assert name in sys.modules or not name.startswith("antigravity"), name
        return real(name, *args, **kwargs)

    return guarded


def test_pickle_itself_runs_each_canary() -> None:
    """The test above can fail: pickle itself runs each of them."""
    silent = {"getattr", "as a key"}
    for name, make in CANARIES.items():
        data = pickle.dumps(make(), 2)
        SUNG.clear()
        pickle.loads(data)
        assert bool(SUNG) or name in silent, name
    SUNG.clear()
    for name, data in OPCODES.items():
        if name not in ("PERSID", "EXT", "dotted", "BUILD of a class", "BUILD of a function"):
            SUNG.clear()
            pickle.loads(data)
            assert SUNG, name


@pytest.mark.parametrize(
    "name", ["posix.system", "os.system", "builtins.eval", "subprocess.Popen", "sys.exit", "shutil.rmtree"]
)
def test_functions_that_only_run_programs_are_refused_by_name(name: str, tmp_path: Path) -> None:
    module, _, function = name.rpartition(".")
    contained("zip", f"c{module}\n{function}\n(S'a'\ntR.".encode(), tmp_path / "w.pth")
    with pytest.raises(CamxError, match=f"holds {name}, which would run code when loaded"):
        read_checkpoint(str(tmp_path / "w.pth"))


def laughs(levels: int = 60) -> bytes:
    value: Any = {"a": 1}
    for _ in range(levels):
        value = {str(i): value for i in range(12)}
    return pickle.dumps({"state_dict": value, "args": value}, 2)


HOSTILE: dict[str, bytes] = {
    "a billion laughs": laughs(),
    "a tensor beyond its storage": b"",
    "endless": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "no stop": b"\x80\x02}",
    "deep": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_pickles_end_in_a_sentence(kind: str, tmp_path: Path) -> None:
    if kind == "a tensor beyond its storage":
        torch.save({"a": torch.zeros(4)}, tmp_path / "w.pth")
        with zipfile.ZipFile(tmp_path / "w.pth") as archive:
            data = archive.read("w/data.pkl")
            rest = {name: archive.read(name) for name in archive.namelist()}
        large = data.replace(b"K\x04\x85", b"J\x00\x00\x00\x40\x85")
        assert large != data
        with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
            for name, entry in rest.items():
                archive.writestr(name, large if name.endswith("data.pkl") else entry)
    else:
        contained("zip", HOSTILE[kind], tmp_path / "w.pth")
    with pytest.raises(CamxError):
        read_checkpoint(str(tmp_path / "w.pth"))


def test_quantised_tensors_are_named(tmp_path: Path) -> None:
    contained("zip", b"\x80\x02ctorch._utils\n_rebuild_qtensor\n)R.", tmp_path / "w.pth")
    with pytest.raises(CamxError, match="quantised, sparse or divided"):
        read_checkpoint(str(tmp_path / "w.pth"))


def test_the_hand_written_pickles_are_pickles() -> None:
    for data in OPCODES.values():
        assert list(pickletools.genops(data))[-1][0].name == "STOP"
