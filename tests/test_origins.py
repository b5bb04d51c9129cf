"""camx uses, shows and records input and architecture of a checkpoint with their origin."""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from cam_cli.errors import CamxError
from cam_cli.models.catalog import Network, load_model
from cam_cli.models.options import ModelSpec, PreprocessingOptions

ARCH = "test_resnet"
DATA = os.environ.get("CAMX_TEST_DATA", "")
SAID = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "interpolation": "nearest", "crop_pct": 0.5, "img_size": 96}


def trained(name: str = ARCH, **args: Any) -> nn.Module:
    torch.manual_seed(7)
    module: nn.Module = timm.create_model(name, num_classes=4, **args)
    return module


def loaded(path: Path, name: str = ARCH, **spec: Any) -> Network:
    return load_model(ModelSpec(name, checkpoint=str(path), **spec))


def saved(folder: Path, **about: Any) -> Path:
    torch.save({"state_dict": trained().state_dict(), **about}, folder / "w.pth")
    return folder / "w.pth"


def beside(folder: Path, name: str, content: object) -> Path:
    save_file(trained().state_dict(), folder / "model.safetensors")
    (folder / name).write_text(json.dumps(content))
    return folder / "model.safetensors"


CONFIG = {"architecture": ARCH, "pretrained_cfg": {**SAID, "input_size": [3, 96, 96]}, "model_args": None}
PROCESSOR = {
    "image_mean": SAID["mean"], "image_std": SAID["std"], "resample": 0, "do_center_crop": True,
    "size": {"shortest_edge": 192}, "crop_size": {"height": 96, "width": 96},
}  # fmt: skip

