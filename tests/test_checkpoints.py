"""Checkpoints in the formats of training scripts."""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cam_cli.errors import CamxError
from cam_cli.models.catalog import digest, load_model
from cam_cli.models.checkpoints import read_checkpoint
from cam_cli.models.options import ModelSpec

from .checkpoints_support import ARCH, loaded, trained


def prefixed(prefix: str, module: nn.Module) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in module.state_dict().items()}


WRAPPED: dict[str, Any] = {
    "plain state dict": lambda m: m.state_dict(),
    "state_dict": lambda m: {"state_dict": m.state_dict(), "epoch": 3},
    "model_state_dict": lambda m: {"model_state_dict": m.state_dict(), "loss": 0.5},
    "net": lambda m: {"net": m.state_dict(), "acc": 91.5, "epoch": 3},
    "params": lambda m: {"params": m.state_dict()},
    "Lightning, self.model": lambda m: {
        "state_dict": prefixed("model.", m) | {"loss.weight": torch.ones(4)},
        "pytorch-lightning_version": "2.5.0",
        "hyper_parameters": {"lr": 0.1},
    },
    "Lightning, self.net": lambda m: {"state_dict": prefixed("net.", m), "epoch": 1},
    "Lightning, a name of its own": lambda m: {"state_dict": prefixed("resnet.", m), "epoch": 1},
    "backbone": lambda m: {"state_dict": prefixed("backbone.", m)},
    "DataParallel": lambda m: nn.DataParallel(m).state_dict(),
    "torch.compile": lambda m: prefixed("_orig_mod.", m),
    "torch.compile in DataParallel": lambda m: {"model_state_dict": prefixed("module._orig_mod.", m)},
    "wrapped twice": lambda m: {"model": {"state_dict": m.state_dict(), "n": 1}},
    "integer keys beside": lambda m: {0: torch.ones(1), **m.state_dict()},
    "half precision": lambda m: m.half().state_dict(),
}


@pytest.mark.filterwarnings("ignore:.*DataParallel")
@pytest.mark.parametrize("kind", WRAPPED)
def test_checkpoints_people_have(tmp_path: Path, kind: str) -> None:
    module = trained()
    torch.save(WRAPPED[kind](module), tmp_path / "weights.pth")
    network = loaded(tmp_path / "weights.pth")
    assert network.digest == digest(module.float()), "every tensor, and the head of four classes"
    assert not network.module.training


@pytest.mark.parametrize("new_format", [True, False])
def test_both_formats_of_torch(tmp_path: Path, new_format: bool) -> None:
    module = trained()
    content = {"state_dict": module.state_dict(), "args": argparse.Namespace(lr=0.1)}
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=new_format)
    assert loaded(tmp_path / "w.pth").digest == digest(module)


def test_a_checkpoint_of_timms_training_script(tmp_path: Path) -> None:
    """Written by timm's own saver: averaged weights, arguments, and the name of the network."""
    from timm.utils import CheckpointSaver, ModelEmaV3

    module, averaged = trained(), trained(seed=8)
    ema = ModelEmaV3(averaged)
    saver = CheckpointSaver(
        module,
        torch.optim.SGD(module.parameters(), 0.1),
        args=argparse.Namespace(model=ARCH, data_dir=pathlib.Path("data"), lr=0.1),
        model_ema=ema,
        checkpoint_dir=str(tmp_path),
    )
    saver.save_checkpoint(3, metric=70.0)
    network = load_model(str(tmp_path / "last.pth.tar"))
    assert (network.name, network.digest) == (f"timm/{ARCH}", digest(averaged))
    assert network.weights.endswith("[state_dict_ema]")
    assert load_model(ModelSpec(str(tmp_path / "last.pth.tar"), ema=False)).digest == digest(module)


def test_a_checkpoint_of_torchvisions_training_script(tmp_path: Path) -> None:
    import torchvision

    torch.manual_seed(7)
    module = torchvision.models.shufflenet_v2_x0_5(num_classes=4)
    ema = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    content = {
        "model": nn.Module.state_dict(module),
        "optimizer": torch.optim.SGD(module.parameters(), 0.1).state_dict(),
        "lr_scheduler": {"last_epoch": 3},
        "epoch": 3,
        "args": argparse.Namespace(model="shufflenet_v2_x0_5", batch_size=32),
        "model_ema": ema.state_dict(),
    }
    assert "n_averaged" in content["model_ema"]
    torch.save(content, tmp_path / "model_3.pth")
    network = load_model(str(tmp_path / "model_3.pth"))
    assert (network.name, network.digest) == ("torchvision/shufflenet_v2_x0_5", digest(module))
    assert network.weights.endswith("[model_ema, without module.]")


def test_a_name_of_both_libraries_is_torchvisions_in_its_own_checkpoints(tmp_path: Path) -> None:
    import torchvision

    module = torchvision.models.mobilenet_v3_small(num_classes=4)
    content = {"model": module.state_dict(), "epoch": 3, "args": argparse.Namespace(model="mobilenet_v3_small")}
    torch.save(content, tmp_path / "w.pth")
    assert load_model(str(tmp_path / "w.pth")).name == "torchvision/mobilenet_v3_small"


