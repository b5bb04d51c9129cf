"""Writes judged gates as JUnit XML, which CI systems show as tests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree import ElementTree

from .verdict import FAIL, GateResult

#: Characters that XML 1.0 forbids, even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class TestCase(NamedTuple):
    """A test in addition to the gates. failure: reason, or "" if it passed."""

    name: str
    failure: str = ""


def junit(command: str, results: Sequence[GateResult], others: Sequence[TestCase] = ()) -> bytes:
    """One test per gate, then the others. A warning passes; its output has the sentence."""
    failures = sum(result.verdict == FAIL for result in results) + sum(bool(other.failure) for other in others)
    counts = {"tests": str(len(results) + len(others)), "failures": str(failures), "errors": "0"}
    root = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(root, "testsuite", {"name": f"camx {command}", **counts})
    for result in results:
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": f"camx.{command}", "name": xml_text(result.text)}
        )
        if result.verdict == FAIL:
            ElementTree.SubElement(case, "failure", {"message": xml_text(result.sentence), "type": "gate"})
        output = ElementTree.SubElement(case, "system-out")
        output.text = xml_text(f"{result.verdict}: {result.sentence}")
    for other in others:
        names = {"classname": f"camx.{command}.images", "name": xml_text(other.name)}
        case = ElementTree.SubElement(suite, "testcase", names)
        if other.failure:
            ElementTree.SubElement(case, "failure", {"message": xml_text(other.failure), "type": "image"})
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def xml_text(text: str) -> str:
    """Text without the characters that XML forbids."""
    return _FORBIDDEN.sub("�", text)
