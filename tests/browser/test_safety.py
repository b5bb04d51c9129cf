"""Nothing in a report runs except its own script."""

from __future__ import annotations

from pathlib import Path

import pytest

from .pages import HOSTILE, HOSTILE_CLASS, Opened

pytestmark = pytest.mark.browser


def test_hostile_names_are_shown_and_nothing_else(opened: Opened, out: Path) -> None:
    page = opened(out)
    page.locator(".name", has_text=HOSTILE).click()
    page.wait_for_selector("#large[open] .heat")
    assert page.locator("#large strong").inner_text() == HOSTILE
    page.keyboard.press("Escape")
    for view in ("table", "classes", "confusion", "distribution", "failures", "made"):
        page.evaluate(f"go({{ view: '{view}' }})")
        page.wait_for_timeout(50)
    page.evaluate("(of) => go({ view: 'classes', of })", HOSTILE_CLASS)
    page.wait_for_selector("h2")
    assert page.locator("#view h2").inner_text() == HOSTILE_CLASS
    assert page.evaluate("document.querySelectorAll('script').length") == 2


def test_the_policy_stops_what_is_not_the_own_script(opened: Opened, out: Path) -> None:
    page = opened(out)
    page.evaluate(
        "(() => { const s = document.createElement('script'); try { s.text = 'window.pwned = 1'; } catch {} document.body.append(s); })()"
    )
    page.evaluate(
        "(() => { const i = new Image(); i.src = 'https://example.invalid/x.png'; document.body.append(i); })()"
    )
    page.wait_for_timeout(100)
    assert page.evaluate("window.pwned") is None
    assert opened.complaints, "the browser says that it refused"
    opened.complaints.clear()
