"""`--model hf:…`: image classifiers of the transformers library, with its own probabilities, in every command."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from cam_cli.errors import CamxError
from cam_cli.images.geometry import Preprocessing
from cam_cli.models.catalog import load_model
from cam_cli.models.options import ModelSpec, PreprocessingOptions
from cam_cli.models.placing import placed

transformers = pytest.importorskip("transformers")
pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]

from benchmarks.hub.families import LABELS, saved
from benchmarks.hub_census import examine

Camx = Callable[..., int]
ON_CPU = ("--device", "cpu", "--no-report")


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ViT with its processor."""
    return saved(transformers, "vit", "ViTForImageClassification", tmp_path_factory.mktemp("hub") / "small-vit")


@pytest.mark.parametrize(
    ("kind", "name", "layer"),
    [
        pytest.param("beit", "BeitForImageClassification", "beit.layers.2", marks=pytest.mark.slow),
        pytest.param("convnext", "ConvNextForImageClassification", "convnext.encoder.stages.3", marks=pytest.mark.slow),
        pytest.param("dinov2", "Dinov2ForImageClassification", "dinov2.layernorm", marks=pytest.mark.slow),
        ("hiera", "HieraForImageClassification", "hiera.encoder.stages.3.layers.0"),
        ("mobilevit", "MobileViTForImageClassification", ""),
        ("resnet", "ResNetForImageClassification", "resnet.encoder.stages.3"),
        ("vit", "ViTForImageClassification", "vit.layers.2.layernorm_before"),
    ],
)
def test_probabilities_are_those_of_the_library(kind: str, name: str, layer: str, tmp_path: Path) -> None:
    """Seven families: tokens and maps, two crops, swapped red and blue (MobileViT), a map beside the pooled features as
    output (Hiera)."""
    row = examine(kind, name, tmp_path)
    # With random weights, MobileViT changes all positions of a 4×4 map equally, so that its place is not proven.
    assert row.verdict == "right" + ", its place is not proven" * (kind == "mobilevit")
    assert row.difference <= 1e-4
    assert row.layer.startswith(layer)
    assert min(row.grid) > 1


def test_explain_names_classes_and_records_the_network(vit: Path, images: Path, camx: Camx) -> None:
    assert camx("explain", images, "--model", f"hf:{vit}", *ON_CPU, "-o", "out") == 0
    rows = list(csv.DictReader(Path("out/predictions.csv").read_text().splitlines()))
    assert len(rows) == 7
    assert {row["status"] for row in rows} == {"ok"}
    assert {row["top1_name"] for row in rows} <= set(LABELS.values())
    plan = json.loads(Path("out/run.json").read_text())["plan"]
    assert (plan["model"], plan["weights"]) == ("hf:small-vit", str(vit))
    assert plan["input_origins"]["mean"] == "its image processor"


