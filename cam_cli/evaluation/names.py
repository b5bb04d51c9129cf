"""Matches class names of a truth with classes of the network: by name, synonym, index, or a table."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import CamxError
from ..images.tables import read_table
from ..regular_files import open_text


class ClassMatcher:
    """Compares classes of the truth with classes of maps. synonyms: names in the truth → names in the network."""

    def __init__(self, synonyms: Mapping[str, frozenset[str]] | None = None) -> None:
        self._synonyms = synonyms or {}

    def same(self, truth: str, index: int, name: str) -> bool:
        """Whether a class of the truth is the network's class `index` with `name` (several names with commas)."""
        wanted = self._synonyms.get(_plain(truth), frozenset()) | {_plain(truth)}
        return bool(wanted & {str(index), _plain(name), *map(_plain, name.split(", "))})


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()


def read_synonyms(path: str) -> dict[str, frozenset[str]]:
    """Reads a table `truth,model`. A class of the truth may have several lines, one for each class of the network.

    Raises `CamxError` if it cannot be read.
    """
    try:
        with open_text(path, errors="replace") as file:
            rows = list(read_table(file, path, required="truth"))
    except OSError as error:
        raise CamxError(
            f"`names` {path!r} cannot be read: {error.strerror}.", "Give a CSV with truth,model.", field="names"
        ) from error
    if rows and "model" not in rows[0]:
        raise CamxError(f"{path!r} has no column 'model'. Its first line must name the columns truth,model.")
    found: dict[str, frozenset[str]] = {}
    for row in rows:
        key = _plain(row["truth"])
        found[key] = found.get(key, frozenset()) | {_plain(row["model"])}
    return found
