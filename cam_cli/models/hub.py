"""Checks within seconds that the hub answers, before a library retries for minutes."""

from __future__ import annotations

import contextlib
import os
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator

from ..errors import CamxError

TIMEOUT = 5.0
_ABSENT = "does not have them (404)"
_WAYS_OUT = (
    "Give `checkpoint=FILE`, fetch the weights on a connected machine and copy its cache "
    "(HF_HOME or TORCH_HOME), or try random weights: `pretrained=False`."
)


def cached_on_hub(repository: str, *filenames: str) -> bool:
    """Whether the local cache has any file of a Hugging Face repository."""
    from huggingface_hub import try_to_load_from_cache

    repo, _, revision = repository.partition("@")
    return any(isinstance(try_to_load_from_cache(repo, name, revision=revision or None), str) for name in filenames)


def offline() -> bool:
    """Whether the user forbids access to the hub: `HF_HUB_OFFLINE=1`."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def hub_url(repository: str, filename: str) -> str:
    from huggingface_hub import hf_hub_url

    repo, _, revision = repository.partition("@")
    return hf_hub_url(repo, filename, revision=revision or None)


@contextlib.contextmanager
def no_network() -> Iterator[None]:
    """While active, cached files are used without asking the hub for newer ones."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def require_reachable(url: str, what: str, ways_out: str = _WAYS_OUT, instead: str = "", *, subject: str = "") -> None:
    """Raises `CamxError` unless `url`, or `instead` if there is nothing at it, answers within `TIMEOUT` seconds in all.

    subject: what is fetched and its verb, if other than the weights of `what`.
    """
    subject = subject or f"The weights of {what} are"
    if offline():
        raise CamxError(f"{subject} not on this machine, and HF_HUB_OFFLINE forbids fetching them.", ways_out)
    answer: list[str | None] = []
    thread = threading.Thread(target=lambda: answer.append(_first_probe(url, instead)), daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    problem = answer[0] if answer else f"does not answer within {TIMEOUT:.0f} s"
    if problem:
        host = urllib.parse.urlsplit(url).netloc
        raise CamxError(f"{subject} not on this machine, and {host} {problem}.", ways_out)


def require_file(url: str, what: str) -> None:
    """Raises `CamxError` unless the weights at `url` are in torch's cache or can be fetched."""
    import torch

    if not os.path.exists(os.path.join(torch.hub.get_dir(), "checkpoints", os.path.basename(url))):
        require_reachable(url, what)


def _first_probe(url: str, instead: str) -> str | None:
    problem = _probe(url)
    return _probe(instead) if instead and problem == _ABSENT else problem


def _probe(url: str) -> str | None:
    request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "camx", **_credentials(url)})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT):
            return None
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            return f"refuses access to them ({error.code}; log in with `hf auth login` if they are yours)"
        if error.code == 404:
            return _ABSENT
        return f"answers {error.code}" if error.code >= 400 else None
    except (OSError, ValueError) as error:
        return f"cannot be reached ({getattr(error, 'reason', error)})"


def _credentials(url: str) -> dict[str, str]:
    from huggingface_hub import constants, get_token

    token = get_token() if url.startswith(constants.ENDPOINT) else None
    return {"Authorization": f"Bearer {token}"} if token else {}
