"""Finds the folder of a network of transformers or open_clip: a local one, or a repository in the cache of the hub."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import CamxError, first_line
from ...regular_files import CONFIG_BYTES, MOST_BYTES, read_regular
from ...yaml_text import parse_yaml
from .. import hub

PREFIX = "hf:"
#: Files of a repository to fetch beside its weights: configurations, vocabularies, tags.
FILES = ("*.json", "*.txt", "*.model", "*.jinja", "README.md")
#: `OWNER/NAME`, optionally with `@REVISION`.
_REPOSITORY = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_CONFIG = "config.json"
#: A folder with any of these has a tokenizer.
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "vocab.txt", "spiece.model")
OPEN_CLIP_CONFIG = "open_clip_config.json"
#: Weights of open_clip, in the order of its own preference.
OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
_WAYS_OUT = "Fetch them on a connected machine, and copy its cache (HF_HOME) or the folder (hf:FOLDER)."


@dataclass(frozen=True)
class HubPlace:
    """The folder of a network's files. revision: commit of a repository, "" for a folder of the user."""

    name: str
    folder: str
    revision: str = ""

    @property
    def weights(self) -> str:
        """The origin of the weights, for the record."""
        return f"{self.name} at revision {self.revision}" if self.revision else self.folder

    @property
    def of_open_clip(self) -> bool:
        """Whether open_clip builds the network: not if config.json names a class of transformers with weights beside.

        Raises `CamxError` for an unreadable config.json.
        """
        if not self.has(OPEN_CLIP_CONFIG):
            return False
        return not self.names_class or not (self.has_transformers or not any(map(self.has, OPEN_CLIP_WEIGHTS)))

    @property
    def names_class(self) -> bool:
        """Whether config.json names a class of transformers. Raises `CamxError` for an unreadable one."""
        return self.has(_CONFIG) and bool(architectures(_config(self.folder)))

    @property
    def has_transformers(self) -> bool:
        """Whether the folder has weights for transformers, as safetensors."""
        return self.has("model.safetensors") or self.has("model.safetensors.index.json")

    def read_config(self) -> Mapping[str, Any]:
        """Reads config.json. Raises `CamxError`, also without one."""
        if self.has(_CONFIG):
            return _config(self.folder)
        if _has_open_clip_tag(self.folder):
            raise CamxError(
                f"`model` {self.name!r} names open_clip in the tags of its README.md, but has no {OPEN_CLIP_CONFIG} "
                f"({_file_list(self.folder)}).",
                "Build the network with open_clip, and save it with its push_to_hf_hub.save_for_hf.",
            )
        raise CamxError(
            f"`model` {self.name!r} has no {_CONFIG} ({_file_list(self.folder)}).",
            "Give a folder or repository of transformers (save_pretrained) or of open_clip.",
        )

    def has(self, filename: str) -> bool:
        """Whether the folder holds a file."""
        return os.path.isfile(os.path.join(self.folder, filename))

    def safetensors(self) -> list[str]:
        """Returns the paths of all weight files. Raises `CamxError` for other formats and missing parts."""
        index = os.path.join(self.folder, "model.safetensors.index.json")
        if self.has("model.safetensors"):
            return [os.path.join(self.folder, "model.safetensors")]
        if not os.path.isfile(index):
            raise CamxError(
                f"`model` {self.name!r} has no weights as safetensors ({_file_list(self.folder)}); camx reads no "
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
    """Finds the folder of `hf:PATH_OR_ID[@REVISION]` or of a path with a network; None for any other name.

    A path has a network if its config.json names a classifier of transformers, or if it has an open_clip_config.json
    and no config.json. Fetches a repository that is not in the cache. Raises `CamxError` if there is none.
    """
    if is_hub_name(name):
        return _folder_of_name(name)
    path = os.path.expanduser(name)
    folder = path if os.path.isdir(path) else os.path.dirname(path) if path.endswith(".safetensors") else ""
    if not folder or not (path == folder or os.path.isfile(path)):
        return None
    place = HubPlace(name, folder)
    if place.has(_CONFIG):
        return place if names_classifier(_config(folder)) else None
    whole = path == folder or os.path.basename(path) in OPEN_CLIP_WEIGHTS
    return place if whole and place.has(OPEN_CLIP_CONFIG) else None


def names_classifier(config: Mapping[str, Any]) -> bool:
    """Whether a config.json describes an image classifier of transformers."""
    own = config.get("architectures")
    named = isinstance(own, list) and any("ForImageClassification" in str(one) for one in own)
    return named and config.get("model_type") != "timm_wrapper"


def _folder_of_name(name: str) -> HubPlace:
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
    folder = _repository_folder(found["repo"], found["revision"], name)
    return HubPlace(f"{PREFIX}{found['repo']}", folder, os.path.basename(folder))


def _repository_folder(repo: str, revision: str | None, name: str) -> str:
    """Returns the folder of a repository in the cache of the hub. Fetches it if the cache has no weights of it."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    with contextlib.suppress(LocalEntryNotFoundError):
        folder = snapshot_download(repo, revision=revision, allow_patterns=list(FILES), local_files_only=True)
        if _complete(HubPlace(name, folder)):
            return folder
    whole = f"{repo}@{revision}" if revision else repo
    hub.require_reachable(hub.hub_url(whole, _CONFIG), name, _WAYS_OUT, hub.hub_url(whole, OPEN_CLIP_CONFIG))
    try:
        return _fetch(repo, revision, name)
    except CamxError:
        raise
    except Exception as error:  # the hub, the network and the disk may raise anything
        raise CamxError(
            f"`model` {name!r} cannot be fetched: {first_line(error)}.", "Check the name and the connection."
        ) from error


def tokenizer_folder(repo: str, name: str) -> str:
    """Returns the folder of the tokenizer in a repository of the hub. Fetches it if the cache has none.

    name: of the network, for errors. Raises `CamxError`.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(repo, allow_patterns=list(FILES), local_files_only=True)
        if any(map(HubPlace(name, folder).has, TOKENIZER_FILES)):
            return folder
    except HFValidationError as error:
        raise CamxError(
            f"`model` {name!r} names the tokenizer {repo!r:.100}, which is no repository of the hub.",
            "Put the files of the tokenizer beside the network.",
        ) from error
    except LocalEntryNotFoundError:
        pass
    known, instead = (hub.hub_url(repo, file) for file in (TOKENIZER_FILES[1], _CONFIG))
    hub.require_reachable(known, name, _WAYS_OUT, instead, subject=f"The tokenizer {repo!r} of {name!r} is")
    try:
        return snapshot_download(repo, allow_patterns=list(FILES))
    except Exception as error:  # the hub, the network and the disk may raise anything
        raise CamxError(
            f"The tokenizer {repo!r} of {name!r} cannot be fetched: {first_line(error)}.",
            "Put its files beside the network, or check the connection.",
        ) from error


def _complete(place: HubPlace) -> bool:
    """Whether the folder has the weights for the library that builds the network."""
    if place.of_open_clip:
        return any(map(place.has, OPEN_CLIP_WEIGHTS))
    try:
        return bool(place.safetensors())
    except CamxError:
        return False


def _fetch(repo: str, revision: str | None, name: str) -> str:
    """Fetches the files of a repository, with the weights for the library that builds the network."""
    from huggingface_hub import snapshot_download

    folder = snapshot_download(repo, revision=revision, allow_patterns=list(FILES))
    place, commit = HubPlace(name, folder), os.path.basename(folder)
    if place.names_class or not place.has(OPEN_CLIP_CONFIG):
        snapshot_download(repo, revision=commit, allow_patterns=["*.safetensors"], ignore_patterns=["open_clip*"])
    if place.has(OPEN_CLIP_CONFIG) and not (place.names_class and place.has_transformers):
        snapshot_download(repo, revision=commit, allow_patterns=list(OPEN_CLIP_WEIGHTS))
    return folder


def _config(folder: str) -> Mapping[str, Any]:
    path = os.path.join(folder, _CONFIG)
    try:
        content = json.loads(read_regular(path, MOST_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise CamxError(f"The {_CONFIG} in {folder!r} cannot be read: {first_line(error)}. Fetch it again.") from error
    return content if isinstance(content, Mapping) else {}


def architectures(config: Mapping[str, Any]) -> list[str]:
    """Returns the class names of networks in a config.json."""
    stated = config.get("architectures")
    return [str(one) for one in stated] if isinstance(stated, (list, tuple)) else []


def _has_open_clip_tag(folder: str) -> bool:
    """Whether the first lines of README.md name open_clip as the library or among the tags."""
    try:
        text = read_regular(os.path.join(folder, "README.md"), CONFIG_BYTES)
        head = parse_yaml(text.split(b"---")[1]) if text.startswith(b"---") else {}
    except (OSError, ValueError):
        return False
    tags = [head.get("library_name"), *_list(head.get("tags"))] if isinstance(head, Mapping) else []
    return any(str(tag).replace("-", "_") == "open_clip" for tag in tags)


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _file_list(folder: str) -> str:
    names = sorted(os.listdir(folder))
    return ", ".join(names[:4]) + ", …" * (len(names) > 4) if names else "the folder is empty"
