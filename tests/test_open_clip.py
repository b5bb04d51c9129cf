"""Networks of open_clip as classifiers of named classes: the library's own scores and pixels, in every command."""

from __future__ import annotations

import csv
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cam_cli import Explainer, ExplainOptions
from cam_cli.errors import CamxError
from cam_cli.models.catalog import load_model
from cam_cli.models.options import ModelSpec, PreprocessingOptions

open_clip = pytest.importorskip("open_clip")
pytest.importorskip("transformers")
pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]

from tools.tiny_clip import COLOURS, PROMPT, scenes

from .conftest import picture
from .open_clip_networks import FAMILIES, SIDE, VIT, described, own_probabilities, saved

Camx = Callable[..., int]
ON_CPU = ("--device", "cpu", "--no-report")
TEMPLATES = (PROMPT, "a {}")


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ViT of open_clip with a class token."""
    return saved(tmp_path_factory.mktemp("hub") / "small-clip", FAMILIES["class token"][0])


def spec(folder: Path, names: Path, **more: object) -> ModelSpec:
    return ModelSpec(f"hf:{folder}", class_names=str(names), prompts=TEMPLATES, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("family", FAMILIES)
def test_probabilities_are_those_of_open_clip_and_the_layer_is_alive(family: str, names: Path, tmp_path: Path) -> None:
    """With two prompts, on images of several shapes."""
    config, layer = FAMILIES[family]
    folder = saved(tmp_path / "network", config)
    explainer = Explainer(load_model(spec(folder, names)), ExplainOptions(methods=("hirescam",), top_k=6, device="cpu"))
    images = [picture(*size, seed=seed) for seed, size in enumerate([(150, 90), (70, 210), (40, 40)])]
    wanted = own_probabilities(folder, images, TEMPLATES)
    assert wanted.std(0).max() > 1e-3, "the images have the same scores"
    for found, own in zip(explainer(images), wanted):
        scores = {one.name: one.probability for one in found.ranking}
        assert scores == pytest.approx(dict(zip(COLOURS, own.tolist())), abs=1e-4)
        assert np.ptp(np.array(found.maps[0].values)) > 0
        assert min(np.array(found.maps[0].values).shape) > 1
    assert explainer.layer.name.startswith(layer)
    one_each = "init_logit_bias" in config
    assert bool((wanted.sum(1) - 1).abs().max() < 1e-4) is not one_each


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "random"])
@pytest.mark.parametrize("size", [64, (48, 80)])
def test_pixels_are_those_of_its_own_transform(
    mode: str, interpolation: str, size: int | tuple[int, int], names: Path, tmp_path: Path
) -> None:
    said = {"mean": [0.1, 0.2, 0.3], "std": 0.4, "interpolation": interpolation, "resize_mode": mode, "fill_color": 9}
    folder = saved(tmp_path / "network", described({**VIT, "layers": 1, "image_size": size}), said)
    network = load_model(spec(folder, names))
    _, own = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    mean, std = (np.array(values) for values in (network.preprocessing.mean, network.preprocessing.std))
    assert std.tolist() == [0.4] * 3
    rng = np.random.default_rng(3)
    for width, height in [(200, 131), (63, 97), (33, 250), (64, 64), (40, 20), (81, 64)]:
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        for one in (image, image.convert("L")):
            pixels = network.preprocessing.apply(one.convert("RGB"))[0]
            wanted = np.moveaxis(own(one).double().numpy(), 0, -1) * std + mean
            assert np.abs(pixels - wanted * 255).max() < 1e-3


def test_the_vocabulary_inside_open_clip_needs_no_tokenizer(names: Path, tmp_path: Path) -> None:
    text = {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    folder = saved(tmp_path / "network", described(VIT, text_cfg=text))
    for file in folder.glob("*token*"):
        file.unlink()
    network = load_model(spec(folder, names))
    images = [picture(90, 90, seed=seed) for seed in range(2)]
    found = Explainer(network, ExplainOptions(top_k=6, device="cpu"))(images)
    for one, own in zip(found, own_probabilities(folder, images, TEMPLATES)):
        scores = {entry.name: entry.probability for entry in one.ranking}
        assert scores == pytest.approx(dict(zip(COLOURS, own.tolist())), abs=1e-4)
    long = "a photo of a very long and winding name {}"
    with pytest.raises(CamxError, match=r"prompt 'a photo of a very .* red' has 12 tokens|13 tokens"):
        load_model(ModelSpec(f"hf:{folder}", class_names=str(names), prompts=(long + " indeed",)))


def test_a_prompt_that_is_too_long_is_named(vit: Path, names: Path, caplog: pytest.LogCaptureFixture) -> None:
    """open_clip itself would cut off the rest, and with it the class. transformers warns of it in words of its own."""
    logging.getLogger("transformers").addHandler(caplog.handler)
    fits = " ".join(["a"] * 13) + " {}"
    load_model(ModelSpec(f"hf:{vit}", class_names=str(names), prompts=(fits,)))
    with pytest.raises(CamxError, match=r"The prompt 'a a .* a red' has 17 tokens, and the network reads 16 tokens\."):
        load_model(ModelSpec(f"hf:{vit}", class_names=str(names), prompts=(PROMPT, f"a {fits}")))
    logging.getLogger("transformers").removeHandler(caplog.handler)
    assert [record.getMessage() for record in caplog.records if record.name.startswith("transformers")] == []


def test_texts_are_dropped_and_replicas_share_the_rest(vit: Path, names: Path) -> None:
    network = load_model(spec(vit, names))
    assert {name.partition(".")[0] for name in network.module.state_dict()} == {"visual", "logit_scale", "class_texts"}
    twin = network.replica()
    assert twin.module.class_texts.data_ptr() == network.module.class_texts.data_ptr()  # type: ignore[union-attr]
    name = "visual.transformer.resblocks.1.ln_1"
    assert twin.module.get_submodule(name) is twin.module.__dict__["_network"].get_submodule(name)
    image = torch.randn(2, 3, SIDE, SIDE)
    assert torch.equal(network.module(image), twin.module(image))


def test_the_gradient_is_that_of_the_score_over_the_mean_of_all(vit: Path, names: Path) -> None:
    network = load_model(spec(vit, names)).module
    image = torch.randn(1, 3, SIDE, SIDE, requires_grad=True)
    scores, plain = network(image), network.plain(image)  # type: ignore[operator]
    assert torch.allclose(scores, plain, atol=1e-4)
    (found,) = torch.autograd.grad(scores[0, 2], image, retain_graph=True)
    (wanted,) = torch.autograd.grad(plain[0, 2] - plain[0].mean(), image)
    assert torch.allclose(found, wanted, atol=1e-5)


def test_explain_takes_hirescam_and_records_prompts(vit: Path, names: Path, images: Path, camx: Camx) -> None:
    given = ("--model", f"hf:{vit}", "--class-names", names, "--prompts", PROMPT, *ON_CPU)
    assert camx("explain", images, *given, "-o", "out") == 0
    rows = list(csv.DictReader(Path("out/predictions.csv").read_text().splitlines()))
    assert {row["method"] for row in rows} == {"hirescam"}
    assert [row["status"] for row in rows].count("ok") > 3  # nothing speaks for some classes of random weights
    assert {row["layer"] for row in rows} == {"visual.transformer.resblocks.1.ln_1"}
    assert {row["top1_name"] for row in rows} <= set(COLOURS)
    record = json.loads(Path("out/run.json").read_text())
    assert (record["plan"]["model"], record["plan"]["weights"]) == ("hf:small-clip", str(vit))
    assert record["plan"]["input_origins"]["mean"] == "its open_clip_config.json"
    assert record["fingerprint"]["model_args"] == {"prompts": [PROMPT]}
    assert camx("explain", images, *given, "-o", "out") == 0
    assert json.loads(Path("out/run.json").read_text())["skipped"] == 7
    other = ("--model", f"hf:{vit}", "--class-names", names, "--prompts", "a {}", *ON_CPU)
    assert camx("explain", images, *other, "-o", "out") == 2


def test_other_commands_take_it(
    vit: Path, names: Path, images: Path, camx: Camx, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder is enough where nothing but open_clip wrote it. Layers and methods need no names."""
    for model in (f"hf:{vit}", vit):
        assert camx("layers", model) == 0
        assert "→ visual.transformer.resblocks.1.ln_1" in capsys.readouterr().out
    assert camx("methods", vit) == 0
    assert "hirescam" in capsys.readouterr().out
    given = ("--model", vit, "--class-names", names, "--prompts", PROMPT, "--device", "cpu")
    for shard in ("1/2", "2/2"):
        assert camx("explain", images, *given, "--no-report", "-o", "parts", "--shard", shard) == 0
    assert camx("merge", "parts") == 0
    assert len(Path("parts/predictions.csv").read_text().splitlines()) == 8
    assert camx("activations", images, "--model", vit, "--device", "cpu", "-o", "maps") == 0
    assert camx("evaluate", images, *given, "--methods", "hirescam,gradcam", "-o", "scores", "--limit", "2") == 0
    capsys.readouterr()
    assert camx("train-gap", images, "--model", vit, "-o", "gap") == 2
    assert "compares images with texts. `train-gap` cannot replace its head" in capsys.readouterr().err
    assert camx("caption", images, "--model", f"hf:{vit}", "-o", "words") == 2
    assert "a network of open_clip, which compares images with texts and writes none" in capsys.readouterr().err


