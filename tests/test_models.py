"""Names, weights, preprocessing and class names of networks; and every way a checkpoint can be wrong."""

from __future__ import annotations

import argparse
import http.server
import pickle
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from cam_cli.errors import CamxError
from cam_cli.models import hub
from cam_cli.models.catalog import ModelSpec, digest, load_model
from cam_cli.models.classes import ClassNames, read_class_names
from cam_cli.models.names import find_architecture, model_names
from cam_cli.models.preprocessing import PreprocessingOptions

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
    assert ("torchvision", "fcn_resnet50") not in model_names("fcn")


def test_random_weights_are_those_of_the_seed() -> None:
    one, two, three = (load_model(ModelSpec(ARCH, pretrained=False, seed=s)).digest for s in (0, 0, 1))
    assert one == two != three


WRAPPED: dict[str, Any] = {
    "plain": lambda state: state,
    "timm": lambda state: {"state_dict": state, "epoch": 3, "arch": ARCH, "args": argparse.Namespace(lr=0.1)},
    "torchvision": lambda state: {"model": state, "optimizer": {"state": {}}, "epoch": 3},
    "lightning": lambda state: {
        "state_dict": {f"model.{k}": v for k, v in state.items()} | {"loss.weight": torch.ones(4)}
    },
    "lightning, own name": lambda state: {"state_dict": {f"resnet.{k}": v for k, v in state.items()}, "epoch": 1},
    "wrapped twice": lambda state: {"model": {"state_dict": state, "n": 1}},
    "integer keys beside": lambda state: {0: torch.ones(1), **state},
    "parallel": lambda state: {f"module.{k}": v for k, v in state.items()},
    "compiled in parallel": lambda state: {"model_state_dict": {f"module._orig_mod.{k}": v for k, v in state.items()}},
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_checkpoints_people_have(tmp_path: Path, kind: str) -> None:
    module = trained()
    torch.save(WRAPPED[kind](module.state_dict()), tmp_path / "weights.pth")
    network = loaded(tmp_path / "weights.pth")
    assert network.digest == digest(module), "every tensor, and the head of four classes"
    assert not network.module.training


def test_averaged_weights_are_taken_where_there_are_any(tmp_path: Path) -> None:
    plain, averaged = trained(), timm.create_model(ARCH, num_classes=4)
    ema = {"n_averaged": torch.tensor(5)} | {f"module.{k}": v for k, v in averaged.state_dict().items()}
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


def test_a_checkpoint_that_names_its_architecture_needs_no_name(tmp_path: Path) -> None:
    module = trained()
    torch.save({"state_dict": module.state_dict(), "arch": ARCH, "class_names": list("abcd")}, tmp_path / "timm.pth")
    network = load_model(str(tmp_path / "timm.pth"))
    assert (network.name, network.classes[3], network.digest) == (f"timm/{ARCH}", "d", digest(module))
    torch.save(module.state_dict(), tmp_path / "plain.pth")
    with pytest.raises(CamxError, match="does not say which architecture"):
        load_model(str(tmp_path / "plain.pth"))


class Canary:
    """Its unpickling would run code."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("canary"),))


def write_pickle(path: Path, content: object) -> None:
    path.write_bytes(pickle.dumps(content))


def compressed(path: Path) -> None:
    torch.save(trained().state_dict(), path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, entry in entries.items():
            archive.writestr(name, entry)


def damaged(path: Path) -> None:
    torch.save(trained().state_dict(), path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8] = b"\xff" * 8
    path.write_bytes(data)


def truncated(path: Path) -> None:
    torch.save(trained().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-2000])


def changed(path: Path, change: Any) -> None:
    state = trained().state_dict()
    change(state)
    torch.save(state, path)


BROKEN: dict[str, tuple[Any, str]] = {
    "pickled code": (lambda p: torch.save({"state_dict": {}, "x": Canary()}, p), "would run code"),
    "pickled code, old format": (lambda p: write_pickle(p, Canary()), "would run code"),
    "pickled module": (lambda p: torch.save(trained(), p), "would run code"),
    "TorchScript": (lambda p: zipfile_with(p, "m/constants.pkl", "m/code/x.py"), "TorchScript"),
    "web page": (lambda p: p.write_bytes(b"<!DOCTYPE html><html>"), "web page"),
    "LFS pointer": (lambda p: p.write_bytes(b"version https://git-lfs.github.com/spec/v1"), "LFS pointer"),
    "empty": (lambda p: p.write_bytes(b""), "is empty"),
    "truncated": (truncated, "broken or cut short"),
    "compressed": (compressed, "compressed zip"),
    "bad checksum": (damaged, "bad checksum"),
    "not weights": (lambda p: torch.save([1, 2], p), "holds a list"),
    "no weights": (lambda p: torch.save({"epoch": 3}, p), "holds no weights"),
    "text": (lambda p: p.write_bytes(b"hello world"), "no torch file"),
    "missing": (lambda p: changed(p, lambda s: s.pop("conv1.0.weight", s.pop(next(iter(s))))), "misses"),
    "too many": (lambda p: changed(p, lambda s: s.update(spare=torch.ones(2))), "has spare too many"),
    "NaN": (lambda p: changed(p, lambda s: next(iter(s.values())).fill_(torch.nan)), "NaN or infinite"),
    "shape": (lambda p: changed(p, lambda s: s.update({next(iter(s)): torch.ones(1, 2, 3)})), "does not fit"),
    "other network": (
        lambda p: torch.save(timm.create_model("test_vit").state_dict(), p),
        "another architecture|misses",
    ),
}


def zipfile_with(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", BROKEN)
def test_broken_checkpoints_each_have_their_sentence(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write, message = BROKEN[kind]
    write(tmp_path / "weights.pth")
    with pytest.raises(CamxError, match=message):
        loaded(tmp_path / "weights.pth")
    assert not (tmp_path / "canary").exists(), "nothing in a checkpoint is ever run"


def test_the_key_and_the_prefix_are_told(tmp_path: Path) -> None:
    torch.save({"state_dict": {f"module.{k}": v for k, v in trained().state_dict().items()}}, tmp_path / "w.pth")
    assert loaded(tmp_path / "w.pth").weights == f"{tmp_path / 'w.pth'} [state_dict, without module.]"


def test_names_win_over_folders_that_are_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ARCH).mkdir()
    assert load_model(ModelSpec(ARCH, pretrained=False)).name == f"timm/{ARCH}"


def test_metadata_that_is_no_json(tmp_path: Path) -> None:
    save_file(trained().state_dict(), tmp_path / "x.safetensors", {"camx": "{bad"})
    with pytest.raises(CamxError, match="broken metadata"):
        loaded(tmp_path / "x.safetensors")


def test_a_broken_safetensors_header(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes((1 << 40).to_bytes(8, "little") + b"{}")
    with pytest.raises(CamxError, match="is broken"):
        loaded(tmp_path / "x.safetensors")


def test_options_over_the_data_configuration() -> None:
    options = PreprocessingOptions(
        image_size=96, mean=(0.5,), std=(0.1, 0.2, 0.3), crop_pct=0.5, crop_mode="border", interpolation="nearest"
    )
    found = load_model(ModelSpec(ARCH, pretrained=False, preprocessing=options)).preprocessing
    assert (found.input_size, found.resize, found.crop_mode) == ((96, 96), (192, 192), "border")
    assert (found.mean, found.std, found.interpolation) == ((0.5,) * 3, (0.1, 0.2, 0.3), "nearest")
    with pytest.raises(CamxError, match="--crop-mode 'middle'"):
        load_model(ModelSpec(ARCH, pretrained=False, preprocessing=PreprocessingOptions(crop_mode="middle")))


@pytest.mark.parametrize("name", ["test_vit", "torchvision/vit_b_16"])
def test_a_fixed_input_size_is_built_anew(name: str) -> None:
    network = load_model(ModelSpec(name, pretrained=False, preprocessing=PreprocessingOptions(image_size=64)))
    assert network.module(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)


def test_grey_pictures() -> None:
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
        ("1000", "no class 1000: the model has 1000"),
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
    with pytest.raises(CamxError, match="not on this machine.*--checkpoint FILE.*--no-pretrained"):
        load_model("resnet18")
    assert time.monotonic() - began < hub.TIMEOUT + 2


def test_a_silent_hub_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(hub, "TIMEOUT", 0.3)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with pytest.raises(CamxError, match="no answer|cannot be reached"):
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


def test_two_networks_in_one_file_are_not_guessed_at(tmp_path: Path) -> None:
    one, two = trained(), timm.create_model(ARCH, num_classes=4)
    both = {f"student.{k}": v for k, v in one.state_dict().items()}
    both |= {f"teacher.{k}": v for k, v in two.state_dict().items()}
    torch.save({"state_dict": both}, tmp_path / "w.pth")
    with pytest.raises(CamxError, match=r"holds several networks \('student.', 'teacher.'\)"):
        loaded(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ModelSpec("demo", checkpoint="w.pth"), "brings its own weights"),
        (ModelSpec("demo", pretrained=False), "is weights itself"),
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
