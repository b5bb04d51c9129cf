"""`--backend`: OpenVINO gives the maps of torch, networks that it cannot convert run in torch, and a missing package is
an error."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from cam_cli import CamxError, Explainer, ExplainOptions
from cam_cli.cams.engine import backend_choice, openvino_backend, openvino_model
from cam_cli.cams.engine.backends import EagerBackend
from cam_cli.cams.engine.openvino_proof import prove_rounding, prove_values
from cam_cli.cams.target_layer.probe import probe_picture
from cam_cli.cams.tracing.cut import NoCut
from cam_cli.images.geometry import Preprocessing
from cam_cli.machine import bf16_units
from cam_cli.pipeline.lanes import Lanes

from .conftest import TINY
from .networks import InPlaceNet, RedDetector, network, seeded

pytestmark = pytest.mark.extras
OWN = Preprocessing((160, 160), (160, 160), "squash", "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    if not openvino_model.openvino_is_there():
        pytest.skip("pip install 'camx[openvino]'")
    monkeypatch.setenv("CAMX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "openvino"


def vit() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("test_vit", num_classes=4).eval()


def explainers(module: nn.Module, names: str = "gradcam", preprocessing: Any = None, **options: Any) -> list[Explainer]:
    own = network(module, preprocessing) if preprocessing else network(module)
    return [
        Explainer(own, ExplainOptions(tuple(names.split()), device="cpu", backend=backend, **options))
        for backend in ("torch", "openvino")
    ]


def assert_same(ours: Explainer, wanted: Explainer, batch: Tensor) -> None:
    assert ours.backend == "openvino", ours.network.warnings
    (found, maps), (known, expected) = ours.explain_tensor(batch), wanted.explain_tensor(batch)
    difference = (found.logits.softmax(1) - known.logits.softmax(1)).abs().max()
    assert float(difference) <= 1e-5
    assert torch.equal(found.logits.argmax(1), known.logits.argmax(1))
    assert list(maps) == list(expected)
    for name, values in expected.items():
        top = float(values.abs().max())
        np.testing.assert_allclose(maps[name].numpy(), values.numpy(), rtol=0, atol=1e-4 * top, err_msg=name)


#: One of every kind: of those that ask again, look inside, exchange functions or differentiate twice.
METHODS = "gradcam scorecam ablationcam rise saliency attention-rollout legrad shapleycam dff"


@pytest.mark.slow
def test_every_kind_of_method_gives_the_maps_of_torch_in_batches_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cam_cli.cams.methods.perturbation.MASKS", 20)
    plain, ours = explainers(vit(), METHODS, OWN)
    torch.manual_seed(1)
    for count in (2, 1, 5):
        assert_same(ours, plain, torch.randn(count, 3, 160, 160))


@pytest.mark.parametrize(
    ("module", "layer"), [(RedDetector, "act"), (InPlaceNet, "features"), (InPlaceNet, "features.0")]
)
def test_small_networks_give_the_maps_of_torch(module: type[nn.Module], layer: str) -> None:
    plain, ours = explainers(seeded(module), "gradcam layercam scorecam", layers=(layer, "auto"))
    assert_same(ours, plain, torch.randn(3, 3, 64, 64))


def test_the_network_stays_as_it_is_and_openvino_is_what_runs() -> None:
    module = seeded(InPlaceNet)
    before = {name: dict(vars(one)) for name, one in module.named_modules()}
    _, ours = explainers(module)
    calls = []
    handle = module.features[0].register_forward_hook(lambda *_: calls.append(1))
    ours.explain_tensor(torch.randn(2, 3, 64, 64))
    handle.remove()
    assert calls == []
    assert {name: dict(vars(one)) for name, one in module.named_modules()} == before


def test_replicas_work_at_the_same_time_and_keep_their_images_apart() -> None:
    plain, ours = explainers(seeded(InPlaceNet))
    torch.manual_seed(1)
    photos = [torch.randn(1 + index % 3, 3, 64, 64) for index in range(12)]

    def work(engine: Explainer) -> Callable[[Tensor], Tensor]:
        return lambda batch: engine.explain_tensor(batch)[1]["gradcam"]

    expected = [work(plain)(one) for one in photos]
    works = [work(ours), work(ours.replica()), work(ours.replica())]
    with Lanes(works, torch.get_num_threads(), torch.device("cpu")) as lanes:
        together = [lanes.submit(one, lambda maps: maps) for one in photos]
        for wanted, future in zip(expected, together, strict=True):
            torch.testing.assert_close(future.result().result, wanted, rtol=1e-4, atol=1e-6)


def test_a_converted_network_is_cached_and_a_changed_one_is_converted_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    convert = openvino_model._convert
    monkeypatch.setattr(openvino_model, "_convert", lambda *args: made.append(1) or convert(*args))
    module = seeded(InPlaceNet)
    explainers(module)
    explainers(module)
    assert len(made) == 1
    assert len(list(cache.iterdir())) == 1
    with torch.no_grad():
        module.features[0].weight.mul_(2)
    plain, ours = explainers(module)
    assert len(made) == 2
    assert_same(ours, plain, torch.randn(2, 3, 64, 64))
    # A damaged one is converted again, whether it can be read or not.
    for folder in cache.iterdir():
        (folder / "model.xml").write_bytes(b"<net")
    assert_same(*reversed(explainers(module)), torch.randn(2, 3, 64, 64))


def test_too_many_converted_networks_are_removed_the_oldest_first(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, age in (("old", 2), ("new", 1)):
        (cache / name).mkdir(parents=True)
        (cache / name / "model.bin").write_bytes(bytes(1000))
        os.utime(cache / name, (1e9 - age, 1e9 - age))
    size = 60_000
    monkeypatch.setattr(openvino_model, "KEPT_BYTES", size)
    explainers(seeded(InPlaceNet))
    kept = [one for one in cache.iterdir() if (one / "model.xml").exists()]
    assert len(kept) == 1
    bytes_of_it = sum(one.stat().st_size for one in kept[0].iterdir())
    assert (cache / "new").exists() == (bytes_of_it + 1000 <= size)
    assert (cache / "old").exists() == (bytes_of_it + 2000 <= size)


class Fixed(nn.Module):
    """A layer that counts its images in Python."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.fc = _Counting(), nn.Linear(4, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.body(pictures).mean((2, 3)))


