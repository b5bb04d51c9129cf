"""Names, pretrained weights, preprocessing and class names of networks."""

from __future__ import annotations

import gc
import http.server
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from cam_cli.errors import CamxError
from cam_cli.models import hub, timm_import
from cam_cli.models.catalog import digest, load_model
from cam_cli.models.class_files import read_class_names
from cam_cli.models.classes import ClassNames
from cam_cli.models.libraries import TorchvisionModel
from cam_cli.models.names import find_architecture, model_names
from cam_cli.models.options import ModelSpec, PreprocessingOptions

ARCH = "test_resnet"


def trained(classes: int = 4) -> nn.Module:
    torch.manual_seed(7)
    return timm.create_model(ARCH, num_classes=classes)


def loaded(path: Path, **spec: Any) -> Any:
    return load_model(ModelSpec(ARCH, checkpoint=str(path), **spec))


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("resnet50", "timm/resnet50"),
        ("timm/resnet50", "timm/resnet50"),
        ("resnet50.a1_in1k", "timm/resnet50.a1_in1k"),
        ("torchvision/resnet50", "torchvision/resnet50"),
        ("torchvision/resnet50.IMAGENET1K_V1", "torchvision/resnet50.IMAGENET1K_V1"),
        ("squeezenet1_0", "torchvision/squeezenet1_0"),
        ("hf-hub:owner/repo", "hf-hub:owner/repo"),
    ],
)
def test_names(name: str, full: str) -> None:
    assert str(find_architecture(name)) == full


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet5O", "Unknown model 'resnet5O'. Did you mean .*resnet50"),
        ("torchvision/resnet_50", "Did you mean .*resnet50"),
        ("nowhere.pth", "no checkpoint file"),
        ("other/resnet50", "Unknown model"),
    ],
)
def test_unknown_names_show_the_nearest(name: str, message: str) -> None:
    with pytest.raises(CamxError, match=message):
        load_model(name)


def test_the_list_of_names() -> None:
    assert ("timm", "resnet50") in model_names()
    assert ("torchvision", "resnet50") in model_names()
    assert {name for _, name in model_names("torchvision/resnet1*")} == {"resnet18", "resnet101", "resnet152"}
    assert ("torchvision", "fcn_resnet50") in model_names("fcn")
    assert ("torchvision", "retinanet_resnet50_fpn") in model_names("retinanet")
    assert ("torchvision", "r3d_18") not in model_names("r3d")


def test_random_weights_are_those_of_the_seed() -> None:
    one, two, three = (load_model(ModelSpec(ARCH, pretrained=False, seed=s)).digest for s in (0, 0, 1))
    assert one == two != three


def test_names_win_over_folders_that_are_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ARCH).mkdir()
    assert load_model(ModelSpec(ARCH, pretrained=False)).name == f"timm/{ARCH}"


def test_options_over_the_data_configuration() -> None:
    options = PreprocessingOptions(
        image_size=96, mean=(0.5,), std=(0.1, 0.2, 0.3), crop_pct=0.5, crop_mode="border", interpolation="nearest"
    )
    found = load_model(ModelSpec(ARCH, pretrained=False, preprocessing=options)).preprocessing
    assert (found.input_size, found.resize, found.crop_mode) == ((96, 96), (192, 192), "border")
    assert (found.mean, found.std, found.interpolation) == ((0.5,) * 3, (0.1, 0.2, 0.3), "nearest")
    with pytest.raises(CamxError, match="`crop_mode` 'middle'"):
        load_model(ModelSpec(ARCH, pretrained=False, preprocessing=PreprocessingOptions(crop_mode="middle")))


@pytest.mark.parametrize("name", ["test_vit", "torchvision/vit_b_16"])
def test_a_fixed_input_size_is_built_anew(name: str) -> None:
    network = load_model(ModelSpec(name, pretrained=False, preprocessing=PreprocessingOptions(image_size=64)))
    assert network.module(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)


def test_grey_images() -> None:
    network = load_model(ModelSpec(ARCH, pretrained=False, args={"in_chans": 1}))
    assert len(network.preprocessing.mean) == network.preprocessing.channels == 1


def test_arguments_that_the_network_does_not_take() -> None:
    with pytest.raises(CamxError, match="takes no 'colour'"):
        load_model(ModelSpec(ARCH, pretrained=False, args={"colour": 1}))


