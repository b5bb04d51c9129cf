"""The requirements of methods, checked on a network before it explains anything."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ...errors import CamxError
from ...models.network import Network
from ..methods.fusion import maps_of
from ..methods.method import Method
from ..methods.registry import METHODS
from ..target_layer.probe import is_quantised
from ..tracing.classifier import Classifier, find_classifier
from ..tracing.scored_network import ScoredNetwork
from ..tracing.scores import network_name
from ..tracing.trace import Trace, trace
from .options import ExplainOptions


def check_arguments(network: object, options: object) -> None:
    """Raises `CamxError` for a network without weights, and for a network or options of another type."""
    if not isinstance(network, Network):
        hint = (
            "Wrap it: Network.of(module, image_size=…, mean=…, std=…)."
            if isinstance(network, nn.Module)
            else "Give load_model(NAME), or Network.of(module, …)."
        )
        raise CamxError(f"A {type(network).__name__} is no Network.", hint)
    if any(parameter.is_meta for parameter in network.module.parameters()):
        raise CamxError(f"{network.name} has no weights: it is on the device meta.", "Load its weights first.")
    if not isinstance(options, ExplainOptions):
        raise CamxError(f"A {type(options).__name__} is no ExplainOptions.", "Give ExplainOptions(…).")


def check_methods(names: Sequence[str], picture: Tensor, probed: Sequence[Trace]) -> Classifier | None:
    """Raises `CamxError` for a method that does not work with a network; returns its classifier, if one needs it.

    picture: 1×C×H×W, normalised. probed: its traces at all target layers.
    """
    classifier = None
    for name in names:
        method = METHODS[name]
        if method.needs_classifier or method.check is not None:
            _check_not_scripted(name, probed[0].replay.module)
        if method.needs_classifier:
            if is_quantised(probed[0].replay.module):
                raise CamxError(
                    f"`methods={name}` reads the weights of the last layer, which are integers in a quantised network. "
                    "Use `methods=eigencam`, or give the network as it is before it is quantised.",
                    field="methods",
                )
            if len(probed) > 1:
                raise CamxError(f"`methods={name}` reads one layer, the last one; {len(probed)} are given.")
            # In full precision: a rounded forward would prove nothing.
            module = probed[0].replay.module
            exact = trace(module, picture, probed[0].layer)
            classifier = find_classifier(module, exact.features, exact.logits)
        if method.check is not None:
            method.check(probed[0])
        if method.second_order:
            _check_second_order(method, probed)
    return classifier


def _check_not_scripted(name: str, module: nn.Module) -> None:
    """Raises `CamxError` for a method that needs functions or weights which TorchScript hides."""
    if isinstance(module, ScoredNetwork) and module.reading.interpreted:
        raise CamxError(
            f"`methods={name}` reads functions and weights of torch.nn, which {network_name(module)} hides: it is "
            "scripted. Use `methods=gradcam`, or give the network as it is before torch.jit.script.",
            field="methods",
        )


def _check_second_order(method: Method, probed: Sequence[Trace]) -> None:
    """Raises `CamxError` where an operation of the head has no second derivative."""
    try:
        maps_of(method, probed, probed[0].logits.argmax(1, keepdim=True))
    except (RuntimeError, NotImplementedError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise CamxError(
            f"`methods={method.name}` differentiates the network behind the layer twice, which it does not allow: "
            f"{reason}. Use `methods=gradcam`."
        ) from error
