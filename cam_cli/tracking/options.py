"""Options of tracking: which trackers follow a run, and the project, name and tags of it in W&B."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..declared_types import Names, names_of
from ..errors import CamxError
from ..options import TRACKING, Flag, check
from ..redaction import redacted

MODES = ("auto", "online", "offline")


def check_public(field: str, name: str | None) -> None:
    """Raises `CamxError` for the name of a place in W&B that holds a secret.

    It is not replaced by `***`, as a text would be: the run would go to another place.
    """
    if name and redacted(name) != name:
        raise CamxError(
            f"`{field}` {name!r} holds a secret, which W&B would show to everybody who sees the run.",
            "Give the name alone.",
            field=field,
        )


@dataclass(frozen=True)
class WandbOptions:
    """Target of a run in W&B. `mode` auto: online if there is a key and a server that answers, else offline. Where a
    field is None, W&B's own settings apply; the default project is camx. Raises `CamxError` for an unknown mode, and
    for a project or an entity that holds a secret."""

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
        Flag("Tags of the W&B run, with commas.", name="wandb-tags", panel=TRACKING, example="first"),
    ] = names_of()
    mode: Annotated[
        str,
        Flag(
            "auto (offline where there is no key or no server), online (insist) or offline.",
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
    """Trackers that follow a run. `max_images`: rows of a table with images."""

    wandb: Annotated[bool, Flag("Log the run to Weights & Biases.", panel=TRACKING, page="wandb.md")] = False
    wandb_options: WandbOptions = WandbOptions()
    max_images: Annotated[
        int,
        Flag(
            "Images in the table: wrong ones first, then blank, doubtful, and some of each class.",
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
