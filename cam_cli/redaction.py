"""Secrets in texts that are kept or shown: in addresses, beside the names of secrets, and of the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

#: In place of a secret.
HIDDEN = "***"

#: An address: scheme, user and password, host and path, query, fragment.
_ADDRESS = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)"
    # Also with signs in the password that should have been escaped; a number behind a colon is a port.
    r"(?P<user>[^\s/?#'\"<>]*@|[^\s/?#@:'\"<>]+:(?!\d+/)[^\s@'\"<>]*@)?"
    r"(?P<place>[^\s?#'\"<>]*)"
    r"(?P<query>\?[^\s#'\"<>]*)?"
    r"(?P<fragment>#[^\s'\"<>]*)?"
)
#: In an object store a question mark is a sign of patterns, unless a value follows.
_PATTERNS = ("s3://", "gs://", "hf://", "memory://")
#: `token=…`, `"password": "…"`; not `class_token=…`.
_NAMED = re.compile(
    r"(?i)(?P<name>(?<![\w-])(?:token|sig(?:nature)?|x-(?:amz|goog)-[a-z-]+|(?:[a-z]+[_-])?(?:access[_-]?token|auth[_-]?token|"
    r"hf[_-]?token|session[_-]?token|api[_-]?key|passw(?:or)?d|passphrase|secret|secret[_-]?(?:access[_-]?)?key))"
    r"[\"']?=[\"']?|[\"'](?:token|password|secret|api_?key)[\"']:\s*[\"'])(?P<value>[^\s\"'&,;}\]]+)"
)
_TOKEN = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{20,}|A(?:KIA|SIA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}"
    r"|sk-[A-Za-z0-9_-]{32,}|xox[abpr]-[A-Za-z0-9-]{20,}|glpat-[\w-]{20,})"
)
_SECRET_VARIABLE = re.compile(r"(?i)(TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|CREDENTIAL)")
#: Shorter values of variables may be ordinary words.
_SHORTEST = 12


def redacted(text: str, variables: Sequence[str] | None = None) -> str:
    """The text without user names and passwords of addresses, values of their queries, and known secrets.

    Each is replaced by `***`. Doing it twice changes nothing more. variables: values of secret variables; those of the
    environment where none are given.
    """
    if "://" in text:
        text = _ADDRESS.sub(_address, text)
    if "=" in text or '":' in text or "':" in text:
        text = _NAMED.sub(rf"\g<name>{HIDDEN}", text)
    if "_" in text or "A" in text or "-" in text:
        text = _TOKEN.sub(HIDDEN, text)
    for value in _environment() if variables is None else variables:
        if value in text:
            text = text.replace(value, HIDDEN)
    return text


def redacted_values(content: Any, variables: Sequence[str] | None = None) -> Any:
    """A value as JSON has them, with every text in it redacted."""
    known = _environment() if variables is None else variables
    if isinstance(content, str):
        return redacted(content, known)
    if isinstance(content, Mapping):
        return {key: redacted_values(one, known) for key, one in content.items()}
    if isinstance(content, (list, tuple)):
        return [redacted_values(one, known) for one in content]
    return content


def public_address(url: str) -> str:
    """An address without user, query and fragment: what an image is called by, and what its folder is."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    # In an object store `?` and `#` are letters like others.
    if scheme.lower() in ("http", "https"):
        rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _address(found: re.Match[str]) -> str:
    user = f"{HIDDEN}@" if found["user"] else ""
    query, fragment = found["query"] or "", found["fragment"] or ""
    if found["scheme"].lower() in _PATTERNS and "=" not in query:
        return f"{found['scheme']}{user}{found['place']}{query}{fragment}"
    return f"{found['scheme']}{user}{found['place']}{_hidden(query)}{_hidden(fragment)}"


def _hidden(pairs: str) -> str:
    """`?a=1&b` as `?a=***&***`."""
    if len(pairs) < 2:
        return pairs
    parts = re.split(r"([&;])", pairs[1:])
    shown = [part if part in "&;" else _pair(part) for part in parts]
    return pairs[0] + "".join(shown)


def _pair(part: str) -> str:
    name, equals, _ = part.partition("=")
    return f"{name}={HIDDEN}" if equals else HIDDEN


def _environment() -> list[str]:
    """Values of variables that are secrets by their names."""
    return [
        value
        for name, value in os.environ.items()
        # A path to credentials is no secret.
        if len(value) >= _SHORTEST and _SECRET_VARIABLE.search(name) and not value.startswith(("/", "~", "."))
    ]