class _Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 8, 8)

    def forward(self, pictures: Tensor) -> Tensor:
        return torch.cat([self.conv(pictures[i : i + 1]) for i in range(len(pictures))])


class Half(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 8, 8), nn.Linear(4, 3)
        self.bfloat16()

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.conv(pictures).mean((2, 3)))


@pytest.mark.parametrize(
    ("module", "options", "reason"),
    [
        (Fixed, {"layers": ("body",)}, "it cannot be converted|its (features|logits) differ"),
        (Half, {}, "its weights are bfloat16"),
        (InPlaceNet, {"precision": "fp16"}, "OpenVINO has no fp16"),
    ],
)
def test_networks_that_openvino_cannot_convert_run_in_torch_with_a_warning(
    module: type[nn.Module], options: dict[str, Any], reason: str
) -> None:
    _, ours = explainers(seeded(module), **options)
    assert ours.backend == "torch"
    (line,) = ours.network.warnings
    assert "\n" not in line
    assert re.search(f"^The network runs in torch, not in OpenVINO: .*({reason})", line), line


def test_other_values_are_never_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    convert = openvino_model._convert

    def wrong(openvino: Any, module: nn.Module, cut: Any, picture: Tensor) -> Any:
        other = seeded(InPlaceNet)
        with torch.no_grad():
            other.features[3].bias.add_(1e-3)
        return convert(openvino, other, cut, picture)

    monkeypatch.setattr(openvino_model, "_convert", wrong)
    # Rounding to bf16 changes values more, and does not hide the fault.
    for precision in ("fp32", "bf16"):
        monkeypatch.setattr(openvino_backend, "can_bf16", lambda _core: True)
        _, ours = explainers(seeded(InPlaceNet), precision=precision)
        assert ours.backend == "torch"
        assert "differ" in ours.network.warnings[0]