def test_averaged_weights_are_taken_where_there_are_any(tmp_path: Path) -> None:
    plain, averaged = trained(), trained(seed=8)
    ema = {"n_averaged": torch.tensor(5)} | prefixed("module.", averaged)
    torch.save({"model": plain.state_dict(), "model_ema": ema}, tmp_path / "both.pth")
    assert loaded(tmp_path / "both.pth").digest == digest(averaged)
    assert loaded(tmp_path / "both.pth", ema=False).digest == digest(plain)
    torch.save({"model": plain.state_dict()}, tmp_path / "one.pth")
    with pytest.raises(CamxError, match="no averaged weights"):
        loaded(tmp_path / "one.pth", ema=True)


def test_safetensors_and_folders(tmp_path: Path) -> None:
    module = trained()
    save_file(module.state_dict(), tmp_path / "model.safetensors")
    assert loaded(tmp_path / "model.safetensors").digest == loaded(tmp_path).digest == digest(module)


@pytest.mark.parametrize("safe", [True, False])
def test_a_hub_repository_in_a_folder(tmp_path: Path, safe: bool) -> None:
    """As timm uploads it: config.json with the architecture, the preprocessing and the labels, and the weights."""
    from timm.models import save_for_hf

    module = trained(3)
    labels, data = {"num_classes": 3, "label_names": ["ant", "bee", "cow"]}, {"mean": (0.1, 0.2, 0.3)}
    save_for_hf(module, str(tmp_path / "repo"), model_config=labels, data_config=data, safe_serialization=safe)
    network = load_model(str(tmp_path / "repo"))
    assert network.digest == digest(module)
    assert [network.classes[i] for i in range(3)] == ["ant", "bee", "cow"]
    assert network.preprocessing.mean == (0.1, 0.2, 0.3)
    assert network.preprocessing.input_size == (160, 160)


def test_a_hub_repository_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`hf-hub:owner/repo` out of the local cache, without a network."""
    from timm.models import save_for_hf

    from cam_cli.models import hub

    module, commit = trained(3), "0" * 40
    repository = tmp_path / "models--owner--repo"
    labels = {"num_classes": 3, "label_names": ["ant", "bee", "cow"]}
    save_for_hf(module, str(repository / "snapshots" / commit), model_config=labels, safe_serialization=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "require_reachable", lambda *_: pytest.fail("asked the hub"))
    network = load_model("hf-hub:owner/repo")
    assert (network.name, network.digest, network.classes[2]) == ("hf-hub:owner/repo", digest(module), "cow")


def test_a_folder_of_another_library(tmp_path: Path) -> None:
    save_file(trained().state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"architectures": ["ViTModel"], "model_type": "vit"}')
    with pytest.raises(CamxError, match="is a vit model of the transformers library"):
        load_model(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CamxError, match=r"config.json .* cannot be read"):
        load_model(str(tmp_path))


def test_a_checkpoint_that_names_its_architecture_needs_no_name(tmp_path: Path) -> None:
    module = trained()
    torch.save({"state_dict": module.state_dict(), "arch": ARCH, "class_names": list("abcd")}, tmp_path / "timm.pth")
    network = load_model(str(tmp_path / "timm.pth"))
    assert (network.name, network.classes[3], network.digest) == (f"timm/{ARCH}", "d", digest(module))
    torch.save(module.state_dict(), tmp_path / "plain.pth")
    with pytest.raises(CamxError, match="does not name its architecture"):
        load_model(str(tmp_path / "plain.pth"))
    torch.save({"state_dict": module.state_dict(), "arch": "mine"}, tmp_path / "own.pth")
    with pytest.raises(CamxError, match="names 'mine', which camx does not know"):
        load_model(str(tmp_path / "own.pth"))


@pytest.mark.parametrize(
    "said",
    [
        {"classes": ["ant", "bee", "cow", "dog"]},
        {"class_to_idx": {"bee": 1, "ant": 0, "cow": 2, "dog": 3}},
        {"idx_to_class": {1: "bee", 0: "ant", 2: "cow", 3: "dog"}},
        {"hyper_parameters": {"class_names": ["ant", "bee", "cow", "dog"]}},
        {"args": argparse.Namespace(lr=0.1, class_names=("ant", "bee", "cow", "dog"))},
    ],
)
def test_class_names_in_the_checkpoint(tmp_path: Path, said: dict[str, Any]) -> None:
    torch.save({"state_dict": trained().state_dict(), **said}, tmp_path / "w.pth")
    assert [loaded(tmp_path / "w.pth").classes[i] for i in range(4)] == ["ant", "bee", "cow", "dog"]


def test_too_few_class_names_in_the_checkpoint(tmp_path: Path) -> None:
    torch.save({"state_dict": trained().state_dict(), "classes": ["ant", "bee"]}, tmp_path / "w.pth")
    with pytest.raises(CamxError, match="names 2 classes, but the model has 4"):
        loaded(tmp_path / "w.pth")


@contextmanager
def package(**classes: type) -> Iterator[types.SimpleNamespace]:
    """Classes that pickle as those of packages that are missing when the file is read."""
    before = set(sys.modules)
    try:
        for path, kind in classes.items():
            module, _, name = path.replace("__", ".").rpartition(".")
            kind.__module__, kind.__qualname__, kind.__name__ = module, name, name
            parts = module.split(".")
            for end in range(1, len(parts) + 1):
                sys.modules.setdefault(".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
            setattr(sys.modules[module], name, kind)
        yield types.SimpleNamespace()
    finally:
        for name in set(sys.modules) - before:
            del sys.modules[name]


class Node:
    """Pickles as the nodes of OmegaConf do: by their state."""

    def __init__(self, value: Any, key: str = "_val") -> None:
        self.__dict__ |= {"_metadata": None, "_parent": None, key: value, "_type": int}


class Config(dict[str, Any]):
    """Pickles as dictionaries of yacs, easydict and Lightning do: a subclass of dict with attributes."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.__dict__["frozen"] = True


