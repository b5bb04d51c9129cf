"""Reads the files that describe weights and lie beside them: of the Hugging Face hub, of timm's training."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from ..errors import CamxError
from ..regular_files import CONFIG_BYTES, read_regular
from ..yaml_text import parse_yaml
from .placeholders import to_plain

#: Largest configurations in bytes; YAML is slow to parse.
_LONGEST = {".json": 50_000_000, ".yaml": 1_000_000}
_NAMES = ("config.json", "preprocessor_config.json", "args.yaml")


def configurations(weights: str) -> dict[str, Mapping[str, Any]]:
    """Configurations beside the file `weights`, by name. Raises `CamxError` for an unreadable one.

    An `args.yaml` counts only beside a .tar or .pth file, and a `config.json` only if timm or transformers wrote it.
    """
    folder = os.path.dirname(weights)
    found = {name: content for name in _NAMES if (content := _read(os.path.join(folder, name)))}
    config = found.get("config.json", {})
    if not {"architecture", "architectures", "model_type", "pretrained_cfg"} & set(config):
        found.pop("config.json", None)
        found.pop("preprocessor_config.json", None)
    if not weights.endswith((".tar", ".pth")) or "model" not in found.get("args.yaml", {}):
        found.pop("args.yaml", None)
    return found


def _read(path: str) -> Mapping[str, Any]:
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > _LONGEST[os.path.splitext(path)[1]]:
            return {}
        if path.endswith(".yaml"):
            content = parse_yaml(read_regular(path, CONFIG_BYTES))
        else:
            content = json.loads(read_regular(path, _LONGEST[".json"]))
        content = to_plain(content)
    except (OSError, ValueError, RecursionError) as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise CamxError(
            f"The {os.path.basename(path)} in {os.path.dirname(path)!r} cannot be read: {first}.",
            "Fetch it again, or move it elsewhere.",
        ) from error
    return content if isinstance(content, Mapping) else {}
