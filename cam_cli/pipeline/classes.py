"""Matches labels of images with classes of the network, and warns about doubtful ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from ..errors import CamxError
from ..images.class_folders import class_folders
from ..images.labels import FOLDER as FOLDER_LABELS
from ..images.listing import Inputs, Source
from ..models.catalog import Network, load_model
from ..models.class_files import FOLDER, INDEX
from ..models.classes import ClassNames, checked
from ..sentences import counted

if TYPE_CHECKING:
    from ..cams.engine.explainer import Explainer
    from .job import EvaluateJob, ExplainJob

#: Number of names that a sentence lists.
_NAMED = 3


def network_with_classes(job: ExplainJob | EvaluateJob) -> Network:
    """Loads the network of the job. With `class_names=folder` its classes have the names of the class folders."""
    spec = job.model
    if spec.class_names == FOLDER:
        folders = class_folders(job.sources)
        if not folders:
            raise CamxError(
                f"`class_names=folder`: there are no class folders in {', '.join(map(repr, job.sources))}.",
                "Give the folder that holds one folder per class, or a file of names.",
                field="class_names",
            )
        network = load_model(dataclasses.replace(spec, class_names=None), job.origins)
        names = ClassNames(folders)
        # The number of classes of other networks is known only after a forward.
        if isinstance(count := getattr(network.module, "num_classes", None), int):
            checked(names, count, f"`class_names=folder` ({_listed(folders)})")
        return dataclasses.replace(network, classes=names)
    return load_model(spec, job.origins)


def check_numbered_folders(job: ExplainJob | EvaluateJob, explainer: Explainer) -> None:
    """Raises `CamxError` if labels are numbered folders, the network has no class names, and a number is ambiguous: it
    may be a class index, or the name of a folder whose position is the class."""
    if job.labels != FOLDER_LABELS or job.model.class_names == INDEX or explainer.classes.names:
        return
    folders = class_folders(job.sources)
    if len(folders) != explainer.class_count or not all(name.isascii() and name.isdecimal() for name in folders):
        return
    differing = [(name, place) for place, name in enumerate(folders) if int(name) != place]
    if differing:
        name, place = differing[0]
        raise CamxError(
            f"The class folder {name!r} may mean class {int(name)}, or class {place}: its position in the order of the "
            "names, as ImageFolder numbers them. The network has no class names to decide.",
            "Give `class_names=folder` if it was trained on such folders by ImageFolder, "
            "`class_names=index` if the numbers are its classes, or a file of names.",
            field="class_names",
        )


def unknown_labels(explainer: Explainer, inputs: Inputs, *, by_folder: bool) -> Iterator[str]:
    """Yields warnings about labels that are no class of the network. by_folder: labels are names of folders."""
    labels = {label: Source("", "", label) for source in inputs.sources for label in source.labels}
    unknown = sorted(label for label, source in labels.items() if not explainer.classes_of(source))
    if not unknown:
        return
    shared = {label: found for label in unknown if (found := explainer.classes.sharing(label))}
    if shared:
        examples = [f"{label}: {', '.join(map(str, found[:_NAMED]))}" for label, found in shared.items()]
        names = counted(len(shared), "label is the name", "labels are names")
        yield (
            f"{names} of several classes ({_listed(examples)}), so `correct` stays empty for "
            f"{_images(shared, inputs)}. Give the index of the class as the label."
        )
    unknown = [label for label in unknown if label not in shared]
    if not unknown:
        return
    without = [source for source in inputs.sources if source.labels and not explainer.classes_of(source)]
    count, images = len(unknown), sum(not {*source.labels}.isdisjoint(unknown) for source in without)
    rest = f"`correct` stays empty for {counted(images, 'image')}." if images else "Other labels of these images count."
    if by_folder and len(labels) == count == 1 and not any("/" in source.key for source in inputs.sources):
        yield (
            f"There are no class folders in {inputs.base!r}: `labels=folder` reads the label from the folder of an "
            f"image, and {unknown[0]!r} is no class of the model. `correct` stays empty."
        )
    elif by_folder and not explainer.classes.names:
        yield (
            f"{count} class folders are no class of the model, which has no class names ({_listed(unknown)}); {rest} "
            "Give `class_names=folder` if it was trained on these folders by ImageFolder, or a file of names."
        )
    else:
        names = counted(count, "label is", "labels are")
        yield f"{names} no class of the model ({_listed(unknown)}); {rest}"


def _images(labels: Collection[str], inputs: Inputs) -> str:
    """Number of images with such a label."""
    return counted(sum(not {*source.labels}.isdisjoint(labels) for source in inputs.sources), "image")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")
