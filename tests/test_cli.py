"""The command line as a table: argv → engine call; help without torch; configuration and its precedence."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from cam_cli.cams.engine.options import ExplainOptions
from cam_cli.cams.engine.targets import Target
from cam_cli.cams.methods.names import METHOD_NAMES
from cam_cli.images.listing import Filters
from cam_cli.images.shard import Shard
from cam_cli.maps.colormaps import COLORMAPS
from cam_cli.models.options import ModelSpec, PreprocessingOptions
from cam_cli.outputs.options import FORMATS, Rendering
from cam_cli.outputs.savers import SAVERS
from cam_cli.pipeline import ExplainJob
from cli.bind import flags_of
from cli.main import COMMANDS, run
from cli.names import Names

from .conftest import TINY

Camx = Callable[..., int]
ROOT = Path(__file__).parents[1]


class Captured(Exception):
    pass


@pytest.fixture
def job(camx: Camx, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ExplainJob]:
    """The job that `camx explain …` hands to the engine."""

    def call(*argv: object) -> ExplainJob:
        jobs: list[ExplainJob] = []

        def capture(given: ExplainJob, *_: Any) -> None:
            jobs.append(given)
            raise Captured

        monkeypatch.setattr("cam_cli.distributed.run", capture)
        with pytest.raises(Captured):
            camx("explain", "pictures", *argv)
        return jobs[0]

    return call


R50 = ModelSpec("resnet50")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("-m resnet50", {}),
        ("-m a --checkpoint w.pth --no-ema", {"model": ModelSpec("a", checkpoint="w.pth", ema=False)}),
        (
            "-m a --no-pretrained --seed 3",
            {"model": ModelSpec("a", pretrained=False, seed=3), "explain": ExplainOptions(seed=3)},
        ),
        (
            "-m a --model-arg pad_type=same --model-arg n=3 --model-arg x=true",
            {"model": ModelSpec("a", args={"pad_type": "same", "n": 3, "x": True})},
        ),
        (
            "-m a --mean 0.5 --std 0.1,0.2,0.3 --crop-pct 0.9 --crop-mode squash --interpolation bilinear --image-size 96",
            {
                "model": ModelSpec(
                    "a", preprocessing=PreprocessingOptions(96, (0.5,), (0.1, 0.2, 0.3), 0.9, "squash", "bilinear")
                )
            },
        ),
        ("--method cam --method gradcam", {"explain": ExplainOptions(methods=("cam", "gradcam"))}),
        (
            "--target top:3 --layer layer3 --top-k 2 --device cpu --precision bf16",
            {
                "explain": ExplainOptions(
                    targets=(Target("top", 3),), layers=("layer3",), top_k=2, device="cpu", precision="bf16"
                )
            },
        ),
        ("--target 281", {"explain": ExplainOptions(targets=(Target("class", name="281"),))}),
        (
            "--save overlay,array --size original --colormap viridis --alpha 0.3 --format webp",
            {"rendering": Rendering(("overlay", "array"), "original", "viridis", 0.3, "webp")},
        ),
        ("--include *.dat --exclude a --exclude b --limit 9", {"filters": Filters(("*.dat",), ("a", "b")), "limit": 9}),
        ("--labels folder -o out --overwrite", {"labels": "folder", "output": "out", "overwrite": True}),
        ("-b 7 -j 3 --fail-fast --max-pixels 99", {"batch_size": 7, "workers": 3, "fail_fast": True, "max_pixels": 99}),
        ("-b auto -j auto", {}),
        ("--shard 2/8", {"shard": Shard(2, 8)}),
    ],
)
def test_argv_becomes_a_job(job: Callable[..., ExplainJob], argv: str, expected: dict[str, Any]) -> None:
    words = argv.split()
    if "-m" not in words:
        words += ["-m", "resnet50"]
    given = job(*words)
    wanted = ExplainJob(**{"sources": ("pictures",), "model": R50, "command": given.command, **expected})
    assert given == wanted


def test_flag_beats_environment_beats_config_beats_default(
    job: Callable[..., ExplainJob], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "c.toml"
    config.write_text(
        'model = "from-config"\ntop-k = 2\nalpha = 0.2\nmethod = ["cam"]\nsave = ["overlay", "array"]\noverwrite = true\n'
    )
    monkeypatch.setenv("CAMX_TOP_K", "3")
    monkeypatch.setenv("CAMX_ALPHA", "0.3")
    given = job("--config", config, "--alpha", 0.4)
    assert given.model.name == "from-config"
    assert (given.rendering.alpha, given.explain.top_k, given.overwrite) == (0.4, 3, True)
    assert (given.explain.methods, given.rendering.save) == (("cam",), ("overlay", "array"))
    assert given.rendering.colormap == "turbo"


def test_the_record_has_the_origin_of_each_value(
    camx: Camx, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "c.toml"
    config.write_text("alpha = 0.25\nno-pretrained = true\n")
    monkeypatch.setenv("CAMX_TOP_K", "2")
    argv = ["explain", images / "cat", "--model", "test_resnet", "--config", config, "-o", "out", "-q", "--no-report"]
    assert camx(*argv) == 0
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    named = {"model": "flag", "top-k": "environment", "alpha": f"config {config}", "no-pretrained": f"config {config}"}
    assert {name: record["origins"][name] for name in named} == named
    assert record["origins"]["seed"] == "default"
    assert "origins" not in record["job"]
    assert record["job"]["explain"]["top_k"] == 2


def test_config_keys_are_the_flags(job: Callable[..., ExplainJob], tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text('model = "a"\nformat = "jpg"\nno-ema = true\nno-pretrained = true\n')
    given = job("--config", config)
    assert (given.rendering.format, given.model.ema, given.model.pretrained) == ("jpg", False, False)


def test_a_config_may_be_yaml_and_arguments_of_the_model_a_table(
    job: Callable[..., ExplainJob], tmp_path: Path
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("model: a\nmodel_arg:\n  pad_type: same\nlayer: layer3\n")
    given = job("--config", config)
    assert given.model == ModelSpec("a", args={"pad_type": "same"})
    assert given.explain.layers == ("layer3",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('top_kk = 3\nmodel = "a"', "unknown key 'top_kk'. Did you mean top-k"),
        ("model = ", "no valid TOML"),
        ('model = "a"\nalpha = "much"', "alpha"),
        ('[model]\nname = "a"', "'model' is a table"),
    ],
)
def test_a_wrong_config_is_an_error(
    camx: Camx, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    (tmp_path / "c.toml").write_text(text)
    assert camx("explain", "pictures", "--config", tmp_path / "c.toml") == 2
    assert message in capsys.readouterr().err
    assert camx("explain", "pictures", "--config", tmp_path / "none.toml") == 2


QUICK = [
    ["--help"],
    ["--version"],
    ["--version", "-v"],
    *([name, "--help"] for name in COMMANDS),
    ["explain"],
    ["explain", "x", "--nothing"],
    ["explain", "x", "--model", "demo", "--top-k", "0"],
    ["explain", "x", "--model", "demo", "--save", "gif"],
]


@pytest.mark.parametrize("argv", QUICK)
def test_help_and_usage_errors_import_nothing_heavy(argv: list[str]) -> None:
    code = (
        "import sys; from cli.main import run; code = run(sys.argv[1:]); "
        "print([m for m in ('torch', 'timm', 'torchvision', 'wandb', 'numpy', 'PIL') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


def test_the_version(camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("--version") == 0
    assert capsys.readouterr().out.startswith("camx ")


def test_the_versions_of_all_that_matters_import_nothing_heavy(camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["--version", "-v"], ["-v", "--version"]):
        assert camx(*argv) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("camx ")
        assert [line.split()[0] for line in lines[1:4]] == ["Python", "torch", "torchvision"]
    assert camx("-v", "models", "demo") == 2


def test_help_lists_all_there_is(
    camx: Camx, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert camx("explain", "--help") == 0
    text = capsys.readouterr().out
    for name in [*METHOD_NAMES, *COLORMAPS, *SAVERS, *FORMATS]:
        assert name in text
    for panel in ("Input", "Model", "Explanation", "Rendering", "Output", "Speed", "Behaviour"):
        assert f" {panel} " in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_word_of_the_help_is_shown(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rich takes [words] in brackets for its own."""
    monkeypatch.setenv("COLUMNS", "100")
    run([name, "--help"])
    shown = re.sub(r"[\s│]", "", capsys.readouterr().out)
    options = flags_of(COMMANDS[name].run)
    wanted = [COMMANDS[name].run.__doc__ or "", *COMMANDS[name].examples, *COMMANDS[name].examples.values()]
    wanted += [Names(options).in_flags(option.flag.help) for option in options]
    assert not [text for text in wanted if re.sub(r"\s", "", text) not in shown]


