"""`camx audit`: accuracy and attention by group, from a run folder alone."""

from .audit import audit
from .options import AuditOptions
from .records import AuditResult

__all__ = ["AuditOptions", "AuditResult", "audit"]
