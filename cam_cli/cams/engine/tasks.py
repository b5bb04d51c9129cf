"""Requirements of each task of a network: the methods, targets and options that make sense with it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...errors import CamxError
from ...images.listing import find
from ...images.picture import Picture, Unreadable, load
from ...models.classes import ClassNames
from ...models.network import Network
from ...models.tasks import CLASSIFICATION, SEGMENTATION, SIMILARITY, VALUES
from ..tracing.scored_network import ScoredNetwork, scored_network
from .batches import Runner
from .options import ExplainOptions
from .targets import Target

#: Methods that explain a score of any kind, by the gradient of it or by its change; a new method is refused with other
#: tasks than classification until it has a test there.
_ANY_SCORE = (
    *("gradcam", "gradcam++", "smooth-gradcam++", "xgradcam", "hirescam", "elementwise", "layercam", "eigencam"),
    *("eigengradcam", "fem", "scorecam", "ablationcam", "reciprocam", "rise", "saliency", "smoothgrad"),
    *("integrated-gradients", "guided-backprop", "deconvnet", "guided-gradcam", "occlusion", "smoothgrad-squared"),
    *("vargrad", "gradient-shap", "blur-ig", "guided-ig"),
)
METHODS_OF = {
    # Score-CAM takes a softmax over its channels: of sums over thousands of pixels only the largest would be left.
    SEGMENTATION: tuple(name for name in _ANY_SCORE if name != "scorecam"),
    **dict.fromkeys(VALUES, (*_ANY_SCORE, "cam")),
}
_WHY = {
    SEGMENTATION: "a segmentation network, which has no probability per image",
    SIMILARITY: "an encoder, whose similarity is no score of a class",
}


def names_of(network: Network, references: Sequence[Reference], *, two_sided: bool) -> ClassNames:
    """The names of the scores: of the references of an encoder, else of the classes; of one logit, `two_sided`, two."""
    if references:
        return ClassNames(tuple(f"like:{one.place}" for one in references))
    return network.classes.two_sided() if two_sided else network.classes


def check_method(task: str, name: str) -> None:
    """Raises `CamxError` for a method that makes no sense with a task."""
    if task != CLASSIFICATION and name not in METHODS_OF[task]:
        raise CamxError(
            f"`methods={name}` does not explain {_what(task)}.",
            f"Use `methods=gradcam`, or one of {', '.join(METHODS_OF[task][1:])}.",
            field="methods",
        )


def _what(task: str) -> str:
    return _WHY.get(task, "a network of values, of which there are no probabilities")


def check_task(task: str, options: ExplainOptions, *, spots: bool) -> None:
    """Raises `CamxError` for methods and options that make no sense with a task."""
    if task == CLASSIFICATION:
        return
    what = _what(task)
    for name in options.methods:
        check_method(task, name)
    if options.multi_label:
        raise CamxError(f"`multi_label` makes no sense with {what}.", "Leave it out.", field="multi_label")
    if spots:
        raise CamxError(f"`save=spots` compares classifiers, and this is {what}.", "Leave it out.", field="save")
    if task == SIMILARITY and not any(target.kind == "like" for target in options.targets):
        raise CamxError(
            "An encoder has no classes.", "Give the image to compare with: `target=like:REF.jpg`.", field="targets"
        )


def target_of_task(target: Target, task: str, count: int) -> Target:
    """Returns a target as a network of this task understands it. Raises `CamxError` for one that makes no sense.

    count: outputs of the network.
    """
    if target.kind == "like" and task != SIMILARITY:
        raise CamxError(
            f"`targets={target}` needs an encoder, and this network has scores.",
            "Give `task=similarity` with a network without its head (`model_arg num_classes=0`).",
            field="targets",
        )
    if task not in VALUES or target.kind in ("class", "like"):
        return target
    if target.kind == "predicted" and count == 1:
        return Target("class", name="0")
    if target.kind == "top" and target.top > count:
        raise CamxError(
            f"`targets={target}`: the network has {count} {'value' if count == 1 else 'values'}.",
            f"Give one by its index, 0 to {count - 1}, or by its name.",
            field="targets",
        )
    raise CamxError(
        f"`targets={target}`: values have no order and no label among them.",
        f"Give one by its index, 0 to {count - 1}, or by its name.",
        field="targets",
    )


@dataclass(frozen=True)
class Reference:
    """An image or a folder to compare with. place: as the user wrote it. digest: SHA-256 of its files."""

    place: str
    digest: str


def network_for(
    network: Network, runner: Runner, picture: Tensor, targets: Sequence[Target]
) -> tuple[nn.Module, tuple[Reference, ...]]:
    """Returns the network with scores of its task as its output (see `scored_network`), and the references.

    picture: 1×C×H×W, normalised. An encoder gets the cosines to the reference of each `like:` target as its scores, in
    their order. Raises `CamxError` for references that cannot be read.
    """
    scored = scored_network(runner.module, picture, network.scores, network.task)
    places = list(dict.fromkeys(target.name for target in targets if target.kind == "like"))
    if network.task != SIMILARITY or not isinstance(scored, ScoredNetwork) or not places:
        return scored, ()
    found = [_embedding(place, network, runner, scored) for place in places]
    references = tuple(Reference(place, digest) for place, (_, digest) in zip(places, found))
    return scored.with_references(torch.stack([embedding for embedding, _ in found])), references


def _embedding(place: str, network: Network, runner: Runner, scored: nn.Module) -> tuple[Tensor, str]:
    """The sum of the unit embeddings D of an image, or of those of a folder, and the SHA-256 of the files."""
    total, sha = torch.zeros((), device=runner.device), hashlib.sha256()
    for source in find([place]).sources:
        picture = load(source, network.preprocessing)
        if not isinstance(picture, Picture):
            reason = picture.reason if isinstance(picture, Unreadable) else "it is too large"
            raise CamxError(
                f"`targets=like:{place}`: {source.key!r} cannot be read: {reason}.",
                "Give another image.",
                field="targets",
            )
        with torch.no_grad(), runner.autocast():
            embedding = scored(runner.inputs([picture])).float()
        total = total + torch.nn.functional.normalize(embedding, dim=1)[0]
        sha.update(picture.digest.encode())
    if not bool(torch.isfinite(total).all()) or not bool(total.any()):
        raise CamxError(
            f"`targets=like:{place}`: its embedding is zero or not finite.", "Give another image.", field="targets"
        )
    return total, sha.hexdigest()
