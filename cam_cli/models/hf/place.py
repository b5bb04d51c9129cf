"""Finds the folder of a network of the transformers library: a local one, or a repository in the cache of the hub."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import CamxError, first_line
from ...regular_files import MOST_BYTES, read_regular
from .. import hub

PREFIX = "hf:"
#: Files of a repository to fetch: configurations, vocabularies, and weights as safetensors.
_FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "*.jinja")
#: `OWNER/NAME`, and `@REVISION`.
_REPOSITORY = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_CONFIG = "config.json"
_WAYS_OUT = "Fetch them on a connected machine, and copy its cache (HF_HOME) or the folder (hf:FOLDER)."


@dataclass(frozen=True)
class HubPlace:
    """Folder with the files of a network. revision: commit of a repository, "" for a folder of the user."""

    name: str
    folder: str
    revision: str = ""

    @property
    def weights(self) -> str:
        """Origin of the weights, for the record."""
        return f"{self.name} at revision {self.revision}" if self.revision else self.folder

    def read_config(self) -> Mapping[str, Any]:
        """Reads config.json. Raises `CamxError`."""
        return _config(self.folder)

    def has(self, filename: str) -> bool:
        """Whether the folder holds a file."""
        return os.path.isfile(os.path.join(self.folder, filename))

    def safetensors(self) -> list[str]:
        """Paths of all weight files. Raises `CamxError` for other formats and missing parts."""
        index = os.path.join(self.folder, "model.safetensors.index.json")
        if self.has("model.safetensors"):
            return [os.path.join(self.folder, "model.safetensors")]
        if not os.path.isfile(index):
            raise CamxError(
                f"`model` {self.name!r} has no weights as safetensors ({_listed(self.folder)}); camx reads no "
                "other format for networks of transformers.",
                "Save it again: model.save_pretrained(FOLDER).",
            )
        try:
            names = sorted({str(name) for name in json.loads(read_regular(index, MOST_BYTES))["weight_map"].values()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CamxError(f"The index {index!r} cannot be read: {first_line(error)}. Fetch it again.") from error
        if missing := [name for name in names if os.path.basename(name) != name or not self.has(name)]:
            raise CamxError(f"The index {index!r} names {missing[0]!r}, which is no file beside it. Fetch it again.")
        return [os.path.join(self.folder, name) for name in names]


def is_hub_name(name: str) -> bool:
    """Whether this is `hf:PATH_OR_ID`, not an address `hf://…`."""
    return name.startswith(PREFIX) and not name.startswith("hf://")


def hub_place(name: str) -> HubPlace | None:
    """Place of `hf:PATH_OR_ID[@REVISION]`, or of a path whose config.json names a classifier of transformers.

    None for any other name. Fetches a repository that is not in the cache. Raises `CamxError`.
    """
    if is_hub_name(name):
        return _named(name)
    path = os.path.expanduser(name)
    folder = path if os.path.isdir(path) else os.path.dirname(path) if path.endswith(".safetensors") else ""
    if not folder or not os.path.isfile(path if path != folder else os.path.join(folder, _CONFIG)):
        return None
    if not os.path.isfile(os.path.join(folder, _CONFIG)) or not names_classifier(_config(folder)):
        return None
    return HubPlace(name, folder)


def names_classifier(config: Mapping[str, Any]) -> bool:
    """Whether a config.json describes an image classifier of transformers."""
    own = config.get("architectures")
    named = isinstance(own, list) and any("ForImageClassification" in str(one) for one in own)
    return named and config.get("model_type") != "timm_wrapper"


def _named(name: str) -> HubPlace:
    rest = name.removeprefix(PREFIX)
    path = os.path.expandvars(os.path.expanduser(rest))
    if os.path.isdir(path):
        return HubPlace(name, path)
    found = _REPOSITORY.fullmatch(rest)
    if not found or rest.startswith((".", "/", "~")):
        raise CamxError(
            f"`model` {name!r}: there is no folder {path!r}, and the name is no repository of the hub.",
            "Give hf:FOLDER, hf:OWNER/NAME or hf:OWNER/NAME@REVISION.",
        )
    folder = _cached(found["repo"], found["revision"], name)
    return HubPlace(f"{PREFIX}{found['repo']}", folder, os.path.basename(folder))


def _cached(repo: str, revision: str | None, name: str) -> str:
    """Folder of a repository in the cache of the hub. Fetches it if the cache has no weights of it."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = snapshot_download(repo, revision=revision, allow_patterns=list(_FILES), local_files_only=True)
        HubPlace(name, folder).safetensors()
        return folder
    except (LocalEntryNotFoundError, CamxError):
        pass
    hub.require_reachable(hub.hub_url(f"{repo}@{revision}" if revision else repo, _CONFIG), name, _WAYS_OUT)
    try:
        return snapshot_download(repo, revision=revision, allow_patterns=list(_FILES))
    except Exception as error:  # the hub, the network and the disk may raise anything
        raise CamxError(
            f"`model` {name!r} cannot be fetched: {first_line(error)}.", "Check the name and the connection."
        ) from error


def _config(folder: str) -> Mapping[str, Any]:
    path = os.path.join(folder, _CONFIG)
    try:
        content = json.loads(read_regular(path, MOST_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise CamxError(f"The {_CONFIG} in {folder!r} cannot be read: {first_line(error)}. Fetch it again.") from error
    return content if isinstance(content, Mapping) else {}


def _listed(folder: str) -> str:
    names = sorted(os.listdir(folder))
    return ", ".join(names[:4]) + ", …" * (len(names) > 4) if names else "the folder is empty"
