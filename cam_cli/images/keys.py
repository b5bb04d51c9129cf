"""Turns the name of an image in a source into its key: a relative path that never leaves a folder."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Container

#: NUL and lone surrogates that stand for no byte: no file system has names with them.
_NO_LETTER = re.compile("[\0\ud800-\udc7f\udd00-\udfff]")
#: Key of a name without a usable part.
_NAMELESS = "image"


def image_key(name: str) -> str:
    """Key of an image: a relative path with `/`, from its name in a list, an archive or a server.

    The key has no empty part, `.`, `..`, NUL or lone surrogate. Parts that would leave the folder, or that no file
    system accepts, are percent-encoded, which keeps them readable: `../x.jpg` becomes `%2E%2E/x.jpg`.
    """
    parts = _NO_LETTER.sub(lambda found: f"%{ord(found[0]):02X}", name).split("/")
    kept = ["%2E%2E" if part == ".." else part for part in parts if part not in ("", ".")]
    return "/".join(kept) or _NAMELESS


def is_image_key(name: object) -> bool:
    """Whether a name from a journal is a valid key. Any other text must not become a path."""
    return isinstance(name, str) and name != "" and image_key(name) == name


def folded(key: str) -> str:
    """Canonical form of a key: equal for all keys that some file system treats as one name.

    It ignores case, Unicode composition, zero-width letters, and dots or spaces at the end of a part.
    """
    if key.isascii():
        text = key.casefold()
    else:
        text = unicodedata.normalize("NFC", unicodedata.normalize("NFD", key).casefold())
        text = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    return "/".join(part.rstrip(". ") for part in text.split("/"))


def distinct_key(key: str, origin: str, taken: Container[str]) -> str:
    """The key itself; if it is taken, the key with a digest of `origin` before its extension."""
    if key not in taken:
        return key
    stem, extension = os.path.splitext(key)
    digest = hashlib.sha256(os.fsencode(origin)).hexdigest()
    length = 8
    while (other := f"{stem}~{digest[:length]}{extension}") in taken and length < len(digest):
        length += 8
    return other
