"""Recognises files and folders that are no torch weights, and says how to convert them."""

from __future__ import annotations

import os
from collections.abc import Collection

_KERAS = "Convert it to torch, or train a GAP head on a network of timm with `camx train-gap`."


def other_file(path: str, start: bytes) -> str:
    """Format of a file from its first bytes and name, with advice; "" for a possible torch file."""
    name = os.path.basename(path).lower()
    if start.startswith(b"\x89HDF"):
        return f"is an HDF5 file of Keras. {_KERAS}"
    if start[4:8] == b"TFL3":
        return "is a TensorFlow Lite model. Export the weights of the original network."
    if start.startswith(b"GGUF"):
        return "is a GGUF file of a language model. Give the original safetensors."
    if start.startswith(b"\x93NUMPY"):
        return "is one NumPy array. Save the weights by name: torch.save of a dict of tensors."
    if name.endswith(".onnx"):
        return "is an ONNX graph, which has no gradients. Give the original torch checkpoint."
    if name.endswith((".pb", ".pbtxt")):
        return f"is a graph of TensorFlow. {_KERAS}"
    if name.endswith((".mlmodel", ".engine", ".plan", ".trt", ".rknn", ".hef")):
        return "is a network compiled for a device. Give the original torch checkpoint."
    if start[257:262] == b"ustar":
        return "is a tar archive, not weights. Unpack it, and give the file in it."
    if start.startswith((b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"\xfd7zXZ", b"BZh")):
        return "is a compressed archive, not weights. Unpack it, and give the file in it."
    return ""


def other_zip(names: Collection[str]) -> str:
    """Format of a zip file from its entries, with advice; "" if unknown."""
    if any(name.endswith("keras_model.h5") for name in names):
        return f"is an export of Teachable Machine for Keras. {_KERAS}"
    if any(name.endswith(".h5") for name in names):
        return f"is a .keras file. {_KERAS}"
    if any(name.endswith(".npy") for name in names) and all(name.endswith(".npy") for name in names):
        return "is an archive of NumPy arrays (.npz). Save them with torch.save as a dict of tensors by name."
    if any(name.endswith((".pth", ".pt", ".safetensors", ".ckpt")) for name in names):
        return "is a zip file with checkpoints in it. Unpack it, and give the file of weights in it."
    return ""


def other_folder(folder: str, names: Collection[str]) -> str:
    """Format of a folder without plain weights from its files, with advice; "" if unknown."""
    if ".metadata" in names or any(name.endswith(".distcp") for name in names):
        return (
            "is a distributed checkpoint of torch. Convert it: python -m torch.distributed.checkpoint.format_utils "
            f"dcp_to_torch {folder} weights.pth."
        )
    if "zero_to_fp32.py" in names or any(name.startswith("mp_rank_") for name in names):
        return f"is a checkpoint of DeepSpeed. Convert it: python {folder}/zero_to_fp32.py {folder} weights.pth."
    if "adapter_config.json" in names:
        return "is an adapter of peft. Merge it: model.merge_and_unload(), then save_pretrained."
    if "saved_model.pb" in names:
        return f"is a SavedModel of TensorFlow. {_KERAS}"
    if checkpoints := sorted(name for name in names if name.startswith("checkpoint-")):
        return f"is the folder of a Trainer. Give one of its checkpoints, such as {folder}/{checkpoints[-1]}."
    return ""