def test_other_commands_take_it(vit: Path, images: Path, camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    """Layers, feature maps, a head behind its last map, shards; a folder is enough if config.json has the rest."""
    assert camx("layers", f"hf:{vit}") == 0
    assert "→ vit.layers.2.layernorm_before" in capsys.readouterr().out
    assert camx("activations", images, "--model", vit, "--device", "cpu", "-o", "maps") == 0
    for shard in ("1/2", "2/2"):
        assert camx("explain", images, "--model", vit, *ON_CPU, "-o", "parts", "--shard", shard) == 0
    assert camx("merge", "parts") == 0
    assert len(Path("parts/predictions.csv").read_text().splitlines()) == 8


def test_weights_of_half_precision_are_read_as_float32_and_no_value_changes(vit: Path, tmp_path: Path) -> None:
    halves = tmp_path / "halves"
    halves.mkdir()
    for file in vit.iterdir():
        (halves / file.name).write_bytes(file.read_bytes())
    stored = {name: tensor.half() for name, tensor in load_file(vit / "model.safetensors").items()}
    save_file(stored, halves / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((vit / "config.json").read_text())
    (halves / "config.json").write_text(json.dumps({**config, "dtype": "float16"}))
    found, whole = (load_model(ModelSpec(f"hf:{folder}")).module.state_dict() for folder in (halves, vit))
    assert found.keys() == whole.keys()
    for name, tensor in found.items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, whole[name].half().float()), name


def test_layers_of_random_weights_need_no_weights_file(
    vit: Path, camx: Camx, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """--no-pretrained is for a folder of the library, too."""
    assert camx("layers", f"hf:{vit}", "--no-pretrained") == 0
    assert "→ vit.layers.2.layernorm_before" in capsys.readouterr().out


def test_a_head_of_its_own_needs_nothing_but_its_file(vit: Path, images: Path, camx: Camx, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in vit.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    learn = ("--epochs", "1", "--val-fraction", "0.3", "--device", "cpu")
    assert camx("train-gap", images, "--model", f"hf:{copy}", *learn, "-o", "gap") == 0
    for file in copy.iterdir():
        file.unlink()
    assert camx("explain", images, "--model", "gap", "--method", "cam", *ON_CPU, "-o", "out") == 0


def test_a_revision_of_the_hub_comes_from_the_cache(vit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cam_cli.models import hub

    commit = "c" * 40
    repository = tmp_path / "models--owner--small"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for file in vit.iterdir():
        (snapshot / file.name).write_bytes(file.read_bytes())
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "require_reachable", lambda *_: pytest.fail("asked the hub"))
    network = load_model("hf:owner/small")
    assert (network.name, network.weights) == ("hf:owner/small", f"hf:owner/small at revision {commit}")
    assert load_model(f"hf:owner/small@{commit}").digest == network.digest
    monkeypatch.undo()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CamxError, match="HF_HUB_OFFLINE forbids"):
        load_model("hf:owner/small")


def test_several_labels_have_a_probability_each(tmp_path: Path) -> None:
    folder = saved(
        transformers, "vit", "ViTForImageClassification", tmp_path, problem_type="multi_label_classification"
    )
    network = load_model(str(folder))
    with torch.no_grad():
        scores = network.module(torch.randn(2, 3, 64, 64))
    assert scores.min() > 0
    assert scores.max() < 1
    assert not torch.allclose(scores.sum(1), torch.ones(2))


def test_a_replica_and_the_original_have_hooks_of_their_own(vit: Path) -> None:
    network = load_model(f"hf:{vit}")
    twin = network.replica()
    name = "vit.layers.2.layernorm_before"
    own, other = (one.module.get_submodule(name) for one in (network, twin))
    assert own is not other
    assert own.weight.data_ptr() == other.weight.data_ptr()
    assert other is twin.module.__dict__["_network"].get_submodule(name)
    picture = torch.randn(1, 3, 64, 64)
    assert torch.equal(network.module(picture), twin.module(picture))


def edited(vit: Path, folder: Path, **changes: object) -> Path:
    """A copy of the network with another config.json; None removes a value."""
    for file in vit.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = {**json.loads((folder / "config.json").read_text()), **changes}
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architectures": ["ViTModel"]}, "a ViTModel, no image classifier"),
        ({"architectures": ["Mine"], "auto_map": {"AutoModel": "code.Mine"}}, "a Mine, no image classifier"),
        ({"architectures": None}, "of the kind 'vit', no image classifier"),
        ({"problem_type": "regression"}, "is a regression"),
        ({"quantization_config": {"quant_method": "gptq"}}, "has quantised weights"),
        ({"num_hidden_layers": 10**6}, "has num_hidden_layers 1,000,000"),
        ({"hidden_size": 8192, "intermediate_size": 8192}, "describes .* weights, but its files hold"),
        ({"num_hidden_layers": 4}, "lack 'vit.layers.3.*they are not those of a ViTForImageClassification"),
        ({"num_hidden_layers": 2}, "no place for, 'vit.layers.2"),
        ({"intermediate_size": 40}, "have another shape of"),
        ({"id2label": dict(enumerate("abcdefg", 1))}, "does not number the classes from 0"),
        ({"hidden_act": "no such function"}, "cannot be"),
    ],
)
def test_what_is_no_classifier_is_refused(vit: Path, tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(CamxError, match=message):
        load_model(f"hf:{edited(vit, tmp_path, **changes)}")


def test_files_that_are_missing_or_of_another_format(vit: Path, tmp_path: Path) -> None:
    folder = edited(vit, tmp_path)
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    weights.unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    with pytest.raises(CamxError, match="no weights as safetensors .* reads no other format"):
        load_model(f"hf:{folder}")
    save_file({**tensors, "vit.extra": torch.zeros(2)}, weights)
    with pytest.raises(CamxError, match="no place for, 'vit.extra'"):
        load_model(f"hf:{folder}")
    assert load_model(ModelSpec(f"hf:{folder}", ignore_tensors=("vit.ex*",))).idle_tensors == ("vit.extra",)
    save_file({**tensors, "classifier.bias": torch.full((7,), torch.nan)}, weights)
    with pytest.raises(CamxError, match="NaN or infinite values in 'classifier.bias'"):
        load_model(f"hf:{folder}")
    with pytest.raises(CamxError, match="there is no folder"):
        load_model(f"hf:{tmp_path / 'nowhere'}")
    with pytest.raises(CamxError, match="Leave `checkpoint` out"):
        load_model(ModelSpec(f"hf:{folder}", checkpoint="w.pth"))


def test_a_processor_that_nothing_equals_is_refused_by_name(vit: Path, tmp_path: Path) -> None:
    folder = edited(vit, tmp_path)
    path = folder / "preprocessor_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "do_resize": False}))
    with pytest.raises(CamxError, match="a ViTImageProcessorPil, gives images of other sizes the shapes"):
        load_model(f"hf:{folder}")
    path.unlink()
    with pytest.raises(CamxError, match="no preprocessor_config.json with `image_size`, `mean`, `std`"):
        load_model(f"hf:{folder}")
    given = PreprocessingOptions(image_size=64, mean=(0.5,), std=(0.5,))
    assert load_model(ModelSpec(f"hf:{folder}", preprocessing=given)).preprocessing.mean == (0.5, 0.5, 0.5)


def test_a_crop_that_leaves_an_odd_number_of_pixels_out() -> None:
    """torchvision rounds half of seven to four, the processors of transformers round it down to three."""
    pixels = np.arange(17, dtype=np.uint8)[None, :, None].repeat(10, 0).repeat(3, 2)
    even = Preprocessing((10, 10), (10, 10), "center", "nearest", (0.0,) * 3, (1.0,) * 3)
    down = Preprocessing(*[getattr(even, name) for name in even.as_dict()], centring="down")
    starts = [int(one.apply(Image.fromarray(pixels))[0][0, 0, 0]) for one in (even, down)]
    assert starts == [4, 3]
    assert [one.apply(Image.fromarray(pixels))[1].left for one in (even, down)] == [4, 3]
    assert "centring" not in even.as_dict()
    assert down.as_dict()["centring"] == "down"


def test_other_processes_find_it(vit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(vit.parent)
    assert placed(ModelSpec("hf:small-vit")).name == f"hf:{vit}"
    assert placed(ModelSpec("hf:owner/name@v1")).name == "hf:owner/name@v1"


def test_without_the_library_the_extra_is_named(vit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(CamxError, match=r"not installed. Install it with `pip install 'camx\[text\]'`"):
        load_model(f"hf:{vit}")