@pytest.mark.long
def test_two_devices_give_the_rows_of_one(vit: Path, names: Path, images: Path, camx: Camx) -> None:
    given = ("--model", f"hf:{vit}", "--class-names", names, "--prompts", PROMPT, "--no-report")
    assert camx("explain", images, *given, "--device", "cpu", "-o", "one") == 0
    assert camx("explain", images, *given, "--device", "cpu,cpu", "-o", "two") == 0
    one, two = (list(csv.DictReader(Path(out, "predictions.csv").read_text().splitlines())) for out in ("one", "two"))
    for name in ("image", "status", "top1_name", "layer", "method"):
        assert [row[name] for row in one] == [row[name] for row in two]
    for name in ("top1_prob", "cam_peak"):
        numbers = [[float(row[name] or 0) for row in rows] for rows in (one, two)]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-3, abs=1e-6)


def test_another_input_size(vit: Path, names: Path, tmp_path: Path) -> None:
    """A network of convolutions takes it, one with learnt positions does not."""
    large = PreprocessingOptions(image_size=128)
    with pytest.raises(CamxError, match="cannot run on images of 128×128 pixels: .* Leave `image_size` out"):
        load_model(spec(vit, names, preprocessing=large))
    folder = saved(tmp_path / "network", FAMILIES["ConvNeXt of timm"][0])
    assert load_model(spec(folder, names, preprocessing=large)).preprocessing.input_size == (128, 128)


