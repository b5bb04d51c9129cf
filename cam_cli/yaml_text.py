"""YAML from files of strangers: data alone, and no more of it than the text is long."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

#: Values in a text, each alias counted as often as it is used: nine lines can stand for a billion.
_MOST_VALUES = 1_000_000
_DEEPEST = 200


def parse_yaml(data: bytes) -> Any:
    """The content of a YAML text. Raises `ValueError` in one line for one that is broken, too deep, or grows by its
    aliases."""
    import yaml

    if _brackets(data) > _DEEPEST:
        raise ValueError("nested too deeply")
    try:
        # The loader makes plain values only.
        content = yaml.load(data.decode("utf-8", "replace"), _loader())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())[:200]) from error
    # Constructors raise what Python raises on a key that is a list or a date that is none.
    except (TypeError, AttributeError, OverflowError, IndexError, KeyError) as error:
        raise ValueError(f"{type(error).__name__}: {error}"[:200]) from error
    if not _within(content, _MOST_VALUES):
        raise ValueError("its aliases make it endless")
    return content


@cache
def _loader() -> Any:
    """The loader of plain values, with a limit on what merge keys (`<<`) add: each can double what the last one had."""
    import yaml

    class Loader(yaml.SafeLoader):
        merged = 0

        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            super().flatten_mapping(node)
            self.merged += len(node.value)
            if self.merged > _MOST_VALUES:
                raise yaml.YAMLError("its merge keys make it endless")

    return Loader


def _brackets(data: bytes) -> int:
    """The most brackets that are open at once; the time of the parser grows with their square."""
    depth = deepest = 0
    for bracket in re.findall(rb"[\[\]{}]", data):
        depth = depth + 1 if bracket in b"[{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest


def _within(content: Any, most: int) -> bool:
    """Whether a value holds at most so many values, each counted as often as it is met."""
    waiting, count = [content], 0
    while waiting:
        one = waiting.pop()
        count += 1
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, (list, tuple, set)):
            waiting.extend(one)
        if count + len(waiting) > most:
            return False
    return True