FORMS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "arguments of timm's training": (
        lambda p: saved(p, arch=ARCH, args=argparse.Namespace(model=ARCH, **SAID)), "the checkpoint's args",
    ),
    "hyperparameters of Lightning": (
        lambda p: saved(p, hyper_parameters={"data": SAID}), "the checkpoint's hyper_parameters",
    ),
    "pretrained_cfg in the file": (lambda p: saved(p, pretrained_cfg=SAID), "the checkpoint's pretrained_cfg"),
    "config.json beside the file": (lambda p: beside(p, "config.json", CONFIG), "config.json beside the checkpoint"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_input_settings_of_a_checkpoint_are_used(form: str, tmp_path: Path) -> None:
    make, origin = FORMS[form]
    path = make(tmp_path)
    network = loaded(path)
    found = network.preprocessing
    assert (found.mean, found.std, found.interpolation) == (SAID["mean"], SAID["std"], "nearest")
    assert (found.input_size, found.resize) == ((96, 96), (192, 192))
    assert {network.origins[key] for key in ("mean", "std", "interpolation", "image_size", "crop_pct")} == {origin}
    assert network.input_line == (
        f"96×96, nearest, crop 0.5, mean 0.1 0.2 0.3, std 0.4 0.5 0.6 (crop mode from timm's default; the rest from {origin})"
    )
    assert not network.warnings


@pytest.mark.parametrize("given", ["file", "folder", "as the model"])
def test_a_repository_of_the_hub_is_read_alike_in_each_form(given: str, tmp_path: Path) -> None:
    path = beside(tmp_path, "config.json", {**CONFIG, "label_names": ["ant", "bee", "cow", "dog"]})
    forms = {"file": lambda: loaded(path), "folder": lambda: loaded(tmp_path)}
    network = forms.get(given, lambda: load_model(str(tmp_path)))()
    assert (network.preprocessing.mean, network.preprocessing.input_size) == (SAID["mean"], (96, 96))
    assert (network.name, network.classes[3]) == (f"timm/{ARCH}", "dog")


def test_a_preprocessor_of_transformers_beside_a_timm_network(tmp_path: Path) -> None:
    beside(tmp_path, "config.json", {"architecture": ARCH, "model_type": "timm_wrapper", "model_args": None})
    network = loaded(beside(tmp_path, "preprocessor_config.json", PROCESSOR))
    found = network.preprocessing
    assert (found.mean, found.interpolation, found.input_size, found.resize) == (
        SAID["mean"], "nearest", (96, 96), (192, 192),
    )  # fmt: skip


def test_args_yaml_beside_a_checkpoint_of_timm(tmp_path: Path) -> None:
    torch.save(trained().state_dict(), tmp_path / "model_best.pth.tar")
    (tmp_path / "args.yaml").write_text(f"model: {ARCH}\nmean: [0.1, 0.2, 0.3]\nstd: null\n")
    network = loaded(tmp_path / "model_best.pth.tar")
    assert network.preprocessing.mean == (0.1, 0.2, 0.3)
    assert network.origins["mean"] == "args.yaml beside the checkpoint"
    assert network.origins["std"] == "timm's default"
    assert load_model(str(tmp_path / "model_best.pth.tar")).name == f"timm/{ARCH}"


def test_arguments_stored_in_a_checkpoint(tmp_path: Path) -> None:
    module = trained("test_vit", global_pool="avg", img_size=96)
    args = argparse.Namespace(model="test_vit", gp="avg", img_size=96, model_kwargs={"drop_path_rate": 0.1})
    torch.save({"state_dict": module.state_dict(), "arch": "test_vit", "args": args}, tmp_path / "w.pth")
    network = load_model(str(tmp_path / "w.pth"))
    assert dict(network.args) == {"global_pool": "avg", "drop_path_rate": 0.1, "img_size": 96}
    assert network.origins["model_arg global_pool"] == "the checkpoint's args"
    assert network.origins["model_arg num_classes"] == "the checkpoint's tensors"
    with torch.no_grad():
        images = torch.rand(2, 3, 96, 96)
        torch.testing.assert_close(network.module(images), module.eval()(images))


def test_flags_over_the_checkpoint_and_a_warning(tmp_path: Path) -> None:
    path = saved(tmp_path, args=argparse.Namespace(model=ARCH, **SAID))
    options = PreprocessingOptions(mean=(0.5,), crop_pct=0.5)
    spec = ModelSpec(ARCH, checkpoint=str(path), preprocessing=options)
    network = load_model(spec, {"mean": "flag", "crop-pct": "environment", "std": "default"})
    assert network.preprocessing.mean == (0.5, 0.5, 0.5)
    assert network.origins["mean"] == "flag"
    assert network.origins["crop_pct"] == "environment"
    assert network.origins["std"] == "the checkpoint's args"
    assert network.warnings == ("camx uses `mean` 0.5, not 0.1,0.2,0.3 from the checkpoint's args.",)


def test_a_model_that_is_not_that_of_the_checkpoint(tmp_path: Path) -> None:
    network = loaded(saved(tmp_path, arch="resnet18"))
    assert network.warnings == (
        f"The checkpoint names the architecture resnet18; camx uses `model` timm/{ARCH} as given.",
    )


def test_a_checkpoint_without_settings(tmp_path: Path) -> None:
    line = loaded(saved(tmp_path)).input_line
    assert line.endswith("(from timm's default; the checkpoint has no input settings)")
    assert load_model(ModelSpec(ARCH, pretrained=False)).input_line.endswith("(from timm's default)")


def test_the_example_script_of_imagenet_is_of_torchvision(tmp_path: Path) -> None:
    module = torchvision.models.resnet18(num_classes=4)
    state = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
    content = {"epoch": 3, "arch": "resnet18", "state_dict": state, "best_acc1": torch.tensor(70.0), "optimizer": {}}
    torch.save(content, tmp_path / "model_best.pth.tar")
    for network in (
        load_model(str(tmp_path / "model_best.pth.tar")),
        loaded(tmp_path / "model_best.pth.tar", "resnet18"),
    ):
        found = network.preprocessing
        assert network.name == "torchvision/resnet18"
        assert (found.input_size, found.resize, found.interpolation) == ((224, 224), (256, 256), "bilinear")
        assert network.origins["interpolation"] == "the ImageNet example script"


def test_the_user_names_the_architecture_of_a_file_without_a_known_writer(tmp_path: Path) -> None:
    """timm and torchvision share the names of these tensors, and many scripts write `{"model": …}`."""
    torch.save({"model": timm.create_model("resnet18", num_classes=4).state_dict()}, tmp_path / "w.pth")
    network = loaded(tmp_path / "w.pth", "resnet18")
    assert network.name == "timm/resnet18"
    assert "from timm's default; the checkpoint has no input settings" in network.input_line


def test_arguments_of_torchvisions_training(tmp_path: Path) -> None:
    args = argparse.Namespace(
        model="shufflenet_v2_x0_5", val_resize_size=128, val_crop_size=96, interpolation="bicubic", lr_scheduler="x"
    )
    module = torchvision.models.shufflenet_v2_x0_5(num_classes=4)
    torch.save({"model": module.state_dict(), "args": args, "lr_scheduler": {}}, tmp_path / "w.pth")
    network = load_model(str(tmp_path / "w.pth"))
    found = network.preprocessing
    assert (found.input_size, found.resize, found.interpolation) == ((96, 96), (128, 128), "bicubic")
    assert network.origins["mean"] == "torchvision's training script"


@pytest.mark.parametrize("values", [{"mean": (127.5,) * 3}, {"std": (57.0, 57.0, 58.0)}])
def test_values_for_pixels_up_to_255_are_refused_with_the_right_ones(values: dict[str, Any]) -> None:
    ((name, numbers),) = values.items()
    shown = ",".join(f"{value / 255:.4g}" for value in numbers)
    with pytest.raises(CamxError, match=f"pixels from 0 to 255.*`{name}={shown}`"):
        PreprocessingOptions(**values)
    mean_std = {"mean": (0.5,) * 3, "std": (0.5,) * 3, **values}
    with pytest.raises(CamxError, match="pixels from 0 to 255"):
        Network.of(trained(), image_size=64, **mean_std)


def test_values_of_a_checkpoint_that_cannot_be(tmp_path: Path) -> None:
    path = saved(tmp_path, args=argparse.Namespace(model=ARCH, std=(0.0, 0.5, 0.5)))
    with pytest.raises(CamxError, match="has an impossible setting: `std`"):
        loaded(path)
    assert loaded(path, preprocessing=PreprocessingOptions(std=(0.5,))).preprocessing.std == (0.5, 0.5, 0.5)


def test_a_network_that_normalised_its_images_itself(tmp_path: Path) -> None:
    content = {f"1.{name}": tensor for name, tensor in trained().state_dict().items()}
    content |= {"0.mean": torch.tensor([127.5, 51.0, 255.0]).view(1, 3, 1, 1), "0.std": torch.full((1, 3, 1, 1), 51.0)}
    torch.save(content, tmp_path / "w.pth")
    network = loaded(tmp_path / "w.pth")
    assert (network.preprocessing.mean, network.preprocessing.std) == ((0.5, 0.2, 1.0), (0.2, 0.2, 0.2))
    assert network.origins["mean"] == "the checkpoint's tensors"


def test_the_report_has_the_origin_of_each_value(tmp_path: Path, camx: Callable[..., int]) -> None:
    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    saved(tmp_path, arch=ARCH, args=argparse.Namespace(model=ARCH, mean=(0.1, 0.2, 0.3)))
    words = ("a.png", "-m", "w.pth", "--std", "0.5", "--device", "cpu", "--workers", "1")
    assert camx("explain", *words, "-o", "out") == 0
    page = (tmp_path / "out" / "report" / "index.html").read_text()
    for value in ("0.1, 0.2, 0.3 (from the checkpoint&#39;s args)", "0.5, 0.5, 0.5 (from flag)"):
        assert value in page
    assert "160 × 160 (from timm&#39;s default)" in page


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="needs CAMX_TEST_DATA")
def test_real_weights_whose_values_stand_only_in_their_arguments(
    tmp_path: Path, camx: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """0.1.0 read only the name from such a file: 20 of 40 photos right instead of 35."""
    weights, flags = f"{DATA}/weights/mobilenetv2_100.safetensors", ["--interpolation", "bilinear"]
    said = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "crop_pct": 0.875, "img_size": 224}
    args = argparse.Namespace(model="mobilenetv2_100", model_kwargs={"pad_type": "same"}, **said)
    content = {"arch": "mobilenetv2_100", "state_dict": load_file(weights), "args": args}
    torch.save(content, tmp_path / "checkpoint.pth.tar")
    flags += ["--mean", "0.5", "--std", "0.5", "--crop-pct", "0.875", "--model-arg", "pad_type=same"]
    common = ["explain", f"{DATA}/photos", "--labels", f"{DATA}/photos/labels.csv", "--device", "cpu", "--no-report"]
    assert camx(*common, "-m", "mobilenetv2_100", "--checkpoint", weights, *flags, "-o", str(tmp_path / "flags")) == 0
    assert camx(*common, "-m", str(tmp_path / "checkpoint.pth.tar"), "-o", str(tmp_path / "said")) == 0
    assert "from the checkpoint's args" in capsys.readouterr().err
    rows = [
        list(csv.DictReader((tmp_path / name / "predictions.csv").read_text("utf-8").splitlines()))
        for name in ("flags", "said")
    ]
    assert rows[0] == rows[1]
    assert (len(rows[0]), sum(row["correct"] == "True" or row["correct"] == "true" for row in rows[0])) == (40, 35)
    record = json.loads((tmp_path / "said" / "run.json").read_text())
    assert record["plan"]["input_origins"]["model_arg pad_type"] == "the checkpoint's args"
