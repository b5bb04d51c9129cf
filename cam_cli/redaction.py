"""Removes secrets from texts: in addresses, after names of secrets, and values of environment variables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

#: Replacement of a secret.
HIDDEN = "***"

#: Parts of an address: scheme, user and password, host and path, query, fragment.
_ADDRESS = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)"
    # Also with unescaped special characters in the password; a number after a colon is a port.
    r"(?P<user>[^\s/?#'\"<>]*@|[^\s/?#@:'\"<>]+:(?!\d+/)[^\s@'\"<>]*@)?"
    r"(?P<place>[^\s?#'\"<>]*)"
    r"(?P<query>\?[^\s#'\"<>]*)?"
    r"(?P<fragment>#[^\s'\"<>]*)?"
)
#: In object stores a question mark belongs to a pattern, unless a value follows.
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
#: Shortest secret value of a variable: shorter ones may be ordinary words.
_SHORTEST = 12


def redacted(text: str, variables: Sequence[str] | None = None) -> str:
    """Removes user names, passwords and query values of addresses, and known secrets.

    Replaces each by `***`. Idempotent. variables: values of secret variables; by default those of the environment.
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
    """A JSON value with every text redacted."""
    known = _environment() if variables is None else variables
    if isinstance(content, str):
        return redacted(content, known)
    if isinstance(content, Mapping):
        return {key: redacted_values(one, known) for key, one in content.items()}
    if isinstance(content, (list, tuple)):
        return [redacted_values(one, known) for one in content]
    return content


def public_address(url: str) -> str:
    """Address without user, query and fragment, for names of images and folders."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    # In object stores `?` and `#` are ordinary characters.
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
    """Values of variables whose names mean secrets."""
    return [
        value
        for name, value in os.environ.items()
        # A path to credentials is not secret.
        if len(value) >= _SHORTEST and _SECRET_VARIABLE.search(name) and not value.startswith(("/", "~", "."))
    ]
