"""`--model my_module.py:build`: the user's own network in every command, and never by accident."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from cam_cli.errors import CamxError
from cam_cli.models.catalog import load_model
from cam_cli.models.options import ModelSpec, PreprocessingOptions
from cam_cli.models.own_code import OwnCode
from cam_cli.models.placing import placed

PAGE = (Path(__file__).parents[1] / "docs" / "own-network.md").read_text("utf-8")
EXAMPLE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
COMMAND = re.findall(r"```bash\ncamx explain sample_images (.*?)\n```", PAGE)[0].split()
INPUT = PreprocessingOptions(image_size=64, mean=(0.5,), std=(0.5,))

Camx = Callable[..., int]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the module of the example and four images in two classes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_module.py").write_text(EXAMPLE)
    for index, colour in enumerate(("red", "orange", "blue", "navy")):
        folder = tmp_path / "photos" / ("warm" if index < 2 else "cold")
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (70, 60), colour).save(folder / f"{index}.png")
    return tmp_path


def test_the_example_of_the_page(here: Path, camx: Camx) -> None:
    assert len(EXAMPLE.strip().splitlines()) <= 10
    assert camx("explain", "photos", *COMMAND, "--device", "cpu", "--no-report", "-o", "out") == 0
    rows = list(csv.DictReader((here / "out" / "predictions.csv").read_text().splitlines()))
    assert [row["status"] for row in rows].count("failed") == 0
    record = json.loads((here / "out" / "run.json").read_text())
    assert record["plan"]["model"] == "my_module.py:build"
    assert record["plan"]["input_origins"]["mean"] == "flag"
    assert record["fingerprint"]["model_args"] == {"width": 16}


def test_every_command_takes_it(here: Path, camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    common = [*COMMAND, "--device", "cpu"]
    assert camx("layers", "my_module.py:build", "--image-size", "64") == 0
    assert "→" in capsys.readouterr().out
    assert camx("activations", "photos", *common, "-o", "maps") == 0
    for shard in ("1/2", "2/2"):
        assert camx("explain", "photos", *common, "-o", "parts", "--shard", shard) == 0
    assert len((here / "parts" / "predictions.csv").read_text().splitlines()) == 5
    train = ["train-gap", "photos", *COMMAND, "--val-fraction", "0.5", "--epochs", "1", "--device", "cpu", "-o", "gap"]
    assert camx(*train) == 0
    assert camx("explain", "photos", "-m", "gap", "-o", "x") == 2
    assert "camx never runs from a checkpoint" in capsys.readouterr().err
    model = ["-m", "my_module.py:build", "--model-arg", "width=16", "--checkpoint", "gap", "--method", "cam"]
    assert camx("explain", "photos", *model, "--device", "cpu", "--no-report", "-o", "out") == 0


@pytest.mark.slow
def test_several_devices_take_it(here: Path, camx: Camx) -> None:
    words = ("photos", *COMMAND, "--no-report", "--workers", "1")
    assert camx("explain", *words, "--device", "cpu", "-o", "one") == 0
    assert camx("explain", *words, "--device", "cpu,cpu", "-o", "two") == 0
    tables = [(here / out / "predictions.csv").read_text().replace(f"{out}/", "") for out in ("one", "two")]
    assert tables[0] == tables[1]
    assert json.loads((here / "two" / "run.json").read_text())["plan"]["device"] == "cpu, cpu"


@pytest.mark.extras
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning")
@pytest.mark.extras
def test_a_cluster_takes_it(here: Path, camx: Camx) -> None:
    """Its processes may work in other folders: every path of the model becomes absolute."""
    pytest.importorskip("ray")
    (here / "sub").mkdir()
    (here / "my_module.py").rename(here / "sub" / "my_module.py")
    (here / "names.txt").write_text("warm\ncold\n")
    torch.save(load_model(ModelSpec("sub/my_module.py:build", preprocessing=INPUT)).module.state_dict(), "w.pth")
    words = (
        *("photos", "--model", "sub/my_module.py:build", "--image-size", 64, "--mean", 0.5, "--std", 0.5),
        *("--checkpoint", "w.pth", "--class-names", "names.txt", "--device", "cpu", "--no-report", "--workers", 1),
    )
    assert camx("explain", *words, "-o", "one") == 0
    assert camx("explain", *words, "-o", "ray", "--engine", "ray") == 0
    assert (here / "ray" / "predictions.csv").read_text() == (here / "one" / "predictions.csv").read_text()
    assert camx("explain", *words, "-o", "ray") == 0, "the folder of a cluster goes on here"


def test_paths_of_a_model_for_other_folders(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({}, here / "w.pth")
    (here / "names.txt").write_text("a\nb\n")
    spec = placed(ModelSpec("my_module.py:build", checkpoint="w.pth", class_names="names.txt"))
    assert (spec.name, spec.checkpoint, spec.class_names) == (
        f"{here}/my_module.py:build", f"{here}/w.pth", f"{here}/names.txt"
    )  # fmt: skip
    assert placed(ModelSpec("w.pth")).name == f"{here}/w.pth"
    for name in ("resnet18", "demo", "timm/resnet18", "memory://a/w.pth", "pkg.nets:ready"):
        same = ModelSpec(name, checkpoint="s3://b/w.pth", class_names="folder")
        assert placed(same) == same


def test_the_folder_of_the_code_does_not_matter(here: Path) -> None:
    (here / "sub").mkdir()
    (here / "sub" / "my_module.py").write_text(EXAMPLE)
    one, other = (load_model(ModelSpec(f"{f}my_module.py:build", preprocessing=INPUT)) for f in ("", "sub/"))
    assert (one.name, one.digest) == (other.name, other.digest)


def test_a_checkpoint_and_its_names(here: Path) -> None:
    fresh = load_model(ModelSpec("my_module.py:build", preprocessing=INPUT, seed=5))
    content = {"state_dict": {f"net.{n}": t for n, t in fresh.module.state_dict().items()}, "classes": ["cold", "warm"]}
    torch.save(content, here / "w.ckpt")
    network = load_model(ModelSpec("my_module.py:build", checkpoint=str(here / "w.ckpt"), preprocessing=INPUT))
    assert network.digest == fresh.digest
    assert network.classes.names == ("cold", "warm")
    content["state_dict"]["other.weight"] = torch.rand(2, 2)
    torch.save(content, here / "w.ckpt")
    with pytest.raises(CamxError, match=r"other\.\* .*would be left over"):
        load_model(ModelSpec("my_module.py:build", checkpoint=str(here / "w.ckpt"), preprocessing=INPUT))


def test_a_file_with_all_settings_of_its_network(here: Path) -> None:
    (here / "pkg").mkdir()
    (here / "pkg" / "nets.py").write_text(
        "from cam_cli import Network\nfrom my_module import build\n"
        "def ready():\n    return Network.of(build(), image_size=48, mean=(0.1,)*3, std=(0.2,)*3, class_names=('a', 'b'))\n"
        "def resnet():\n    import timm\n    return timm.create_model('test_resnet', num_classes=3)\n"
    )
    network = load_model("pkg.nets:ready")
    assert (network.preprocessing.input_size, network.classes.names) == ((48, 48), ("a", "b"))
    assert network.origins["mean"] == "pkg.nets:ready"
    assert load_model("pkg.nets:resnet").preprocessing.input_size == (160, 160)


def test_results_depend_on_the_code(here: Path) -> None:
    first = load_model(ModelSpec("my_module.py:build", preprocessing=INPUT)).digest
    (here / "my_module.py").write_text(EXAMPLE + "# changed\n")
    assert load_model(ModelSpec("my_module.py:build", preprocessing=INPUT)).digest != first


@pytest.mark.slow
def test_warnings_of_torch_stay_off_the_terminal(tmp_path: Path) -> None:
    """The softmax below makes torch warn about its dimension."""
    (tmp_path / "noisy.py").write_text(
        "from torch import nn\ndef build():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softmax(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))\n"
    )
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r}); from cli.main import main; main()"
    words = ("layers", "noisy.py:build", "--image-size", "32")
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


MISTAKES = {
    "no file": ("none.py:build", "", "there is no file 'none.py'"),
    "no module": ("no_package.here:build", "", "there is no module 'no_package'"),
    "no function": ("m.py:bild", "def build(): ...", "has no function 'bild'. Did you mean build"),
    "no network": ("m.py:build", "def build(): return 3", "returns a int. It must return a torch.nn.Module"),
    "an error": ("m.py:build", "def build():\n    raise ValueError('bad')", r"raises ValueError: bad in m.py, line 2"),
    "an error of the import": ("m.py:build", "import math\n1 / 0", "ZeroDivisionError: division by zero in m.py, line 2"),
    "no Python": ("m.py:build", "def build(:", "SyntaxError: .* in m.py, line 1"),
    "leaves": ("m.py:build", "raise SystemExit(3)", "SystemExit: 3"),
    "arguments": ("m.py:build", "def build(a): ...", "TypeError: .*missing 1 required"),
    "nothing said": ("m.py:build", "from torch import nn\ndef build(): return nn.Linear(2, 2)", "`image_size`, `mean`, `std`"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MISTAKES)
def test_mistakes_end_in_a_sentence(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name, source, message = MISTAKES[kind]
    (tmp_path / "m.py").write_text(source)
    with pytest.raises(CamxError, match=message):
        load_model(name)


def test_a_network_that_cannot_run_on_its_input(here: Path) -> None:
    source = "from torch import nn\ndef build(): return nn.Sequential(nn.Flatten(), nn.Linear(7, 2))"
    (here / "flat.py").write_text(source)
    with pytest.raises(CamxError, match="cannot run on an image of 1×3×64×64"):
        load_model(ModelSpec("flat.py:build", preprocessing=INPUT))


@pytest.mark.parametrize(
    "name", ["hf-hub:owner/repo", "timm:resnet50", "https://x.org/a.py:80", "resnet50", "C:\\w.pth"]
)
def test_names_that_are_no_code(name: str) -> None:
    assert OwnCode.parse(name) is None
