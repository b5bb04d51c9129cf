"""Finds mistyped environment variables `CAMX_…`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

from cam_cli.options import Option

#: Variables that are not options.
_OTHERS = frozenset({"CAMX_CACHE", "CAMX_TEST_DATA"})
#: Smallest similarity of a mistyped name; others may belong to other programs.
_ALIKE = 0.8


def mistyped(environment: Mapping[str, str], options: Iterable[Iterable[Option]]) -> Iterator[str]:
    """Yields a warning for each unknown variable with a similar known one."""
    given = sorted(name for name in environment if name.startswith("CAMX_") and name not in _OTHERS)
    if not given:
        return
    known = {option.variable.removeprefix("CAMX_") for some in options for option in some} - {""}
    for name in given:
        word = name.removeprefix("CAMX_")
        if word not in known and (close := difflib.get_close_matches(word.upper(), sorted(known), n=1, cutoff=_ALIKE)):
            yield f"No option reads the variable {name}. Did you mean CAMX_{close[0]}?"
