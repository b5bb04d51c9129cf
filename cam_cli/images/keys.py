"""Names of images: the one place that turns what a source calls an image into a path that stays below a folder."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Container

#: NUL, and halves of letters that stand for no byte: no file system has a name with these.
_NO_LETTER = re.compile("[\0\ud800-\udc7f\udd00-\udfff]")
#: Stands for a name without any usable part.
_NAMELESS = "image"


def image_key(name: str) -> str:
    """The key of an image: a relative path with `/`, from whatever a list, an archive or a server calls it.

    The key has no empty part, no `.`, no `..`, no NUL and no half of a letter. What would leave the folder, or what no
    file system takes, is percent-encoded, so that it stays readable: `../x.jpg` becomes `%2E%2E/x.jpg`.
    """
    parts = _NO_LETTER.sub(lambda found: f"%{ord(found[0]):02X}", name).split("/")
    kept = ["%2E%2E" if part == ".." else part for part in parts if part not in ("", ".")]
    return "/".join(kept) or _NAMELESS


def is_image_key(name: object) -> bool:
    """Whether a name read from a journal or a part is such a key; anything else must not become a path."""
    return isinstance(name, str) and name != "" and image_key(name) == name


def folded(key: str) -> str:
    """One text for all keys that some file system takes for one name: it may not tell apart capitals, letters with
    marks in one or two parts, letters without width, and dots or spaces at an end."""
    if key.isascii():
        text = key.casefold()
    else:
        text = unicodedata.normalize("NFC", unicodedata.normalize("NFD", key).casefold())
        text = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    return "/".join(part.rstrip(". ") for part in text.split("/"))


def distinct_key(key: str, origin: str, taken: Container[str]) -> str:
    """The key itself, or one with a digest of `origin` before its extension where the key is taken already."""
    if key not in taken:
        return key
    stem, extension = os.path.splitext(key)
    digest = hashlib.sha256(os.fsencode(origin)).hexdigest()
    length = 8
    while (other := f"{stem}~{digest[:length]}{extension}") in taken and length < len(digest):
        length += 8
    return other
