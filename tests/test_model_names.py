"""Names and addresses of networks and weights, as users type them."""

from __future__ import annotations

import json
import shutil
from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest
import timm
import torch
import wandb
from safetensors.torch import save_file
from torch import nn

from cam_cli.errors import CamxError
from cam_cli.models import hub, remote_weights
from cam_cli.models.catalog import digest, load_model
from cam_cli.models.names import find_architecture
from cam_cli.models.options import ModelSpec
from cam_cli.models.wandb_artifacts import artifact_name

ARCH = "test_resnet"


def trained() -> nn.Module:
    torch.manual_seed(7)
    module: nn.Module = timm.create_model(ARCH, num_classes=4)
    return module


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("hf_hub:owner/repo", "hf-hub:owner/repo"),
        ("https://huggingface.co/timm/resnet18.a1_in1k", "hf-hub:timm/resnet18.a1_in1k"),
        ("huggingface.co/owner/repo/tree/main", "hf-hub:owner/repo"),
        ("timm:resnet18", "timm/resnet18"),
        ("torchvision:resnet18", "torchvision/resnet18"),
        ("ResNet50_Weights.IMAGENET1K_V2", "torchvision/resnet50.IMAGENET1K_V2"),
        ("torchvision.models.ResNet50_Weights.DEFAULT", "torchvision/resnet50"),
        ("tf_efficientnet_b0_ns", "timm/tf_efficientnet_b0.ns_jft_in1k"),
        ("timm/tf_efficientnet_b0_ns", "timm/tf_efficientnet_b0.ns_jft_in1k"),
    ],
)
def test_spellings(typed: str, name: str) -> None:
    assert str(find_architecture(typed)) == name


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (
            "microsoft/resnet-50",
            "repository of the Hugging Face hub give hf-hub:microsoft/resnet-50 .* hf:microsoft/resnet-50",
        ),
        ("torchvision/raft_small", "returns motion between two images"),
        ("torchvision/r3d_18", "classifies clips of several frames"),
        ("ResNet5_Weights.DEFAULT", "Unknown model"),
    ],
)
def test_names_that_mean_something_else(typed: str, message: str) -> None:
    with pytest.raises(CamxError, match=message):
        find_architecture(typed)


def test_a_name_that_timm_has_given_up(tmp_path: Path) -> None:
    network = load_model(ModelSpec("convnext_tiny_in22ft1k", pretrained=False))
    assert network.name == "timm/convnext_tiny.fb_in22k_ft_in1k"
    assert network.warnings == (
        "timm has renamed convnext_tiny_in22ft1k: camx uses `model` convnext_tiny.fb_in22k_ft_in1k.",
    )


def test_home_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = trained()
    torch.save({"state_dict": module.state_dict(), "arch": ARCH}, tmp_path / "w.pth")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RUN", str(tmp_path))
    for path in ("~/w.pth", "$RUN/w.pth", "${RUN}/w.pth"):
        assert load_model(ModelSpec(ARCH, checkpoint=path)).digest == digest(module)
    assert load_model("~/w.pth").digest == digest(module)


def test_weights_at_an_address_are_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMX_CACHE", str(tmp_path))
    module, address = trained(), "memory://names/best.pth"
    files = fsspec.filesystem("memory")
    with fsspec.open(address, "wb") as file:
        torch.save({"state_dict": module.state_dict(), "arch": ARCH}, file)
    fetched: list[str] = []
    real = type(files).get_file
    monkeypatch.setattr(
        type(files), "get_file", lambda self, path, *a, **k: (fetched.append(path), real(self, path, *a, **k))
    )
    assert load_model(address).digest == digest(module)
    assert load_model(ModelSpec(ARCH, checkpoint=address)).digest == digest(module)
    assert len(fetched) == 1
    with fsspec.open(address, "wb") as file:
        torch.save({"state_dict": timm.create_model(ARCH, num_classes=5).state_dict()}, file)
    assert load_model(ModelSpec(ARCH, checkpoint=address)).digest != digest(module)
    assert len(fetched) == 2
    files.rm(address)
    load_model(ModelSpec(ARCH, checkpoint=address))
    assert len(fetched) == 2, "the copy serves where the address does not answer"
    assert not [path for path in tmp_path.rglob("tmp*") if path.is_file()]


def test_weights_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMX_CACHE", str(tmp_path))
    for address, message in (
        ("memory://names/none.pth", "there is nothing"),
        ("ftp://x/y.pth", "is not supported"),
    ):
        with pytest.raises(CamxError, match=message):
            load_model(ModelSpec(ARCH, checkpoint=address))


def test_offline_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMX_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "_probe", lambda url: pytest.fail("asked the network"))
    monkeypatch.setattr(hub, "cached_on_hub", lambda *_: False)
    with pytest.raises(CamxError, match="HF_HUB_OFFLINE forbids"):
        load_model("hf-hub:owner/repo")
    with pytest.raises(CamxError, match="HF_HUB_OFFLINE forbids"):
        remote_weights.local_weights("hf://owner/repo/model.safetensors")


