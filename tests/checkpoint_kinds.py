"""Kinds of weight files that load: how to make each, and its content. `python -m tools.checkpoints_page` writes
`docs/checkpoints.md` from this table and that of `refused_kinds.py`."""

from __future__ import annotations

import argparse
import functools
import json
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

ARCH = "test_resnet"
CLASSES = 7
SAID: dict[str, Any] = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "interpolation": "bilinear", "crop_pct": 0.8}


@dataclass(frozen=True)
class Loads:
    """A kind that loads, after it was written to a folder. module: the trained network. said: the input settings in the
    file, as arguments of timm's `resolve_data_config`. spec: fields of `ModelSpec`."""

    module: nn.Module
    spec: Mapping[str, Any]
    said: Mapping[str, Any] = field(default_factory=dict)


Kind = Callable[[Path], Loads]


def trained(classes: int = CLASSES, name: str = ARCH, seed: int = 7, **args: Any) -> nn.Module:
    torch.manual_seed(seed)
    module: nn.Module = timm.create_model(name, num_classes=classes, **args)
    return module.eval()


def under(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in module.state_dict().items()}


def given(path: Path, name: str = ARCH) -> dict[str, Any]:
    return {"name": name, "checkpoint": str(path)}


def saved(content: Callable[[nn.Module], object], said: Mapping[str, Any] | None = None, **how: Any) -> Kind:
    """A kind that `torch.save` writes."""

    def make(folder: Path) -> Loads:
        module = trained()
        torch.save(content(module), folder / "w.pth", **how)
        return Loads(module, given(folder / "w.pth"), said or {})

    return make


def cast(kind: torch.dtype) -> Kind:
    def make(folder: Path) -> Loads:
        module = trained().to(kind)
        torch.save(module.state_dict(), folder / "w.pth")
        return Loads(module.float(), given(folder / "w.pth"))

    return make


def built(module: Callable[[], nn.Module], name: str = ARCH) -> Kind:
    def make(folder: Path) -> Loads:
        one = module().eval()
        torch.save({"state_dict": one.state_dict()}, folder / "w.pth")
        return Loads(one, given(folder / "w.pth", name))

    return make


def replaced(head: Callable[[int], nn.Module]) -> nn.Module:
    module = trained()
    module.fc = head(module.num_features)  # type: ignore[operator, arg-type]
    return module


class Beside(nn.Module):
    """A backbone, and a head that is not part of it."""

    def __init__(self, backbone: nn.Module, head: nn.Module, first: str = "backbone", second: str = "head") -> None:
        super().__init__()
        self.parts = (first, second)
        setattr(self, first, backbone)
        setattr(self, second, head)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = getattr(self, self.parts[1])(getattr(self, self.parts[0])(inputs))
        return found


