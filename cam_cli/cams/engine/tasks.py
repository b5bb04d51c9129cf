"""Requirements of each task of a network: the methods, targets and options that work with it."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import CamxError
from ...models.classes import ClassNames, checked
from ...models.detectors import detected_classes
from ...models.network import Network
from ...models.tasks import CLASSIFICATION, DETECTION, SEGMENTATION, SIMILARITY, VALUES
from ..tracing.scored_network import task_of
from ..tracing.trace import Trace
from .options import ExplainOptions
from .predictions import ClassReader
from .targets import Target

#: Methods that explain a score of any kind, by its gradient or its change. A new method is an error for other tasks
#: than classification until it has a test there.
_ANY_SCORE = (
    *("gradcam", "gradcam++", "smooth-gradcam++", "xgradcam", "hirescam", "elementwise", "layercam", "eigencam"),
    *("eigengradcam", "fem", "scorecam", "ablationcam", "reciprocam", "rise", "saliency", "smoothgrad"),
    *("integrated-gradients", "guided-backprop", "deconvnet", "guided-gradcam", "occlusion", "smoothgrad-squared"),
    *("vargrad", "gradient-shap", "blur-ig", "guided-ig", "kernel-shap", "lime", "xrai", "fullgrad"),
    "lrp",
    *("kpcacam", "segeigencam", "sscam", "iscam", "refinecam"),
)
METHODS_OF = {
    # The others take a softmax over scores of channels, in which sums over thousands of pixels leave only the largest.
    SEGMENTATION: tuple(name for name in _ANY_SCORE if name not in ("scorecam", "sscam", "iscam")),
    **dict.fromkeys(VALUES, (*_ANY_SCORE, "cam")),
    # By gradients: a changed image has other boxes, and only D-RISE (rise) compares boxes.
    DETECTION: ("gradcam", "gradcam++", "xgradcam", "hirescam", "elementwise", "layercam", "rise"),
}
#: The number of classes of a detector that does not state it: any index is allowed.
_MOST = 1 << 20
_WHY = {
    SEGMENTATION: "a segmentation network, which has no probability per image",
    DETECTION: "a detector, which has a score per box",
    SIMILARITY: "an encoder, whose similarity is no score of a class",
}


def reader_of(
    network: Network, options: ExplainOptions, references: Sequence[str], probed: Trace, *, several_labels: bool
) -> ClassReader:
    """Returns the reader of the scores of a network, of which `probed` is a trace.

    Names are those of the references of an encoder, else of the classes; a single logit has two. Raises `CamxError` if
    the number of names is not that of the scores.
    """
    count, task = probed.logits.shape[1], task_of(probed.replay.module)
    if task == DETECTION:
        count = len(network.classes.names) or detected_classes(network.module) or _MOST
    two_sided = probed.one_logit or (task == SEGMENTATION and count == 2)
    classes = network.classes.two_sided() if two_sided else network.classes
    names = ClassNames(tuple(f"like:{one}" for one in references)) if references else classes
    threshold = options.threshold if options.multi_label else None
    checked(names, count, "The list of class names")
    return ClassReader(names, count, options.top_k, threshold, several_labels, task)


def check_method(task: str, name: str) -> None:
    """Raises `CamxError` for a method that does not work with a task."""
    if task != CLASSIFICATION and name not in METHODS_OF[task]:
        raise CamxError(
            f"`methods={name}` does not explain {_what(task)}.",
            f"Use `methods=gradcam`, or one of {', '.join(METHODS_OF[task][1:])}.",
            field="methods",
        )


def _what(task: str) -> str:
    return _WHY.get(task, "a network of values, of which there are no probabilities")


def check_task(task: str, options: ExplainOptions, *, spots: bool) -> None:
    """Raises `CamxError` for methods and options that do not work with a task."""
    if task == CLASSIFICATION:
        return
    what = _what(task)
    for name in options.methods:
        check_method(task, name)
    if options.multi_label:
        raise CamxError(f"`multi_label` does not work with {what}.", "Leave it out.", field="multi_label")
    if task == DETECTION:
        _check_boxes(options)
    if spots:
        raise CamxError(f"`save=spots` compares classifiers, and this is {what}.", "Leave it out.", field="save")
    if task == SIMILARITY and not any(target.kind == "like" for target in options.targets):
        raise CamxError(
            "An encoder has no classes.", "Give the image to compare with: `targets=like:REF.jpg`.", field="targets"
        )


def _check_boxes(options: ExplainOptions) -> None:
    if options.smooth != "none":
        raise CamxError(
            f"`smooth={options.smooth}`: another view has other boxes.", "Leave `smooth` out.", field="smooth"
        )
    if any(target.kind == "top" for target in options.targets):
        raise CamxError(
            "`targets=top`: boxes are chosen by their score.",
            "Give `max_boxes` for their number, and `threshold` for the smallest score.",
            field="targets",
        )


def target_of_task(target: Target, task: str, count: int) -> Target:
    """Returns a target as a network of this task reads it. Raises `CamxError` for one that does not work with it.

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
        f"`targets={target}`: the scores of this network are values, without an order or labels.",
        f"Give one by its index, 0 to {count - 1}, or by its name.",
        field="targets",
    )
