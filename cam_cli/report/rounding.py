"""Formats numbers on all pages. `page/scripts/figures.js` has the same rules."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Context, Decimal


def percent(share: float | None) -> str:
    """A share in percent with one decimal; `–` for None or NaN.

    Shares close to 0 or 1 become `<0.1 %` and `>99.9 %`.
    """
    if share is None or math.isnan(share):
        return "–"
    if 0 < share < 0.0005:
        return "<0.1\u202f%"
    if 0.9995 < share < 1:
        return ">99.9\u202f%"
    return f"{100 * share:.1f}\u202f%"


def number(value: float | None) -> str:
    """A number with three significant digits; `–` for None or NaN."""
    if value is None or math.isnan(value):
        return "–"
    if value == 0 or math.isinf(value):
        return f"{value:g}"
    exact = Decimal(value)
    rounded = exact.quantize(Decimal(1).scaleb(exact.adjusted() - 2), ROUND_HALF_UP, Context(prec=400))
    if 1e-6 <= abs(rounded) < 1e21:
        text = f"{rounded:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    digits, exponent = f"{rounded:.2e}".split("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(exponent):+d}"
