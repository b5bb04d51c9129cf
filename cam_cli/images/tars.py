"""Images inside tar files (the layout of WebDataset), found by their place in the file: nothing is unpacked."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, NamedTuple

from ..errors import CamxError
from .remote import filesystem, is_remote

#: Bytes that are read at once from a tar file elsewhere: its headers lie between the images.
_BLOCK = 8 << 20
_LABEL = ".cls"


class Member(NamedTuple):
    """A file of a tar: its name, where its bytes are, and the label of its sample (`NAME.cls` beside `NAME.jpg`)."""

    name: str
    offset: int
    size: int
    label: str = ""


def is_tar(path: str) -> bool:
    return path.lower().endswith(".tar")


def members(path: str) -> list[Member]:
    """The regular files of a tar file, but for labels, in its order. Raises `CamxError` if it is broken."""
    found: list[Member] = []
    labels: dict[str, str] = {}
    try:
        with _opened(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for one in tar:
                name = _inside(one.name)
                if one.isreg() and not one.issparse() and name:
                    if name.endswith(_LABEL) and one.size < 1000:
                        content = tar.extractfile(one)
                        labels[_sample(name)] = content.read().decode("utf-8", "replace").strip() if content else ""
                    else:
                        found.append(Member(name, one.offset_data, one.size))
                # The library would keep every member that it has met.
                tar.members = []  # type: ignore[attr-defined]
    except tarfile.TarError as error:
        raise CamxError(f"{path!r} is no whole tar file ({error}). Make it again, uncompressed.") from error
    except OSError as error:
        raise CamxError(f"{path!r} cannot be read: {error.strerror or error}. Check the path.") from error
    return [member._replace(label=labels.get(_sample(member.name), "")) for member in found]


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    if is_remote(path):
        with filesystem(path).open(path, "rb", block_size=_BLOCK, cache_type="readahead") as file:
            yield file
    else:
        with open(path, "rb") as file:
            yield file


def _inside(name: str) -> str:
    """A name as a path below the tar file; "" for one that leaves it."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return "" if ".." in parts else "/".join(parts)


def _sample(name: str) -> str:
    """The sample that a file belongs to: its folder, and its name up to the first dot."""
    folder, base = os.path.split(name)
    return f"{folder}/{base.partition('.')[0]}"
