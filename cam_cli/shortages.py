"""Sentences on a system that has no more files, processes, threads or memory to give: what to raise."""

from __future__ import annotations

import errno

_ADVICE = {
    errno.EMFILE: "Raise the limit of open files (`ulimit -n`), or give fewer `workers`.",
    errno.ENFILE: "The whole system has too many open files: end other programs, or give fewer `workers`.",
    errno.EAGAIN: "Raise the limit of processes and threads (`ulimit -u`), or give fewer `workers`.",
    errno.ENOMEM: "Raise the limit of memory (`ulimit -v`), end other programs, or give fewer `workers`.",
    errno.EFBIG: "Raise the limit of file sizes (`ulimit -f`).",
}
#: Words that torch and the interpreter have in errors without a number.
_MEMORY = ("allocate memory", "out of memory", "failed to map segment", "std::bad_alloc", "not enough memory")
_THREADS = ("can't start new thread", "thread constructor failed", "Resource temporarily unavailable")


def advice(error: OSError, otherwise: str = "") -> str:
    """A sentence that says what to do about an error of the system; `otherwise` for one that is no shortage."""
    return _ADVICE.get(error.errno or 0, otherwise)


def is_memory(error: BaseException) -> bool:
    """Whether an error of any library says that there is not enough memory."""
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return isinstance(error, MemoryError) or any(words in str(error) for words in _MEMORY)


def is_threads(error: BaseException) -> bool:
    """Whether an error of any library says that no more threads or processes may be started."""
    if isinstance(error, OSError):
        return error.errno == errno.EAGAIN
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _THREADS)
