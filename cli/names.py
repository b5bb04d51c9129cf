"""Replaces fields of the library by flags in messages: `top_k` becomes --top-k, `ema=False` becomes --no-ema."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from cam_cli.options import Option

#: `field` or `field=value` in backticks.
_FIELD = re.compile(r"`([a-z_]\w*)(?:=([^`]*))?`")


class Names:
    """Flags of one command by the names in messages: name of the flag, or of its field if unique."""

    def __init__(self, options: Iterable[Option] = ()) -> None:
        options = list(options)
        fields = Counter(option.field for option in options)
        self._options = {option.field: option for option in options if fields[option.field] == 1}
        self._options |= {option.key: option for option in options}

    def find(self, name: str) -> Option | None:
        return self._options.get(name)

    def in_flags(self, text: str) -> str:
        """Replaces fields in a sentence by flags. Other words stay."""

        def flag(match: re.Match[str]) -> str:
            option = self.find(match[1])
            return match[0] if option is None else option.spelled(match[2] or "")

        return _FIELD.sub(flag, text)