def test_random_weights_for_trials(vit: Path, names: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    for file in vit.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / "bare" / file.name).write_bytes(file.read_bytes())
    network = load_model(spec(tmp_path / "bare", names, pretrained=False, seed=3))
    assert network.weights == "random, seed 3"
    assert network.digest == load_model(spec(tmp_path / "bare", names, pretrained=False, seed=3)).digest


@pytest.mark.long
def test_the_process_is_left_as_it_was(vit: Path, names: Path) -> None:
    """In a process of its own, in which open_clip is imported for the first time."""
    code = (
        "import logging, os, sys\n"
        "from cam_cli.models.catalog import load_model\n"
        "from cam_cli.models.options import ModelSpec\n"
        f"load_model(ModelSpec('hf:{vit}', class_names={str(names)!r}))\n"
        "root = logging.getLogger()\n"
        "print('open_clip' in sys.modules, root.handlers, root.filters, os.environ.get('TOKENIZERS_PARALLELISM'))\n"
    )
    place = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    place.pop("TOKENIZERS_PARALLELISM", None)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=place, check=False)
    assert done.returncode == 0, done.stderr
    assert (done.stdout.strip(), done.stderr) == ("True [] [] None", "")


def test_what_others_log_is_theirs(vit: Path, names: Path, caplog: pytest.LogCaptureFixture) -> None:
    load_model(spec(vit, names))
    assert caplog.records == []
    logging.warning("of another")
    assert [record.getMessage() for record in caplog.records] == ["of another"]


def test_maps_differ_between_classes(vit: Path, names: Path) -> None:
    options = ExplainOptions(methods=("hirescam",), targets=("top:2",), device="cpu")
    explainer = Explainer(load_model(spec(vit, names)), options)
    (found,) = explainer([Image.fromarray(scenes(1, 5)[0][0])])
    first, second = (np.array(one.values) for one in found.maps)
    assert not np.allclose(first, second)
