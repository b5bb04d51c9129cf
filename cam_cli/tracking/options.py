"""Options of tracking: the trackers of a run, and its project, name and tags in W&B."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..declared_types import Names, names_of
from ..errors import CamxError
from ..options import TRACKING, Flag, check
from ..redaction import redacted

MODES = ("auto", "online", "offline")


def check_public(field: str, name: str | None) -> None:
    """Raises `CamxError` if the name of a W&B project or entity holds a secret.

    A replacement by `***`, as in other texts, would send the run to another project.
    """
    if name and redacted(name) != name:
        raise CamxError(
            f"`{field}` {name!r} holds a secret, which W&B would show to everybody who can open the run.",
            "Give the name without the secret.",
            field=field,
        )


@dataclass(frozen=True)
class WandbOptions:
    """Target of a run in W&B. `mode` auto: online if a key exists and the server answers, else offline. For fields that
    are None, W&B's own settings apply; the default project is camx. Raises `CamxError` for an unknown mode, and
    for a project or entity that holds a secret."""

    project: Annotated[
        str | None, Flag("W&B project. [default: camx]", name="wandb-project", panel=TRACKING, example="animals")
    ] = None
    entity: Annotated[str | None, Flag("W&B team or user.", name="wandb-entity", panel=TRACKING, example="team")] = None
    name: Annotated[
        str | None, Flag("Name of the W&B run.", name="wandb-name", panel=TRACKING, example="resnet50-cats")
    ] = None
    group: Annotated[
        str | None, Flag("Group of the W&B run.", name="wandb-group", panel=TRACKING, example="backbones")
    ] = None
    tags: Annotated[
        Names,
        Flag("Tags of the W&B run, separated by commas.", name="wandb-tags", panel=TRACKING, example="first"),
    ] = names_of()
    mode: Annotated[
        str,
        Flag(
            "auto (offline without a key or server), online (fail without them) or offline.",
            name="wandb-mode",
            panel=TRACKING,
            choices=MODES,
        ),
    ] = "auto"

    def __post_init__(self) -> None:
        check(self)
        check_public("project", self.project)
        check_public("entity", self.entity)


@dataclass(frozen=True)
class TrackingOptions:
    """Trackers of a run. max_images: largest number of rows in a table with images."""

    wandb: Annotated[bool, Flag("Log the run to Weights & Biases.", panel=TRACKING, page="wandb.md")] = False
    wandb_options: WandbOptions = WandbOptions()
    max_images: Annotated[
        int,
        Flag(
            "Images in the table, at most: wrong predictions first, then blank maps, low probabilities, and others of "
            "every class.",
            name="wandb-max-images",
            panel=TRACKING,
            min=0,
        ),
    ] = 500
    tensorboard: Annotated[bool, Flag("Log the run to OUT/tensorboard.", panel=TRACKING)] = False

    def __post_init__(self) -> None:
        check(self)

    @property
    def wanted(self) -> bool:
        return self.wandb or self.tensorboard