def test_configurations_of_other_packages_are_read_without_them(tmp_path: Path) -> None:
    class Value(Node): ...

    class Dict(Node): ...

    with package(omegaconf__nodes__AnyNode=Value, omegaconf__dictconfig__DictConfig=Dict, yacs__config__CfgNode=Config):
        hydra = Dict({"model": Dict({"name": Value(ARCH)}, "_content"), "lr": Value(0.1)}, "_content")
        content = {"state_dict": prefixed("model.", trained()), "hyper_parameters": {"cfg": hydra}}
        torch.save(content | {"config": Config({"A": Config({"B": 1})})}, tmp_path / "w.ckpt")
    checkpoint = read_checkpoint(str(tmp_path / "w.ckpt"))
    assert checkpoint.about["hyper_parameters"] == {"cfg": {"model": {"name": ARCH}, "lr": 0.1}}
    assert checkpoint.about["config"] == {"A": {"B": 1}}
    assert load_model(str(tmp_path / "w.ckpt")).name == f"timm/{ARCH}"
    assert "omegaconf" not in sys.modules


def test_values_of_honest_scripts_are_read_as_data(tmp_path: Path) -> None:
    module = trained()
    extras = {
        "args": argparse.Namespace(out=pathlib.Path("runs/1"), nested=argparse.Namespace(a=1)),
        "best": np.float64(0.5),
        "history": np.arange(3.0),
        "seed": np.int64(3),
        "windows": pathlib.PureWindowsPath("C:/x"),
        "cfg": {"dir": pathlib.PurePosixPath("/data")},
    }
    torch.save({"state_dict": module.state_dict(), **extras}, tmp_path / "w.pth")
    assert loaded(tmp_path / "w.pth").digest == digest(module)
    names = [known[1] for known in torch.serialization.get_safe_globals() if isinstance(known, tuple)]
    assert "argparse.Namespace" not in names, "what is read as data here is as forbidden elsewhere as before"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_programs_as_torch_writes_them(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    torch.export.save(torch.export.export(module, (torch.zeros(1, 3, 8, 8),)), tmp_path / "w.pt2")
    torch.jit.save(torch.jit.script(module), tmp_path / "w.ts")
    for name, message in (("w.pt2", "torch.export"), ("w.ts", "TorchScript")):
        with pytest.raises(CamxError, match=message):
            loaded(tmp_path / name)


def test_a_note_names_the_key_and_the_prefix(tmp_path: Path) -> None:
    torch.save({"state_dict": prefixed("module.", trained())}, tmp_path / "w.pth")
    assert loaded(tmp_path / "w.pth").weights == f"{tmp_path / 'w.pth'} [state_dict, without module.]"


def test_two_networks_in_one_file_are_not_guessed_at(tmp_path: Path) -> None:
    both = prefixed("student.", trained()) | prefixed("teacher.", trained())
    torch.save({"state_dict": both}, tmp_path / "w.pth")
    with pytest.raises(CamxError, match=r"holds several networks \('student.', 'teacher.'\)"):
        loaded(tmp_path / "w.pth")


def test_a_folder_without_weights(tmp_path: Path) -> None:
    with pytest.raises(CamxError, match="holds no weights"):
        loaded(tmp_path)


def test_labels_of_timm_for_a_head_of_its_size(tmp_path: Path) -> None:
    """A head of 1,000 classes is ImageNet's; one of 11,821 that of timm's ImageNet-12k."""
    assert load_model(ModelSpec(ARCH, pretrained=False)).classes[0] == "tench, Tinca tinca"
    torch.save(trained(11821).state_dict(), tmp_path / "w.pth")
    assert len(loaded(tmp_path / "w.pth").classes.names) == 11821


def test_names_in_a_json_file_over_those_of_the_checkpoint(tmp_path: Path) -> None:
    torch.save({"state_dict": trained(2).state_dict(), "classes": ["x", "y"]}, tmp_path / "w.pth")
    (tmp_path / "names.json").write_text(json.dumps({"0": "ant", "1": "bee"}))
    network = loaded(tmp_path / "w.pth", class_names=str(tmp_path / "names.json"))
    assert (network.classes[0], network.classes[1]) == ("ant", "bee")