def test_models(camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("models", "resnet18") == 0
    assert {"timm/resnet18", "torchvision/resnet18"} <= set(capsys.readouterr().out.split())
    assert camx("models", "torchvision/vgg11*", "--json") == 0
    assert [m["model"] for m in json.loads(capsys.readouterr().out)] == ["torchvision/vgg11", "torchvision/vgg11_bn"]
    assert camx("models", "resnett") == 2
    assert "Did you mean" in capsys.readouterr().err


def test_layers(camx: Camx, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("layers", "test_resnet") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("→  ")] == ["layer4"]
    assert camx("layers", "test_vit", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    (chosen,) = [layer for layer in found["layers"] if layer["chosen"]]
    assert (chosen["name"], chosen["grid"], chosen["usable"]) == ("blocks.5.norm1", [10, 10], True)
    assert camx("layers", "demo") == 0
    assert "→  maps" in capsys.readouterr().out
    assert camx("layers", "test_resnett") == 2


def test_the_presets(camx: Camx, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert camx("explain", images, "--config", ROOT / "configs" / "explain.toml") == 0
    assert "7 of 7 images" in capsys.readouterr().out
    assert camx("explain", images, *TINY, "-o", "ci", "--config", ROOT / "configs" / "ci.toml") == 0
    printed = capsys.readouterr()
    assert (json.loads(printed.out)["ok"], printed.err) == (7, "")
    (images / "cat" / "0.jpg").write_bytes(b"")
    assert camx("explain", images, *TINY, "-o", "ci", "--config", ROOT / "configs" / "ci.toml") == 1


def test_the_full_preset_names_every_option(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = (ROOT / "configs" / "explain.toml").read_text()
    run(["explain", "--help"])
    flags = set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", capsys.readouterr().out))
    for flag in flags - {"help", "config", "isolated", "no-ema", "no-report"}:
        assert re.search(rf"^(# )?\[?{flag}\b", text, re.MULTILINE), flag


def test_a_source_tree_that_is_not_installed_has_no_version(
    camx: Camx, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("cam_cli.outputs.versions.version", missing)
    assert camx("--version") == 0
    assert capsys.readouterr().out == "camx not installed\n"