class Exported:
    """A trainer that is pickled as a whole."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.dls, self.loss_func, self.path = model, None, nn.CrossEntropyLoss(), Path(".")


WIDTH = timm.create_model(ARCH).num_features


def hidden(width: int = WIDTH, *between: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(width, 16), *(between or (nn.ReLU(),)), nn.Linear(16, CLASSES))


def averaged(plain: nn.Module) -> nn.Module:
    """Another network of the same kind, like an average of weights."""
    return trained(seed=8)


def ema(content: Callable[[nn.Module, nn.Module], object]) -> Kind:
    def make(folder: Path) -> Loads:
        plain, average = trained(), trained(seed=8)
        torch.save(content(plain, average), folder / "w.pth")
        return Loads(average, given(folder / "w.pth"))

    return make


def hub(as_model: bool, *, prefix: str = "", file: str = "", extra: Mapping[str, Any] | None = None) -> Kind:
    def make(folder: Path) -> Loads:
        module = trained()
        config = {
            "architecture": ARCH,
            "num_classes": CLASSES,
            "model_args": None,
            "pretrained_cfg": SAID,
            **(extra or {}),
        }
        (folder / "config.json").write_text(json.dumps(config))
        if file.endswith(".bin"):
            torch.save(under(prefix, module), folder / file)
        else:
            save_file(under(prefix, module), folder / "model.safetensors")
        path = folder / "model.safetensors" if file == "itself" else folder
        return Loads(module, {"name": str(folder)} if as_model else given(path), SAID)

    return make


def sharded(safe: bool) -> Kind:
    def make(folder: Path) -> Loads:
        module, ending = trained(), "safetensors" if safe else "bin"
        stem = "model" if safe else "pytorch_model"
        state = list(module.state_dict().items())
        index = {}
        for part in (0, 1):
            name = f"{stem}-0000{part + 1}-of-00002.{ending}"
            tensors = dict(state[part::2])
            save_file(tensors, folder / name) if safe else torch.save(tensors, folder / name)
            index |= dict.fromkeys(tensors, name)
        (folder / f"{stem}.{ending}.index.json").write_text(json.dumps({"weight_map": index}))
        return Loads(module, given(folder))

    return make


def of_timm(folder: Path) -> Loads:
    from timm.utils import CheckpointSaver

    module = trained()
    saver = CheckpointSaver(
        module,
        torch.optim.SGD(module.parameters(), 0.1),
        args=argparse.Namespace(model=ARCH, data_dir=Path("data"), **SAID),
        checkpoint_dir=str(folder),
    )
    saver.save_checkpoint(3, metric=70.0)
    return Loads(module, {"name": str(folder / "last.pth.tar")}, SAID)


def args_yaml(folder: Path) -> Loads:
    module = trained()
    torch.save(module.state_dict(), folder / "model_best.pth.tar")
    (folder / "args.yaml").write_text(yaml.safe_dump({"model": ARCH, **SAID}))
    return Loads(module, {"name": str(folder / "model_best.pth.tar")}, SAID)


def pickled(content: Callable[[nn.Module], object], protocol: int) -> Kind:
    def make(folder: Path) -> Loads:
        module = trained()
        (folder / "w.pkl").write_bytes(pickle.dumps(content(module), protocol))
        return Loads(module, given(folder / "w.pkl"))

    return make


def safe(metadata: dict[str, str] | None) -> Kind:
    def make(folder: Path) -> Loads:
        module = trained()
        save_file(module.state_dict(), folder / "w.safetensors", metadata)
        return Loads(module, given(folder / "w.safetensors"))

    return make


def one_file(folder: Path) -> Loads:
    module = trained()
    torch.save(module.state_dict(), folder / "best.ckpt")
    (folder / "log.txt").write_text("epoch 3")
    return Loads(module, given(folder))


def remote(folder: Path) -> Loads:
    import fsspec

    module = trained()
    with fsspec.open("memory://kinds/best.pth", "wb") as file:
        torch.save(module.state_dict(), file)
    return Loads(module, {"name": ARCH, "checkpoint": "memory://kinds/best.pth"})


def renamed(folder: Path) -> Loads:
    module = trained()
    torch.save({"state_dict": module.state_dict(), "arch": ARCH}, folder / "w.pth")
    return Loads(module, {"name": str(folder / "w.pth")})


def numpy_state(module: nn.Module) -> dict[str, Any]:
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def positions(folder: Path) -> Loads:
    module = trained()
    parts = nn.Sequential(*list(module.children())[:-1])
    content = under("features.", parts) | under("classifier.", module.fc)  # type: ignore[arg-type]
    torch.save(content, folder / "w.pth")
    return Loads(module, given(folder / "w.pth"))


class ConcatPool(nn.Module):
    """The pooling of fastai: maximum, then mean."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([nn.functional.adaptive_max_pool2d(maps, 1), nn.functional.adaptive_avg_pool2d(maps, 1)], 1)


