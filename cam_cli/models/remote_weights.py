"""Fetches remote weights once into a cache."""

from __future__ import annotations

import hashlib
import os
import tempfile
from typing import Any

from ..errors import CamxError
from ..images.remote import filesystem, is_remote, with_retries
from ..images.web import save_url
from .hub import offline
from .wandb_artifacts import artifact_name, local_artifact

#: Largest file of weights to fetch in bytes.
WEIGHTS_BYTES = 100 * 10**9


def local_weights(path: str) -> str:
    """Local path of a file of weights: expands `~` and variables, and fetches an address into the cache.

    An artifact of W&B becomes the folder of its files. Uses the cached copy if the address has the same version, or
    does not answer. Raises `CamxError`.
    """
    if name := artifact_name(path):
        return local_artifact(name, cache_folder())
    if not is_remote(path):
        return os.path.expandvars(os.path.expanduser(path))
    files = filesystem(path)
    stem = hashlib.sha256(path.encode()).hexdigest()[:16]
    name = os.path.basename(path.partition("?")[0].rstrip("/")) or "weights"
    folder = os.path.join(cache_folder(), stem)
    kept = os.path.join(folder, name)
    if offline() and path.startswith(("hf://", "https://huggingface.co/")):
        if os.path.exists(kept):
            return kept
        raise CamxError(f"{path!r} is not in the cache, and HF_HUB_OFFLINE forbids fetching it.", "Unset the variable.")
    try:
        info = with_retries(lambda: files.info(path))
        version = _version(info)
    except CamxError:
        raise
    except Exception as error:
        if os.path.exists(kept):
            return kept
        raise _unreadable(path, error) from error
    mark = os.path.join(folder, "version")
    if os.path.exists(kept) and _text(mark) == version:
        return kept
    if (info.get("size") or 0) > WEIGHTS_BYTES:
        raise CamxError(
            f"The weights {path!r} have {info['size']:,} bytes, more than the limit of {WEIGHTS_BYTES:,}.",
            "Download the file, and give its path.",
        )
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder)
    os.close(handle)
    try:
        if path.startswith("http"):
            with_retries(lambda: save_url(files, path, temporary, WEIGHTS_BYTES))
        else:
            with_retries(lambda: files.get_file(path, temporary))
        os.replace(temporary, kept)
    except CamxError:
        raise
    except Exception as error:
        raise _unreadable(path, error) from error
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
    with open(mark, "w", encoding="utf-8") as file:
        file.write(version)
    return kept


def is_address(path: str) -> bool:
    """Whether a text is an address of weights, not a path."""
    return is_remote(path) or bool(artifact_name(path))


def cache_folder() -> str:
    """Folder of fetched weights: `CAMX_CACHE`, or the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.environ.get("CAMX_CACHE") or os.path.join(base, "camx", "weights")


def _unreadable(path: str, error: Exception) -> CamxError:
    reason = (
        "there is nothing" if isinstance(error, FileNotFoundError) else f"{type(error).__name__}: {str(error)[:200]}"
    )
    return CamxError(f"The weights {path!r} cannot be fetched ({reason}).", "Check the address and your credentials.")


def _version(info: dict[str, Any]) -> str:
    named = ("size", "ETag", "etag", "mtime", "LastModified", "created", "blob_id", "sha256")
    return " ".join(f"{key}={info[key]}" for key in named if info.get(key))


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""