def test_imagenet_classes_are_words() -> None:
    names = load_model(ModelSpec(ARCH, pretrained=False)).classes
    assert names[0] == "tench, Tinca tinca"
    assert [names.index(w, 1000) for w in ("0", "tench", "Tinca Tinca", "n01440764", "tench, tinca tinca")] == [0] * 5


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("1000", "no class 1000: the model has 1,000 classes"),
        ("-1", "no class -1"),
        ("crane", "Several classes"),
        ("tenhc", "Did you mean tench"),
    ],
)
def test_classes_that_are_not_there(wanted: str, message: str) -> None:
    with pytest.raises(CamxError, match=message):
        load_model(ModelSpec(ARCH, pretrained=False)).classes.index(wanted, 1000)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("n.txt", "cat\ndog\n"),
        ("n.json", '["cat", "dog"]'),
        ("n.json", '{"1": "dog", "0": "cat"}'),
        ("n.json", '{"cat": 0, "dog": 1}'),
    ],
)
def test_files_of_class_names(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_class_names(str(tmp_path / name)) == ClassNames(("cat", "dog"))
    with pytest.raises(CamxError, match="names 2 classes, but the model has 1000"):
        load_model(ModelSpec(ARCH, pretrained=False, class_names=str(tmp_path / name)))


def test_without_a_network_the_answer_comes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "cached_on_hub", lambda *_: False)
    monkeypatch.setattr(hub, "hub_url", lambda *_: "http://127.0.0.1:9/weights")
    began = time.monotonic()
    with pytest.raises(CamxError, match="not on this machine.*`checkpoint=FILE`.*`pretrained=False`"):
        load_model("resnet18")
    assert time.monotonic() - began < hub.TIMEOUT + 2


def test_a_silent_hub_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(hub, "TIMEOUT", 0.3)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with pytest.raises(CamxError, match="does not answer|cannot be reached"):
            hub.require_reachable(f"http://127.0.0.1:{server.getsockname()[1]}/x", "a model")


@pytest.mark.parametrize(
    ("status", "message"), [(401, "refuses access"), (404, "does not have them"), (503, "answers 503")]
)
def test_a_hub_that_refuses(monkeypatch: pytest.MonkeyPatch, status: int, message: str) -> None:
    class Refuse(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Refuse) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        with pytest.raises(CamxError, match=message):
            hub.require_reachable(f"http://127.0.0.1:{server.server_port}/weights", "a model")


def test_pretrained_weights_in_the_cache_need_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    module = trained(1000)
    folder = tmp_path / "models--timm--test_resnet.r160_in1k"
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0" * 40)
    save_file(module.state_dict(), snapshot / "model.safetensors")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "require_reachable", lambda *_: pytest.fail("asked the hub"))
    network = load_model("test_resnet")
    assert network.digest == digest(module)
    assert network.weights == "pretrained timm/test_resnet"
    assert constants.HF_HUB_OFFLINE is False


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ModelSpec("demo", checkpoint="w.pth"), "brings its own weights"),
        (ModelSpec("demo", pretrained=False), "is a file of weights"),
        (ModelSpec(ARCH, checkpoint="w.safetensors", ema=True), "one set of weights"),
        (ModelSpec(ARCH, pretrained=False, args={"num_classes": -5}), "no classifier|cannot"),
    ],
)
def test_combinations_that_contradict_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: ModelSpec, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save_file(trained().state_dict(), tmp_path / "w.safetensors")
    torch.save(trained().state_dict(), tmp_path / "w.pth")
    with pytest.raises(CamxError, match=message):
        load_model(spec)


def test_a_network_of_a_fixed_size_gets_that_size() -> None:
    """torchvision's best weights of vit_h_14 need 518 pixels; without weights its size is 224."""
    from torchvision.models import VisionTransformer

    small = VisionTransformer(image_size=224, patch_size=32, num_layers=1, num_heads=1, hidden_dim=8, mlp_dim=8)
    found = TorchvisionModel("vit_h_14").preprocessing(small, PreprocessingOptions(), {})
    assert (found.input_size, found.resize) == ((224, 224), (224, 224))
    found = TorchvisionModel("resnet50").preprocessing(torch.nn.Identity(), PreprocessingOptions(), {})
    assert (found.input_size, found.resize) == ((224, 224), (232, 232))


def test_builds_of_torch_and_torchvision_that_do_not_fit_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of torchvision for CUDA with torch for CPUs."""

    def broken(name: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(timm_import.importlib, "import_module", broken)
    with pytest.raises(CamxError, match="timm cannot be imported .operator torchvision::nms does not exist..*doctor"):
        timm_import.import_timm()


@pytest.mark.parametrize("enabled", [True, False])
def test_timm_is_imported_without_collections_and_leaves_the_collector_as_it_was(
    enabled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(timm_import.importlib, "import_module", lambda name: seen.append(gc.isenabled()))
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        timm_import.import_timm()
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()
    assert seen == [False]
