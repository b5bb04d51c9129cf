"""Fetches weights in artifacts of Weights & Biases once into the cache."""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any

from ..errors import CamxError, first_line
from .timm_import import WANDB_HIDDEN

_PREFIX = re.compile(r"(wandb-artifact|wandb):(//)?")
#: ENTITY/PROJECT/NAME:VERSION, or PROJECT/NAME:VERSION of the user's own entity.
_NAME = re.compile(r"([\w.-]+/){1,2}[\w.-]+:[\w.-]+")
#: Timeout of the server in seconds.
_TIMEOUT = 20


def artifact_name(path: str) -> str:
    """Returns the artifact name of a path; "" for any other path.

    Such a path is `wandb-artifact://ENTITY/PROJECT/NAME:VERSION`, also without the prefix unless such a file exists.
    """
    bare = _PREFIX.sub("", path, count=1)
    if not _NAME.fullmatch(bare):
        return ""
    whole = bare.count("/") == 2 and not os.path.exists(bare)
    return bare if bare != path or whole else ""


def local_artifact(name: str, cache: str) -> str:
    """Folder with the files of an artifact, below the folder `cache`. Raises `CamxError`.

    Does not fetch a cached version again. Uses the last cached version if W&B does not answer.
    """
    folder = os.path.join(cache, "wandb", hashlib.sha256(name.encode()).hexdigest()[:16])
    if os.environ.get("WANDB_MODE") == "offline":
        return _kept(folder) or _refused(name, "WANDB_MODE=offline")
    with WANDB_HIDDEN:
        import wandb
    try:
        wandb.setup(wandb.Settings(silent=True))
        if not wandb.login(prompt=False, verify=False):
            return _kept(folder) or _refused(name, "no API key: `wandb login` or WANDB_API_KEY")
        artifact: Any = wandb.Api(timeout=_TIMEOUT).artifact(name)
        place = os.path.join(folder, re.sub(r"[^\w.-]", "_", f"{artifact.version}-{artifact.digest}"))
        if not os.path.exists(os.path.join(place, _WHOLE)):
            artifact.download(root=place)
            with open(os.path.join(place, _WHOLE), "w", encoding="utf-8"):
                pass
        os.utime(place)
        return place
    # wandb raises its own errors, and those of requests and of its service.
    except Exception as error:
        return _kept(folder) or _refused(name, first_line(error), error)


#: File that marks a completely fetched folder.
_WHOLE = ".camx-whole"


def _kept(folder: str) -> str:
    """Version that was used last; "" if none."""
    try:
        whole = [entry.path for entry in os.scandir(folder) if os.path.exists(os.path.join(entry.path, _WHOLE))]
    except OSError:
        return ""
    return max(whole, key=os.path.getmtime, default="")


def _refused(name: str, reason: str, error: Exception | None = None) -> str:
    raise CamxError(
        f"The W&B artifact {name!r} cannot be fetched ({reason}).",
        "Check its name (ENTITY/PROJECT/NAME:VERSION) and the login, or download it and give the file.",
    ) from error
