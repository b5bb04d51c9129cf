"""Parses and judges conditions under which a command fails, with the uncertainty of the measured values.

May import `statistics`, `options`, `errors` and layers below."""

from .condition import Condition
from .forms import FORMS, comparisons_of, pairs_of
from .judging import Groups, Judge
from .junit import junit
from .markdown import append_step_summary, cell, gates_table, table
from .verdict import FAIL, PASS, WARN, GateResult, Verdict, exit_code, judge

__all__ = [
    "FAIL",
    "FORMS",
    "PASS",
    "WARN",
    "Condition",
    "GateResult",
    "Groups",
    "Judge",
    "Verdict",
    "append_step_summary",
    "cell",
    "comparisons_of",
    "exit_code",
    "gates_table",
    "judge",
    "junit",
    "pairs_of",
    "table",
]
