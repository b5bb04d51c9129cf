"""Makes model specifications independent of the working folder."""

from __future__ import annotations

import dataclasses
import os

from .class_files import FOLDER, INDEX
from .hf.place import PREFIX, is_hub_name
from .names import DEMO, is_name
from .options import ModelSpec
from .own_code import OwnCode
from .remote_weights import is_address


def placed(spec: ModelSpec) -> ModelSpec:
    """Makes every path absolute. Names and addresses stay."""
    name = spec.name
    if is_hub_name(name):
        path = name.removeprefix(PREFIX)
        name = f"{PREFIX}{_absolute(path)}" if os.path.isdir(os.path.expandvars(os.path.expanduser(path))) else name
    elif name != DEMO and not is_name(name):
        code = OwnCode.parse(name)
        name = code.placed if code else _absolute(name) if os.path.exists(os.path.expanduser(name)) else name
    checkpoint = _absolute(spec.checkpoint) if spec.checkpoint else spec.checkpoint
    names = spec.class_names
    class_names = names if names in (None, FOLDER, INDEX) else os.path.abspath(str(names))
    return dataclasses.replace(spec, name=name, checkpoint=checkpoint, class_names=class_names)


def _absolute(path: str) -> str:
    return path if is_address(path) else os.path.abspath(os.path.expanduser(os.path.expandvars(path)))
