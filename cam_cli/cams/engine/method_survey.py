"""The methods that work with a network, found by the checks of a run, and the cost of each there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...errors import CamxError
from ...models.hooks import TargetLayer
from ...models.network import Network
from ..methods.cost import Cost, cost_of
from ..methods.method import Method
from ..methods.registry import METHODS
from ..target_layer.choose import AUTO
from ..target_layer.probe import NoGradient, probe_picture
from ..tracing.attention import read_attention
from ..tracing.head import HeadRunner
from ..tracing.network_state import as_if_trained
from ..tracing.replay import Replay
from ..tracing.scored_network import task_of
from ..tracing.trace import Trace, traces
from .batches import Runner
from .layer_choice import LayerChoice, LayerSearch
from .references import network_for
from .requirements import check_methods
from .tasks import check_method


@dataclass(frozen=True)
class MethodReport:
    """A method with a network. reason: why it does not work, or "".

    cost: forwards per image, with the one for the predictions; None if the method does not work.
    """

    name: str
    reason: str = ""
    cost: Cost | None = None

    @property
    def usable(self) -> bool:
        return not self.reason


@dataclass(frozen=True)
class Survey:
    """All methods with a network. layers: its target layers; none if no map of it can be one."""

    task: str
    layers: tuple[TargetLayer, ...]
    methods: tuple[MethodReport, ...]


@torch.inference_mode(False)
@torch.enable_grad()
def survey_methods(network: Network, layers: Sequence[str] = (AUTO,)) -> Survey:
    """Tries every method on a probe image, on the CPU, where the network stays.

    layers: `auto`, or names of target layers. An encoder is tried without a reference image. Weights of zero, with
    which some networks begin their training, count as trained ones. Raises `CamxError` for a layer that cannot be the
    target, and for a network that does not run.
    """
    with as_if_trained(network.module):
        return _surveyed(network, layers)


def _surveyed(network: Network, layers: Sequence[str]) -> Survey:
    runner = Runner(network, "cpu", "fp32")
    preprocessing = network.preprocessing
    picture = probe_picture(preprocessing.channels, preprocessing.input_size)
    scored, _ = network_for(network, runner, picture, ())
    search = LayerSearch.of(scored, picture, layers)
    if search.problem is not None and tuple(layers) != (AUTO,) and not isinstance(search.problem, NoGradient):
        raise search.problem
    trials = _Trials(runner, picture, search)
    reports = tuple(_report(method, trials, task_of(scored)) for method in METHODS.values())
    return Survey(task_of(scored), trials.target_layers, reports)


def _report(method: Method, trials: _Trials, task: str) -> MethodReport:
    try:
        check_method(task, method.name)
        traced = trials.traced(method)
        check_methods([method.name], trials.picture, traced)
    except CamxError as error:
        return MethodReport(method.name, str(error))
    return MethodReport(method.name, cost=trials.cost(method, traced))


@dataclass(frozen=True)
class _Trials:
    """Traces of the probe image for methods of every kind, one per kind."""

    runner: Runner
    picture: Tensor
    search: LayerSearch
    _choices: dict[tuple[bool, bool], LayerChoice] = field(default_factory=dict, init=False)
    _traces: dict[tuple[tuple[TargetLayer, ...], bool], list[Trace]] = field(default_factory=dict, init=False)
    _heads: dict[str, bool] = field(default_factory=dict, init=False)

    @property
    def target_layers(self) -> tuple[TargetLayer, ...]:
        """The layers of the methods that read one, if such a method works."""
        reading = (choice.layers for (_, reads), choice in self._choices.items() if reads)
        return next(reading, ())

    def traced(self, method: Method) -> list[Trace]:
        """Returns the traces of a run with this method. Raises `CamxError` without a layer or a gradient."""
        kind = (method.gradients, method.reads_layer)
        if kind not in self._choices:
            self._choices[kind] = self.search.choice([method.name])
        choice = self._choices[kind]
        key = (choice.layers, method.second_order)
        if key not in self._traces:
            replay = Replay(
                choice.module,
                self.picture,
                choice.layers,
                black=self.runner.normalised_black,
                white=self.runner.normalised_white,
                autocast=self.runner.autocast,
            )
            self._traces[key] = traces(
                choice.module,
                self.picture,
                choice.layers,
                second_order=method.second_order,
                gradients=choice.gradients,
                replay=replay,
            )
        return self._traces[key]

    def cost(self, method: Method, traced: Sequence[Trace]) -> Cost:
        """Returns the forwards of a method for an image and one class, over all layers of which it makes a map.

        If the head does not run alone, its forwards are those of the whole network.
        """
        network, head = 1, 0
        for trace in traced if method.per_layer else traced[:1]:
            layout = trace.layer.layout
            sizes = {"C": layout.channels, "h": layout.height, "w": layout.width, "T": 1}
            if "L" in method.forwards:
                found = read_attention(trace.replay.module, trace.replay.inputs, layout)
                sizes["L"] = len(found.matrices)
            one = cost_of(method.forwards, sizes)
            alone = not one.head or method.grid != "layer" or self._runs_alone(trace)
            network, head = network + one.network + one.head * (not alone), head + one.head * alone
        return Cost(network, head)

    def _runs_alone(self, trace: Trace) -> bool:
        """Whether the head behind the layer runs without the network before it."""
        name = trace.layer.name
        if name not in self._heads:
            self._heads[name] = HeadRunner(trace.replay.module, trace.layer, self.picture).head_only
        return self._heads[name]