@pytest.mark.parametrize(
    "names", [["../w.safetensors"], ["/etc/passwd"], ["model.safetensors.index.json"], [3], ["none"]]
)
def test_an_index_names_files_beside_it_only(names: list[object], tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    save_file(trained().state_dict(), tmp_path / "w.safetensors")
    index = {"weight_map": dict.fromkeys(["fc.weight"], names[0])}
    (tmp_path / "a" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CamxError, match="no file beside it|cannot be read"):
        load_model(ModelSpec(ARCH, checkpoint=str(tmp_path / "a")))


class Artifacts:
    """A W&B server: `versions` by name, and the artifacts that were downloaded."""

    def __init__(self, versions: dict[str, tuple[str, nn.Module]]) -> None:
        self.versions, self.downloaded = versions, []

    def artifact(self, name: str) -> Any:
        if name not in self.versions:
            raise wandb.errors.CommError(f"artifact {name!r} not found\nmore lines")
        version, module = self.versions[name]

        def download(root: str) -> str:
            self.downloaded.append(version)
            Path(root).mkdir(parents=True)
            torch.save({"state_dict": module.state_dict(), "arch": ARCH}, Path(root) / "model.ckpt")
            return root

        return SimpleNamespace(version=version, digest=f"{version}==", download=download)


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifacts:
    server = Artifacts({"me/proj/model-x:latest": ("v0", trained())})
    monkeypatch.setenv("CAMX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(wandb, "Api", lambda timeout: server)
    monkeypatch.setattr(wandb, "login", lambda **_: True)
    monkeypatch.setattr(wandb, "setup", lambda *_: None)
    return server


def test_artifacts_of_wandb_are_fetched_once(artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = digest(artifacts.versions["me/proj/model-x:latest"][1])
    for form in ("wandb-artifact://me/proj/model-x:latest", "wandb:me/proj/model-x:latest", "me/proj/model-x:latest"):
        assert load_model(ModelSpec(ARCH, checkpoint=form)).digest == expected
    assert load_model("me/proj/model-x:latest").digest == expected
    assert artifacts.downloaded == ["v0"]
    artifacts.versions["me/proj/model-x:latest"] = ("v1", timm.create_model(ARCH, num_classes=3))
    newer = load_model("me/proj/model-x:latest")
    assert (artifacts.downloaded, newer.digest == expected) == (["v0", "v1"], False)
    artifacts.versions.clear()
    assert load_model("me/proj/model-x:latest").digest == newer.digest, "the copy serves where the server does not"
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(wandb, "Api", lambda timeout: pytest.fail("asked the network"))
    assert load_model("me/proj/model-x:latest").digest == newer.digest


def test_the_stand_in_is_asked_as_wandb_is() -> None:
    """The calls of `wandb_artifacts` match the functions of the installed W&B."""
    signature(wandb.setup).bind(wandb.Settings(silent=True))
    signature(wandb.login).bind(prompt=False, verify=False)
    signature(wandb.Api).bind(timeout=20)
    signature(wandb.Api.artifact).bind(None, "me/proj/model-x:latest")
    signature(wandb.Artifact.download).bind(None, root="folder")
    assert all(isinstance(one, property) for one in (wandb.Artifact.version, wandb.Artifact.digest))
    assert issubclass(wandb.errors.CommError, Exception)


def test_the_folder_that_wandb_downloads_into_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`artifact.download()` creates `artifacts/NAME:VERSION`: a folder with a colon, not an address."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(wandb, "Api", lambda timeout: pytest.fail("asked the network"))
    model = wandb.Artifact("model-x", "model")
    folder = tmp_path / "work" / "artifacts" / "model-x:v0"
    folder.mkdir(parents=True)
    module = trained()
    with model.new_file("model.ckpt", "wb") as file:
        torch.save({"state_dict": module.state_dict(), "arch": ARCH}, file)
    (entry,) = model.manifest.entries.values()
    shutil.copy(str(entry.local_path), folder / entry.path)
    for path in ("work/artifacts/model-x:v0", str(folder), "work/artifacts/model-x:v0/model.ckpt"):
        assert load_model(ModelSpec(ARCH, checkpoint=path)).digest == digest(module)


def test_artifacts_that_cannot_be_had(artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CamxError, match=r"W&B artifact 'me/proj/none:v3' cannot be fetched \(artifact .* not found\)"):
        load_model(ModelSpec(ARCH, checkpoint="wandb-artifact://me/proj/none:v3"))
    monkeypatch.setattr(wandb, "login", lambda **_: False)
    with pytest.raises(CamxError, match="no API key: `wandb login`"):
        load_model(ModelSpec(ARCH, checkpoint="me/proj/none:v3"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(CamxError, match="WANDB_MODE=offline"):
        load_model(ModelSpec(ARCH, checkpoint="me/proj/none:v3"))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("wandb-artifact://me/proj/model:v3", "me/proj/model:v3"),
        ("wandb:proj/model:best", "proj/model:best"),
        ("me/proj/model:v3", "me/proj/model:v3"),
        ("proj/model:v3", ""),
        ("runs/1/w.pth", ""),
        ("C:/a/b/w.pth", ""),
        ("s3://bucket/w:v1", ""),
        ("sub/my_module.py:build", ""),
    ],
)
def test_names_of_artifacts(path: str, name: str) -> None:
    assert artifact_name(path) == name


def test_what_libraries_raise_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("architecture")

    monkeypatch.setattr(timm, "create_model", broken)
    with pytest.raises(CamxError, match="timm cannot load 'test_resnet'"):
        load_model(ModelSpec(ARCH, pretrained=False))