class Off:
    """A backend whose features differ from those of the network by a share of their size."""

    def __init__(self, module: nn.Module, share: float) -> None:
        self._norm, self._share = module.bn2, share

    @contextlib.contextmanager
    def __call__(self, batch: Tensor) -> Iterator[Tensor]:
        def off(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
            noise = torch.randn(output.shape, generator=torch.Generator().manual_seed(0))
            return output + (self._share * output.float().square().mean().sqrt() * noise).to(output.dtype)

        handle = self._norm.register_forward_hook(off)
        try:
            yield batch
        finally:
            handle.remove()


def test_bf16_may_be_as_far_from_float32_as_that_of_torch_but_not_by_far() -> None:
    # A deep network with clipped activations: in torch, too, single features differ by a fifth of the largest one.
    torch.manual_seed(0)
    module = timm.create_model("mobilenetv2_035", num_classes=5).eval()
    picture = probe_picture(3, (64, 64))
    (layer,) = Explainer(network(module), ExplainOptions(device="cpu", backend="torch")).layers
    bf16 = partial(torch.autocast, "cpu", torch.bfloat16)
    prove_rounding(EagerBackend(), module, [layer], picture, bf16)
    prove_rounding(Off(module, 0.02), module, [layer], picture, bf16)
    with pytest.raises(NoCut, match=r"in bf16 its features are off from float32 by 0\.\d+ of their size"):
        prove_rounding(Off(module, 0.5), module, [layer], picture, bf16)
    with pytest.raises(NoCut, match="its features differ"):
        prove_values(Off(module, 0.002), module, [layer], picture)


@pytest.mark.slow
@pytest.mark.skipif(not bf16_units(), reason="this processor has no instructions for bf16")
@pytest.mark.parametrize("name", ["mobilenetv2_100", "resnet18"])
def test_bf16_runs_in_openvino_where_the_processor_has_it(name: str) -> None:
    torch.manual_seed(0)
    module = timm.create_model(name, num_classes=5).eval()
    _, ours = explainers(module, precision="bf16")
    assert ours.backend == "openvino", ours.network.warnings


def test_auto_takes_openvino_where_the_run_is_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(images: int, **options: Any) -> str:
        return Explainer(network(seeded(InPlaceNet)), ExplainOptions(device="cpu", **options), images=images).backend

    faster = [True]
    monkeypatch.setattr(backend_choice, "_is_faster", lambda *_: faster[0])
    assert chosen(0) == chosen(backend_choice.FEWEST) == "torch"
    assert chosen(10**9) == "openvino"
    faster[0] = False
    assert chosen(10**9) == "torch"
    assert chosen(10**9, backend="torch") == "torch"
    assert chosen(10**9, precision="bf16") == "torch"
    monkeypatch.setattr(backend_choice, "openvino_is_there", lambda: False)
    assert chosen(10**9) == "torch"
    with pytest.raises(CamxError, match="needs the package openvino") as caught:
        chosen(0, backend="openvino")
    assert "pip install 'camx[openvino]'" in str(caught.value)


def test_compile_is_another_word() -> None:
    assert ExplainOptions(compile=True).backend == "compile"
    with pytest.raises(CamxError, match="`compile` contradicts `backend=openvino`"):
        ExplainOptions(compile=True, backend="openvino")


def test_openvino_reports_to_nobody() -> None:
    openvino_model.import_openvino()
    assert not any(name.split(".")[0] == "openvino_telemetry" for name in sys.modules)


@pytest.mark.slow
def test_a_run_writes_what_it_writes_in_torch(
    camx: Callable[..., int], images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("explain", images, *TINY, "-b", 3, "--no-report")
    assert camx(*common, "-o", "plain", "-q") == 0
    assert camx(*common, "-o", "fast", "--backend", "openvino") == 0
    assert "cpu, fp32, OpenVINO" in capsys.readouterr().err
    tables = [(tmp_path / folder / "predictions.csv").read_text().splitlines() for folder in ("plain", "fast")]
    assert [row.split(",")[:9] for row in tables[0]] == [row.split(",")[:9] for row in tables[1]]
    # Each continues a run of the other.
    records = [json.loads((tmp_path / folder / "run.json").read_text()) for folder in ("plain", "fast")]
    assert records[0]["fingerprint"] == records[1]["fingerprint"]
