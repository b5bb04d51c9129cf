"""Kinds of weight files that do not load: how to make each, and its error."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from .checkpoint_kinds import CLASSES, given, replaced, trained, under

Refused = tuple[Callable[[Path], Mapping[str, Any]], str]


def open_clip_weights(folder: Path) -> Mapping[str, Any]:
    """As its training leaves them."""
    torch.save({"state_dict": {"logit_scale": torch.ones(()), "visual.proj": torch.ones(4, 2)}}, folder / "w.pth")
    return {"name": str(folder / "w.pth")}


def written(data: bytes, name: str = "w.pth") -> Callable[[Path], Mapping[str, Any]]:
    def make(folder: Path) -> Mapping[str, Any]:
        (folder / name).write_bytes(data)
        return given(folder / name)

    return make


def zipped(*names: str, name: str = "w.pth", how: int = zipfile.ZIP_STORED) -> Callable[[Path], Mapping[str, Any]]:
    def make(folder: Path) -> Mapping[str, Any]:
        with zipfile.ZipFile(folder / name, "w", how) as archive:
            for one in names:
                archive.writestr(one, b"x" * 100)
        return given(folder / name)

    return make


def entries(*names: str) -> Callable[[Path], Mapping[str, Any]]:
    """A folder with files of these names."""

    def make(folder: Path) -> Mapping[str, Any]:
        for one in names:
            (folder / one).write_bytes(b"x")
        return given(folder)

    return make


def content(make_content: Callable[[], object]) -> Callable[[Path], Mapping[str, Any]]:
    def make(folder: Path) -> Mapping[str, Any]:
        torch.save(make_content(), folder / "w.pth")
        return given(folder / "w.pth")

    return make


def changed(change: Callable[[bytearray], bytes | bytearray]) -> Callable[[Path], Mapping[str, Any]]:
    def make(folder: Path) -> Mapping[str, Any]:
        torch.save(trained().state_dict(), folder / "w.pth")
        (folder / "w.pth").write_bytes(change(bytearray((folder / "w.pth").read_bytes())))
        return given(folder / "w.pth")

    return make


def flipped(data: bytearray) -> bytearray:
    data[len(data) // 2] ^= 0xFF
    return data


def tarred(folder: Path) -> Mapping[str, Any]:
    with tarfile.open(folder / "w.tar", "w") as archive:
        info = tarfile.TarInfo("w.pth")
        archive.addfile(info)
    return given(folder / "w.tar")


def transformers(folder: Path) -> Mapping[str, Any]:
    save_file(trained().state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text('{"architectures": ["ViTModel"], "model_type": "vit"}')
    return {"name": str(folder)}


def nameless(folder: Path) -> Mapping[str, Any]:
    torch.save(trained().state_dict(), folder / "w.pth")
    return {"name": str(folder / "w.pth")}


def with_weights(change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], Mapping[str, Any]]:
    def make_content() -> object:
        state = dict(trained().state_dict())
        change(state)
        return state

    return content(make_content)


REFUSED: dict[str, Refused] = {
    "an empty file": (written(b""), "is empty"),
    "text": (written(b"hello world"), "is no .safetensors and no torch file"),
    "a web page": (written(b"<!DOCTYPE html><html>"), "is a web page, not weights"),
    "a Git LFS pointer": (written(b"version https://git-lfs.github.com/spec/v1"), "is a Git LFS pointer"),
    "a truncated file": (changed(lambda d: d[: len(d) // 2]), "is broken or cut short"),
    "a damaged file": (changed(flipped), "is damaged (bad checksum"),
    "a compressed zip": (zipped("w/data.pkl", how=zipfile.ZIP_DEFLATED), "is a compressed zip, which torch never writes"),
    "a zip with a checkpoint in it": (zipped("best.pth", name="w.zip"), "is a zip file with checkpoints in it"),
    "TorchScript": (zipped("m/data.pkl", "m/constants.pkl"), "is a TorchScript program"),
    "torch.export": (zipped("m/archive_format"), "is a program of torch.export (.pt2)"),
    "Keras, HDF5": (written(b"\x89HDF\r\n\x1a\n", "w.h5"), "is an HDF5 file of Keras"),
    "Keras, .keras": (zipped("config.json", "model.weights.h5", name="w.keras"), "is a .keras file"),
    "Teachable Machine": (zipped("keras_model.h5", "labels.txt", name="w.zip"), "is an export of Teachable Machine"),
    "TensorFlow Lite": (written(b"\x1c\0\0\0TFL3", "w.tflite"), "is a TensorFlow Lite model"),
    "TensorFlow, SavedModel": (entries("saved_model.pb"), "is a SavedModel of TensorFlow"),
    "TensorFlow, .pb": (written(b"\x08\x01", "w.pb"), "is a graph of TensorFlow"),
    "ONNX": (written(b"\x08\x08\x12\x07pytorch", "w.onnx"), "is an ONNX graph, which has no gradients"),
    "GGUF": (written(b"GGUF\x03\0\0\0", "w.gguf"), "is a GGUF file of a language model"),
    "TensorRT": (written(b"ptrt", "w.engine"), "is a network compiled for a device"),
    "NumPy, .npz": (zipped("a.npy", "b.npy", name="w.npz"), "is an archive of NumPy arrays (.npz)"),
    "NumPy, .npy": (written(b"\x93NUMPY\x01\0", "w.npy"), "is one NumPy array"),
    "a tar archive": (tarred, "is a tar archive, not weights"),
    "a gzip archive": (written(b"\x1f\x8b\x08\0"), "is a compressed archive, not weights"),
    "a distributed checkpoint": (entries(".metadata", "__0_0.distcp"), "dcp_to_torch"),
    "DeepSpeed": (entries("zero_to_fp32.py", "latest"), "is a checkpoint of DeepSpeed"),
    "peft": (entries("adapter_config.json", "adapter_model.safetensors"), "is an adapter of peft"),
    "the folder of a Trainer": (entries("checkpoint-500", "trainer_state.json"), "is the folder of a Trainer"),
    "a folder with several files of weights": (entries("a.pth", "b.pth"), "holds 2 files of weights (a.pth, b.pth)"),
    "a folder without weights": (entries("notes.txt"), "holds no weights"),
    "a folder of transformers": (transformers, "is a vit model of the transformers library"),
    "weights of open_clip alone": (open_clip_weights, "holds a network of open_clip, and no configuration"),
    "a broken index of shards": (
        lambda folder: given(folder) if (folder / "model.safetensors.index.json").write_text("{") else {},
        "cannot be read",
    ),
    "LoRA": (with_weights(lambda s: s.update({"layer1.lora_A.weight": torch.rand(2, 2)})), "holds an adapter (LoRA)"),
    "quantised": (
        content(lambda: {"a": torch.quantize_per_tensor(torch.rand(3), 0.1, 0, torch.qint8)}),
        "holds tensors that are no plain numbers",
    ),
    "a backbone without a head": (with_weights(lambda s: [s.pop("fc.weight"), s.pop("fc.bias")]), "camx train-gap"),
    "a margin head": (
        content(lambda: under("backbone.", trained(16)) | {"arc_face.weight": torch.rand(5, 16)}),
        "arc_face.* (weight 5×16) would be left over",
    ),
    "a head behind two poolings": (
        content(lambda: replaced(lambda n: nn.Linear(2 * n, CLASSES)).state_dict()),
        "head_pool=maxavg (fastai) or head_pool=avgmax",
    ),
    "two networks": (
        content(lambda: under("student.", trained()) | under("teacher.", trained())), "holds several networks",
    ),
    "an ensemble": (
        content(lambda: under("a.", trained()) | under("b.", trained(name="test_vit"))), "would be left over",
    ),
    "a tensor too many": (with_weights(lambda s: s.update(spare=torch.rand(2, 2))), "spare 2×2 would be left over"),
    "another network": (content(lambda: trained(name="test_vit").state_dict()), "belongs to another architecture"),
    "another shape": (with_weights(lambda s: s.update({next(iter(s)): torch.rand(1, 2)})), "is (1, 2), the model has"),
    "NaN": (with_weights(lambda s: s["fc.bias"].fill_(torch.nan)), "has NaN or infinite values in 'fc.bias'"),
    "a list": (content(lambda: [1, 2]), "holds a list, not weights by name"),
    "no weights": (content(lambda: {"epoch": 3}), "holds no weights"),
    "a program": (written(b"cposix\nsystem\n(S'ls'\ntR."), "which would run code when loaded"),
    "a state dict without `--checkpoint`": (nameless, "does not name its architecture"),
    "safetensors, cut": (
        written((99).to_bytes(8, "little") + b"{}", "w.safetensors"), "is cut short: its header needs",
    ),
    "safetensors, an impossible header": (written((1 << 40).to_bytes(8, "little") + b"{}"), "announces a header of"),
}  # fmt: skip
