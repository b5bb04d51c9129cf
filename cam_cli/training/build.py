"""Builds a network with global average pooling from a backbone, and measures the accuracy of the original head."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..cams.target_layer.choose import choose_layer
from ..cams.target_layer.probe import probe_picture
from ..cams.tracing.scores import scores_of
from ..errors import CamxError
from ..images.picture import Unreadable
from ..models.catalog import Network, load_model
from ..models.gap import GapDescription, GapHead, GapNetwork, idle_behind
from ..models.hf.classifier import HubClassifier
from ..models.hf.zero_shot import ZeroShotClassifier
from ..models.names import is_hub_network
from .cache import Tick
from .data import Sample
from .job import TrainJob
from .pictures import Pictures


def load_backbone(job: TrainJob) -> Network:
    """Loads the network whose head will be replaced. Raises `CamxError` for a network that `camx train-gap` built."""
    try:
        network = load_model(job.model, job.origins)
    except CamxError as error:
        # Only a network that compares images with texts needs names that this command has no option for.
        if error.field == "class_names" and is_hub_network(job.model.name):
            raise _compares(job.model.name) from error
        raise
    if isinstance(network.module, ZeroShotClassifier):
        raise _compares(job.model.name)
    if isinstance(network.module, GapNetwork):
        raise CamxError(f"{job.model.name!r} already ends in global average pooling. Use `camx explain --method cam`.")
    return network


def _compares(name: str) -> CamxError:
    return CamxError(
        f"`model` {name!r} compares images with texts. `train-gap` cannot replace its head.",
        "Give an image classifier: a network of timm, or a class of transformers named …ForImageClassification.",
    )


def describe_head(network: Network, job: TrainJob, classes: tuple[str, ...]) -> GapDescription:
    """Describes the layer after which the network is cut and the new head. Changes nothing."""
    preprocessing = network.preprocessing
    module = network.module.eval()
    layer = choose_layer(module, preprocessing.input_size, preprocessing.channels, job.layer, network.scores)
    picture = probe_picture(preprocessing.channels, preprocessing.input_size).to(next(module.parameters()).device)
    head = GapHead(layer, job.gap_channels, idle_behind(module, layer, picture))
    architecture, args = _offline_architecture(network)
    return GapDescription(architecture, args, classes, head, preprocessing)


def build_gap_network(network: Network, description: GapDescription, seed: int) -> GapNetwork:
    """Builds the described network with a head drawn from `seed`, on the backbone's device, channels last.

    The result owns `network.module`.
    """
    device = next(network.module.parameters()).device
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        module = GapNetwork(network.module, description.head, len(description.classes))
    return module.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload, no-any-return] # torch's stubs


def _offline_architecture(network: Network) -> tuple[str, dict[str, object]]:
    """Name and arguments that build the architecture offline, also for a network from the hub."""
    if isinstance(network.module, HubClassifier):
        return network.name, network.module.arguments
    if not network.name.startswith("hf-hub:"):
        return network.name, dict(network.args)
    from timm.models import load_model_config_from_hf

    _, name, args = load_model_config_from_hf(network.name.removeprefix("hf-hub:"))
    return f"timm/{name}", {**(args or {}), **network.args}


def classes_in(network: Network, classes: Sequence[str]) -> list[int] | None:
    """Index of each class in the network's own head; None if a class is missing there."""
    known = network.classes
    if not known.names:
        return None
    try:
        found = [known.index(name, len(known.names)) for name in classes]
    except CamxError:
        return None
    # A folder named "3" is a class name, not class 3 of the pretrained head.
    numbered = any(name.isdecimal() for name in classes) and len(known.names) != len(classes)
    return None if numbered or len(set(found)) != len(found) else found


@torch.no_grad()
def original_accuracy(
    module: nn.Module, pictures: Pictures, samples: Sequence[Sample], columns: Sequence[int], tick: Tick
) -> float | None:
    """Accuracy of the network's own head on the readable samples, among the classes at `columns`."""
    correct = count = 0
    for start in range(0, len(samples), 32):
        part = samples[start : start + 32]
        readable = [(p, s.label) for p, s in zip(pictures.load(part), part) if not isinstance(p, Unreadable)]
        if readable:
            inputs = pictures.normalised([pixels for pixels, _ in readable])
            scores: Tensor = scores_of(module(inputs))[:, list(columns)]
            correct += int((scores.argmax(1).cpu() == torch.tensor([label for _, label in readable])).sum())
            count += len(readable)
        tick(len(part))
    return correct / count if count else None
