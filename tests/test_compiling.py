"""`--compile`: the compiled modules, unchanged values, and errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from cam_cli import CamxError, Explainer, ExplainOptions
from cam_cli.cams.engine import backends
from cam_cli.cams.engine.inputs import as_pictures
from cam_cli.cams.target_layer.choose import choose_layer
from cam_cli.cams.tracing.network_state import undisturbed
from cam_cli.cams.tracing.upstream import UpstreamModules
from cam_cli.images.geometry import Preprocessing
from cam_cli.models.hooks import hooked
from cam_cli.models.options import ModelSpec
from cam_cli.pipeline import ExplainJob
from cam_cli.pipeline.explain import ExplainTask
from cam_cli.pipeline.lanes import Lanes, engine_lanes

from .conftest import TINY
from .networks import DeepHeadNet, network, seeded

SMALL = Preprocessing((64, 64), (64, 64), "squash", "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
OWN = Preprocessing((160, 160), (160, 160), "squash", "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
#: Tolerance as a share of the peak of a map: rounding, also of a compiler that sums in another order.
TOLERANCE = 1e-4


class Block(nn.Module):
    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(4, 4, 3, stride, 1), nn.Tanh())

    def forward(self, maps: Tensor) -> Tensor:
        return self.body(maps)


class Blocks(nn.Module):
    """A stem, a stage of unequal blocks, a stage of equal ones, and a block that runs before and behind the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 2, 1)
        self.unequal = nn.Sequential(Block(2), Block())
        self.equal = nn.Sequential(*[Block() for _ in range(4)])
        self.shared = Block()
        self.last = Block()
        self.fc = nn.Linear(4, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = self.shared(self.equal(self.unequal(self.stem(pictures))))
        return self.fc(self.shared(self.last(maps)).mean((2, 3)))


class PerImage(Blocks):
    """Works on one image after the other: other code for every size of a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.equal = _OneByOne()


class _OneByOne(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = Block()

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([self.block(maps[i : i + 1]) for i in range(len(maps))])


@pytest.fixture
def wiring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces the compiler by a recorder: functions that it compiles, when, and for which sizes."""
    torch._dynamo.reset()
    monkeypatch.setattr(backends, "BACKEND", "eager")


def vit() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("test_vit", num_classes=4).eval()


def resnet() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=4).eval()


@pytest.mark.parametrize(
    ("make", "layer", "wanted"),
    [
        (lambda: seeded(Blocks), "last", "unequal equal.0 equal.1 equal.2 equal.3 last"),
        (lambda: seeded(Blocks), "equal.2", "unequal equal.0 equal.1 equal.2"),
        (lambda: seeded(Blocks), "equal.2.body", "unequal equal.0 equal.1 equal.2.body"),
        (lambda: seeded(Blocks), "equal.2.body.0", "unequal equal.0 equal.1"),
        (lambda: timm.create_model("resnet18"), "auto", "layer1 layer2 layer3 layer4"),
        (
            lambda: timm.create_model("vit_tiny_patch16_224"),
            "auto",
            "patch_embed " + " ".join(f"blocks.{i}" for i in range(11)),
        ),
    ],
)
def test_the_modules_that_are_compiled(make: Callable[[], nn.Module], layer: str, wanted: str) -> None:
    module = make().eval()
    upstream = UpstreamModules([choose_layer(module, (224, 224), 3, layer)])
    with undisturbed(module), torch.no_grad(), hooked(dict(module.named_modules()), upstream.hook):
        module(torch.zeros(2, 3, 224, 224))
    assert " ".join(backends.compiled_modules(module, upstream)) == wanted


def test_the_first_of_several_layers_is_where_compiling_ends(wiring: None) -> None:
    options = ExplainOptions(layers=("last", "equal.1"), device="cpu", compile=True)
    explainer = Explainer(network(seeded(Blocks)), options)
    assert isinstance(explainer._backend, backends.CompiledBackend)
    assert explainer._backend.names == ("unequal", "equal.0", "equal.1")


def batch(count: int, size: int = 64) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(count, 3, size, size)


def maps(explainer: Explainer, inputs: Tensor) -> dict[str, np.ndarray]:
    _, found = explainer.explain_tensor(inputs)
    return {name: values.numpy() for name, values in found.items()}