def of_fastai(folder: Path) -> Loads:
    plain = trained()
    body = nn.Sequential(*list(plain.children())[:-2])
    stages = [nn.BatchNorm1d(2 * WIDTH), nn.Dropout(), nn.Linear(2 * WIDTH, 16, bias=False), nn.ReLU()]
    last = [nn.BatchNorm1d(16), nn.Dropout(), nn.Linear(16, CLASSES, bias=False)]
    module = nn.Sequential(body, nn.Sequential(ConcatPool(), nn.Flatten(), *stages, *last)).eval()
    module.pretrained_cfg = plain.pretrained_cfg  # type: ignore[assignment]
    torch.save({"model": module.state_dict(), "opt": {"state": [], "hypers": []}}, folder / "stage-1.pth")
    return Loads(module, given(folder / "stage-1.pth"))


LOADS: dict[str, Kind] = {
    "a state dict": saved(lambda m: m.state_dict()),
    **{
        f"under the key `{key}`": saved(lambda m, key=key: {key: m.state_dict(), "epoch": 3})
        for key in (
            *(
                "state_dict",
                "model_state_dict",
                "model",
                "net",
                "network",
                "params",
                "module",
                "weights",
                "model_state",
            ),
            *("net_dict", "student", "generator", "best_model", "encoder"),
        )
    },
    "wrapped twice": saved(lambda m: {"model": {"state_dict": m.state_dict()}}),
    "wrapped three times, under any keys": saved(lambda m: {"run": {"last": {"net": m.state_dict()}}}),
    **{
        f"names that begin with `{prefix}`": saved(lambda m, prefix=prefix: {"state_dict": under(prefix, m)})
        for prefix in (
            *("module.", "_orig_mod.", "module._orig_mod.", "model.", "net.", "backbone.", "resnet.", "model.module."),
            *("timm_model.", "encoder.model."),
        )
    },
    "Lightning, with weights of a loss": saved(
        lambda m: {"state_dict": under("model.", m) | {"criterion.weight": torch.ones(CLASSES)}}
    ),
    "Lightning, with states of metrics": saved(
        lambda m: {"state_dict": under("model.", m) | {"val_acc.tp": torch.zeros(CLASSES, dtype=torch.long)}}
    ),
    "Lightning, with a function in `hyper_parameters`": saved(
        lambda m: {"state_dict": under("model.", m), "hyper_parameters": {"f": functools.partial(torch.relu)}}
    ),
    "Lightning, with a loss in `hyper_parameters`": saved(
        lambda m: {"state_dict": under("model.", m), "hyper_parameters": {"loss": nn.CrossEntropyLoss(torch.ones(3))}}
    ),
    "Lightning, with the input in `hyper_parameters`": saved(
        lambda m: {"state_dict": under("model.", m), "hyper_parameters": SAID}, SAID
    ),
    "argparse, pathlib and NumPy beside": saved(
        lambda m: {"model": m.state_dict(), "args": argparse.Namespace(out=Path("x"), best=np.float64(0.5))}
    ),
    "an optimizer under any key": saved(
        lambda m: {"net": m.state_dict(), "opt": torch.optim.Adam(m.parameters()).state_dict()}
    ),
    "the best accuracy as a tensor": saved(lambda m: {"state_dict": m.state_dict(), "best": torch.tensor(0.5)}),
    "integer keys beside": saved(lambda m: {0: torch.ones(1), **m.state_dict()}),
    "counters of thop": saved(
        lambda m: {**m.state_dict(), "total_ops": torch.zeros(1), "total_params": torch.zeros(1)}
    ),
    "class names": saved(lambda m: {"state_dict": m.state_dict(), "classes": list("abcdefg")}),
    "half precision": cast(torch.float16),
    "bfloat16": cast(torch.bfloat16),
    "double precision": cast(torch.float64),
    "torch before 1.6": saved(lambda m: m.state_dict(), _use_new_zipfile_serialization=False),
    "pickle protocol 4": saved(lambda m: m.state_dict(), pickle_protocol=4),
    "pickle protocol 5": saved(lambda m: m.state_dict(), pickle_protocol=5),
    "pickle.dump of tensors": pickled(lambda m: m.state_dict(), 4),
    "pickle.dump of NumPy arrays": pickled(lambda m: {"model": numpy_state(m), "__author__": "me"}, 2),
    "NumPy arrays in torch.save": saved(numpy_state),
    "a whole module": saved(lambda m: m),
    "a whole module, torch before 1.6": saved(lambda m: m, _use_new_zipfile_serialization=False),
    "a whole module in a checkpoint": saved(lambda m: {"model": m, "epoch": 3}),
    "a whole module in DataParallel": saved(nn.DataParallel),
    "a whole trainer around it, as `learn.export` of fastai": saved(Exported),
    "averaged, `state_dict_ema` of timm": ema(
        lambda p, a: {"state_dict": p.state_dict(), "state_dict_ema": a.state_dict()}
    ),
    "averaged, `model_ema` of torchvision": ema(
        lambda p, a: {"model": p.state_dict(), "model_ema": AveragedModel(a).state_dict()}
    ),
    "averaged, `ema`": ema(lambda p, a: {"model": p.state_dict(), "ema": a.state_dict()}),
    "averaged, by prefix": ema(lambda p, a: {"state_dict": under("model.", p) | under("model_ema.module.", a)}),
    "timm's training script": of_timm,
    "timm's training script, `args.yaml` beside": args_yaml,
    "`pretrained_cfg` in the file": saved(lambda m: {"state_dict": m.state_dict(), "pretrained_cfg": SAID}, SAID),
    "`arch` names the network": renamed,
    "safetensors": safe(None),
    "safetensors with metadata": safe({"format": "pt", "note": "mine"}),
    "safetensors in shards": sharded(True),
    "pytorch_model.bin in shards": sharded(False),
    "a folder of the hub as the model": hub(True),
    "a folder of the hub as the checkpoint": hub(False),
    "the file in a folder of the hub": hub(False, file="itself"),
    "a folder of the hub with pytorch_model.bin": hub(True, file="pytorch_model.bin"),
    "a folder of transformers' TimmWrapper": hub(True, prefix="timm_model.", extra={"model_type": "timm_wrapper"}),
    "a folder with one file of weights": one_file,
    "an address": remote,
    "head: Dropout, Linear": built(lambda: replaced(lambda n: nn.Sequential(nn.Dropout(), nn.Linear(n, CLASSES)))),
    "head: a hidden layer": built(lambda: replaced(hidden)),
    "head: a hidden layer with dropout": built(lambda: replaced(lambda n: hidden(n, nn.ReLU(), nn.Dropout()))),
    "head: a hidden layer with batch norm": built(lambda: replaced(lambda n: hidden(n, nn.BatchNorm1d(16), nn.ReLU()))),
    "head: a hidden layer with PReLU": built(lambda: replaced(lambda n: hidden(n, nn.PReLU(16)))),
    "head: LayerNorm, Linear": built(lambda: replaced(lambda n: nn.Sequential(nn.LayerNorm(n), nn.Linear(n, CLASSES)))),
    "head beside a backbone": built(lambda: Beside(trained(0), nn.Linear(WIDTH, CLASSES))),
    "head beside a backbone, `head.fc`": built(
        lambda: Beside(trained(0), nn.Sequential(OrderedDict(fc=nn.Linear(WIDTH, CLASSES))))
    ),
    "head beside a backbone, a hidden layer": built(lambda: Beside(trained(0), hidden(), "net", "classifier")),
    "head behind a backbone of 1,000 classes": built(lambda: Beside(trained(1000), nn.Linear(1000, CLASSES))),
    "head behind it, a hidden layer": built(lambda: Beside(trained(1000), hidden(1000), "net", "classifier")),
    "nn.Sequential(backbone, head)": built(lambda: nn.Sequential(trained(0), nn.Linear(WIDTH, CLASSES))),
    "nn.Sequential(*children)": positions,
    "fastai's learner, behind maximum and mean": of_fastai,
    "grey images": built(lambda: trained(in_chans=1)),
    "another input size of a transformer": built(lambda: trained(name="test_vit", img_size=96), "test_vit"),
    "another pooling of a transformer": built(lambda: trained(name="test_vit", global_pool="avg"), "test_vit"),
}
