"""Captions of the images of `--log-cams`: predicted class and probability after an epoch."""

from __future__ import annotations

from typing import TypedDict

from ..errors import UnreadableImage
from .run_folder import RunFolder
from .shapes import check_of, parse_json
from .units import Share


class Caption(TypedDict):
    """Predicted class of an image after an epoch, its probability, and whether it is right."""

    name: str
    prob: Share
    right: bool


_is_caption = check_of(Caption)


def captions_name(epoch: int) -> str:
    """File of the captions of an epoch (from 1), relative to OUT. Its keys are the names of the overlays."""
    return f"cams/epoch-{epoch:03}/captions.json"


def read_captions(run: RunFolder, epoch: int) -> dict[str, Caption]:
    """Captions of an epoch by the names of the overlays; empty if missing or damaged."""
    try:
        content = parse_json(run.read_file(captions_name(epoch)))
    except (UnreadableImage, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {name: caption for name, caption in content.items() if _is_caption(caption)}