def assert_same(ours: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert list(ours) == list(wanted)
    for name, values in wanted.items():
        np.testing.assert_allclose(ours[name], values, rtol=0, atol=TOLERANCE * np.abs(values).max(), err_msg=name)


#: One of every kind: of those that ask again, look inside, exchange functions or differentiate twice.
OF_RESNET = (
    "gradcam cam layercam scorecam ablationcam reciprocam rise smooth-gradcam++ shapleycam "
    "saliency guided-backprop integrated-gradients"
)
OF_VIT = "gradcam scorecam ablationcam rise saliency attention-rollout legrad shapleycam dff"


@pytest.mark.long
@pytest.mark.parametrize(("make", "size", "names"), [(resnet, 64, OF_RESNET), (vit, 160, OF_VIT)])
def test_every_kind_of_method_gives_the_maps_that_it_gives_uncompiled(
    make: Callable[[], nn.Module], size: int, names: str, wiring: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cam_cli.cams.methods.perturbation.MASKS", 20)
    model = network(make(), SMALL if size == 64 else OWN)
    eager, fast = (
        Explainer(model, ExplainOptions(tuple(names.split()), device="cpu", compile=c)) for c in (False, True)
    )
    assert_same(maps(fast, batch(2, size)), maps(eager, batch(2, size)))


def test_no_size_of_a_batch_compiles_anything_anew(wiring: None) -> None:
    eager, fast = (Explainer(network(vit(), OWN), ExplainOptions(device="cpu", compile=c)) for c in (False, True))
    with torch._dynamo.config.patch(error_on_recompile=True):
        for count in (8, 8, 3, 2, 1):
            assert_same(maps(fast, batch(count, 160)), maps(eager, batch(count, 160)))


def test_the_compiled_functions_are_those_that_run(wiring: None, monkeypatch: pytest.MonkeyPatch) -> None:
    explainer = Explainer(network(vit(), OWN), ExplainOptions(device="cpu", compile=True))
    ran = []

    def watched(self: Any, inputs: Tensor) -> Any:
        ran.append(len(inputs))
        return answering(self, inputs)

    answering = backends.CompiledBackend.__call__
    monkeypatch.setattr(backends.CompiledBackend, "__call__", watched)
    with torch.compiler.set_stance("fail_on_recompile"):
        maps(explainer, batch(4, 160))
    assert ran == [4]


def test_the_network_stays_as_it_is(wiring: None) -> None:
    module = vit()
    before = {name: dict(vars(one)) for name, one in module.named_modules()}
    explainer = Explainer(network(module, OWN), ExplainOptions(device="cpu", compile=True))
    maps(explainer, batch(2, 160))
    assert {name: dict(vars(one)) for name, one in module.named_modules()} == before


def test_replicas_use_what_was_compiled_at_the_same_time(wiring: None, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs: list[torch.fx.GraphModule] = []
    monkeypatch.setattr(backends, "BACKEND", lambda graph, _examples: graphs.append(graph) or graph)
    explainer = Explainer(network(vit(), OWN), ExplainOptions(device="cpu", compile=True))
    photos = [batch(2 + index % 3, 160) for index in range(12)]
    alone, made = [maps(explainer, one) for one in photos], len(graphs)

    def work(engine: Explainer) -> Callable[[Tensor], dict[str, np.ndarray]]:
        return lambda inputs: maps(engine, inputs)

    works = [work(explainer), work(explainer.replica()), work(explainer.replica())]
    with Lanes(works, torch.get_num_threads(), torch.device("cpu")) as lanes:
        together = [lanes.submit(one, dict) for one in photos]
        for one, future in zip(alone, together, strict=True):
            assert_same(future.result().result, one)
    assert len(graphs) == made > 0


@pytest.mark.parametrize("batches", [1, 3, 100])
def test_lanes_have_the_threads_that_the_network_was_compiled_for(
    batches: int, wiring: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cam_cli.pipeline.lanes.cpus", lambda: 4)
    monkeypatch.setattr("cam_cli.pipeline.classes.load_model", lambda *_: network(vit(), OWN))
    graphs: list[torch.fx.GraphModule] = []
    monkeypatch.setattr(backends, "BACKEND", lambda graph, _examples: graphs.append(graph) or graph)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        job = ExplainJob(sources=(), model=ModelSpec("-"), explain=ExplainOptions(device="cpu", compile=True))
        task = ExplainTask(job)
        engine = task.build_engine(0)
        assert torch.get_num_threads() == 4
        photos = as_pictures(batch(2, 160), engine.network.preprocessing)
        made = len(graphs)
        with engine_lanes(engine, task.run_batch, 2 * batches, 2) as lanes:
            assert len(lanes) == min(batches, 4)
            for future in [lanes.submit(photos, list) for _ in range(4)]:
                future.result()
        assert len(graphs) == made > 0
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_a_run_writes_what_it_writes_uncompiled(
    camx: Callable[..., int], images: Path, tmp_path: Path, wiring: None, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("explain", images, *TINY, "-b", 3, "--no-report")
    assert camx(*common, "-o", "plain", "-q") == 0
    assert camx(*common, "-o", "fast", "--compile") == 0
    assert "cpu, fp32, compiled" in capsys.readouterr().err
    tables = [(tmp_path / folder / "predictions.csv").read_text().splitlines() for folder in ("plain", "fast")]
    assert [row.split(",")[:9] for row in tables[0]] == [row.split(",")[:9] for row in tables[1]]
    # Each continues a run of the other.
    records = [json.loads((tmp_path / folder / "run.json").read_text()) for folder in ("plain", "fast")]
    assert records[0]["fingerprint"] == records[1]["fingerprint"]


def compiled(module: nn.Module, **options: Any) -> Explainer:
    return Explainer(network(module), ExplainOptions(device="cpu", compile=True, **options))


def broken(_graph: torch.fx.GraphModule, _examples: list[Tensor]) -> Callable[..., Any]:
    raise RuntimeError("no kernel for this\nand more")


def wrong(graph: torch.fx.GraphModule, _examples: list[Tensor]) -> Callable[..., Any]:
    return lambda *inputs: [2 * value for value in graph(*inputs)]


@pytest.mark.parametrize(
    ("module", "backend", "sentence"),
    [
        (DeepHeadNet, "eager", "DeepHeadNet has no blocks before 'features.3', only single operations"),
        (PerImage, "eager", "PerImage cannot be compiled on this machine: "),
        (Blocks, broken, "Blocks cannot be compiled on this machine: .*no kernel for this"),
        (Blocks, wrong, "Blocks gives other values when it is compiled"),
    ],
)
def test_what_cannot_be_compiled(
    module: type[nn.Module], backend: Any, sentence: str, wiring: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "BACKEND", backend)
    layers = ("features.3",) if module is DeepHeadNet else ("last",)
    with pytest.raises(CamxError, match=f"{sentence}.*Leave `backend=compile` out"):
        compiled(seeded(module), layers=layers)


@pytest.mark.slow
def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import config

    torch._dynamo.reset()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    sentence = "No working C\\+\\+ compiler found.*Leave `backend=compile` out"
    with config.patch({"cpp.cxx": ("no-such-compiler",)}), pytest.raises(CamxError, match=sentence):
        compiled(seeded(Blocks), layers=("last",))


def test_images_one_by_one_have_nothing_to_compile() -> None:
    with pytest.raises(CamxError, match="Leave `compile` or `batch_size=1` out"):
        ExplainJob(sources=(), model=None, batch_size=1, explain=ExplainOptions(compile=True))  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize(("make", "size"), [(resnet, 64), (vit, 160), (lambda: seeded(Blocks), 64)])
def test_the_compiler_itself(make: Callable[[], nn.Module], size: int) -> None:
    torch._dynamo.reset()
    module, preprocessing = make(), SMALL if size == 64 else OWN
    names = ("gradcam", "layercam", "hirescam")
    eager, fast = (
        Explainer(network(module, preprocessing), ExplainOptions(names, device="cpu", compile=c)) for c in (False, True)
    )
    with torch._dynamo.config.patch(error_on_recompile=True):
        for count in (5, 2, 1):
            assert_same(maps(fast, batch(count, size)), maps(eager, batch(count, size)))
