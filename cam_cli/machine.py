"""The processors and the memory of this machine: how much of them camx may use, and how glibc hands out memory."""

from __future__ import annotations

import contextlib
import ctypes
import os

#: Bytes for decoded images that a small machine grants as well.
_LEAST_FOR_PICTURES = 1 << 30
#: Blocks, and free memory at the end of the heap, up to this size are kept by the process of a run.
_KEPT = 1 << 30

#: Environment of worker processes. Threads of a BLAS library would take the cores from the network. And glibc would
#: give the memory of every image back to the system and ask for it again, a quarter of the processor time of small
#: images.
WORKER_ENVIRONMENT = {
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
}


def cpus() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def bf16_units() -> str:
    """Instructions of this processor for bfloat16: `AMX`, `AVX-512`, or "" for none, or where the system is silent."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            flags = next((line.split() for line in file if line.startswith("flags")), [])
    except OSError:
        return ""
    return "AMX" if "amx_bf16" in flags else "AVX-512" if "avx512_bf16" in flags else ""


def total_memory() -> int:
    """Bytes of the machine, or of the container that this process runs in; 0 where the system does not say."""
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0
    with contextlib.suppress(OSError, ValueError), open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
        size = min(size, int(file.read()))
    return size


def picture_memory(processes: int = 1) -> int:
    """Bytes that the decoded images of one of so many processes may take: an eighth of the memory for all of them,
    but a gigabyte where that is less."""
    return max(_LEAST_FOR_PICTURES, total_memory() // 8) // processes


def keep_freed_memory() -> None:
    """Lets this process keep the memory that it frees for its next requests (glibc; elsewhere nothing changes).

    A network frees and asks for the same megabytes in every layer. By default large blocks go back to the system and
    come again as pages to be cleared: two fifths of the processor time of a small network on a CPU. One arena serves
    all threads, so that each need not keep its own.
    """
    trim_threshold, mmap_threshold, arena_max = -1, -3, -8
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((trim_threshold, _KEPT), (mmap_threshold, _KEPT), (arena_max, 1)):
            mallopt(option, value)
