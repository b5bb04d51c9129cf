"""Advice for errors about exhausted files, processes, threads or memory."""

from __future__ import annotations

import errno

_ADVICE = {
    errno.EMFILE: "Raise the limit of open files (`ulimit -n`), or give fewer `workers`.",
    errno.ENFILE: "The whole system has too many open files: end other programs, or give fewer `workers`.",
    errno.EAGAIN: "Raise the limit of processes and threads (`ulimit -u`), or give fewer `workers`.",
    errno.ENOMEM: "Raise the limit of memory (`ulimit -v`), end other programs, or give fewer `workers`.",
    errno.EFBIG: "Raise the limit of file sizes (`ulimit -f`).",
}
#: Phrases in errors of torch and the interpreter that have no error number.
_MEMORY = ("allocate memory", "out of memory", "failed to map segment", "std::bad_alloc", "not enough memory")
_THREADS = ("can't start new thread", "thread constructor failed", "Resource temporarily unavailable")


def advice(error: OSError, otherwise: str = "") -> str:
    """Advice for an error of the system; `otherwise` if it is no shortage."""
    return _ADVICE.get(error.errno or 0, otherwise)


def is_memory(error: BaseException) -> bool:
    """Whether an error of any library means that memory is exhausted."""
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return isinstance(error, MemoryError) or any(words in str(error) for words in _MEMORY)


def is_threads(error: BaseException) -> bool:
    """Whether an error of any library means that threads or processes are exhausted."""
    if isinstance(error, OSError):
        return error.errno == errno.EAGAIN
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _THREADS)
