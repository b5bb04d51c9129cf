"""Reads class names from the files that people keep beside their weights."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping

from ..errors import CamxError
from ..regular_files import read_regular
from .classes import ClassNames, checked

#: Largest file of class names in bytes; that of ImageNet-22k has one megabyte.
_NAMES_BYTES = 16 << 20
#: Instead of a file: names of the class folders in text order (as ImageFolder numbers them), or no names, so that
#: numbers are indices.
FOLDER, INDEX = "folder", "index"
#: Keys of the names in configurations of transformers, of YOLO, of others.
_KEYS = ("id2label", "names", "class_names", "classes", "label2id", "class_to_idx")
#: Lines `0 Cat`, `0: Cat`, `0,Cat` and `Cat 0`, and WordNet ids before names as in ImageNet lists.
_NUMBER_FIRST = re.compile(r"(\d{1,18})\s*[\s:,;=]\s*(\S.*)")
_NUMBER_LAST = re.compile(r"(.*\S)\s*[\s:,;=]\s*(\d{1,18})")
_WORDNET = re.compile(r"(n\d{8})\s+(\S.*)")


def chosen_names(class_names: str | None, count: int, own: Callable[[], ClassNames]) -> ClassNames:
    """Class names from `class_names` (a file, or `INDEX` for none); the network's `own` names without it.

    Raises `CamxError` for an unreadable file, another number of names, and for `FOLDER`, which only a run over class
    folders can resolve.
    """
    if not class_names:
        return own()
    if class_names == INDEX:
        return ClassNames()
    if class_names == FOLDER:
        raise CamxError(
            "`class_names=folder` takes the names from class folders, which only `camx explain` has.",
            "Give a file of names.",
            field="class_names",
        )
    return checked(read_class_names(class_names), count, f"`class_names` {class_names!r}")


def read_class_names(path: str) -> ClassNames:
    """Reads class names from a file.

    It is a text file (one per line, also `0 Cat`), a list or mapping in JSON or YAML, or a configuration: `config.json`
    of transformers, `data.yaml` of YOLO. Raises `CamxError` for other files.
    """
    try:
        text = read_regular(path, _NAMES_BYTES).decode("utf-8-sig")
        if path.lower().endswith(".json"):
            return ClassNames(tuple(_from_content(json.loads(text))))
        if path.lower().endswith((".yaml", ".yml")):
            return ClassNames(tuple(_from_content(_yaml(text))))
    except OSError as error:
        raise CamxError(f"`class_names` {path!r} cannot be read: {error.strerror}. Check the path.") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CamxError(
            f"`class_names` {path!r} is not a list of names or an object of index to name: {str(error)[:200]}.",
            "Give one name per line, or the names under `names` or `id2label`.",
            field="class_names",
        ) from error
    return _from_lines([line.strip() for line in text.splitlines() if line.strip()])


def _yaml(text: str) -> object:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _from_lines(lines: list[str]) -> ClassNames:
    """Reads one name per line.

    Numbers are indices if every line has one, they are 0, 1, 2 … or 1, 2, 3 …, and the remaining texts are unique.
    """
    for pattern, number, name in ((_NUMBER_FIRST, 1, 2), (_NUMBER_LAST, 2, 1)):
        found = [pattern.fullmatch(line) for line in lines]
        names = {int(one[number]): one[name] for one in found if one}
        for first in (0, 1):
            complete = set(names) == set(range(first, first + len(lines)))
            if lines and complete and len({*names.values()}) == len(lines):
                return ClassNames(tuple(names[index] for index in sorted(names)))
    found = [_WORDNET.fullmatch(line) for line in lines]
    if lines and all(found):
        return ClassNames(tuple(one[2] for one in found if one), tuple(one[1] for one in found if one))
    return ClassNames(tuple(lines))


def _from_content(content: object) -> Iterable[str]:
    if isinstance(content, Mapping):
        inner = next((content[key] for key in _KEYS if isinstance(content.get(key), (list, Mapping))), None)
        if inner is not None:
            return _from_content(inner)
        if all(str(key).isdecimal() for key in content):
            by_index = {int(key): value for key, value in content.items()}
        else:
            by_index = {int(index): name for name, index in content.items()}
        return [_name(by_index[i]) for i in range(len(by_index))]
    if isinstance(content, list):
        return [_name(value) for value in content]
    raise TypeError(f"it holds a {type(content).__name__}")


def _name(value: object) -> str:
    """A name, or the name in Keras' pair of WordNet id and name."""
    return str(value[1]) if isinstance(value, list) and len(value) == 2 else str(value)
