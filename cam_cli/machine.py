"""Available processors and memory of this machine, and settings of glibc's allocator."""

from __future__ import annotations

import contextlib
import ctypes
import os

#: Bytes for decoded images on a small machine.
_LEAST_FOR_PICTURES = 1 << 30
#: Largest freed block, and largest free end of the heap, that the process of a run keeps.
_KEPT = 1 << 30

#: Environment of worker processes. Threads of a BLAS library would compete with the network for cores, and glibc would
#: return and request the memory of every image, a quarter of the processor time of small images.
WORKER_ENVIRONMENT = {
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
}


def cpus() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def bf16_units() -> str:
    """Instructions of this processor for bfloat16: `AMX` or `AVX-512`; "" for none or unknown."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            flags = next((line.split() for line in file if line.startswith("flags")), [])
    except OSError:
        return ""
    return "AMX" if "amx_bf16" in flags else "AVX-512" if "avx512_bf16" in flags else ""


def total_memory() -> int:
    """Memory of the machine or container in bytes; 0 if unknown."""
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0
    with contextlib.suppress(OSError, ValueError), open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
        size = min(size, int(file.read()))
    return size


def picture_memory(processes: int = 1) -> int:
    """Bytes for decoded images of one of several processes: an eighth of the memory for all together, at least a
    gigabyte."""
    return max(_LEAST_FOR_PICTURES, total_memory() // 8) // processes


def keep_freed_memory() -> None:
    """Makes this process keep freed memory for later requests (only with glibc).

    A network frees and requests the same megabytes in every layer. By default large blocks return to the system and
    come back as pages that must be cleared: two fifths of the processor time of a small network on a CPU. All threads
    share one arena, so that each need not keep its own.
    """
    trim_threshold, mmap_threshold, arena_max = -1, -3, -8
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((trim_threshold, _KEPT), (mmap_threshold, _KEPT), (arena_max, 1)):
            mallopt(option, value)
