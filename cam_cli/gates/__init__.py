"""Conditions under which a command fails, judged with the uncertainty of what was measured."""

from .condition import Condition
from .junit import junit
from .markdown import append_step_summary, cell, gates_table, table
from .verdict import FAIL, PASS, WARN, GateResult, Verdict, exit_code, judge

__all__ = [
    "FAIL",
    "PASS",
    "WARN",
    "Condition",
    "GateResult",
    "Verdict",
    "append_step_summary",
    "cell",
    "exit_code",
    "gates_table",
    "judge",
    "junit",
    "table",
]
