"""The C library's heap: whether what a process frees stays its own or goes back to the system.

By default glibc hands every large block back as soon as it is freed, and each page that is asked for again costs a
fault: half a microsecond, on virtual machines two. Loops that free and allocate the same megabytes image after image
spend up to a third of their time there. Dask makes it worse on purpose (`MALLOC_TRIM_THRESHOLD_=65536` for its
workers), as it suits tables that come and go, not stages.
"""

import ctypes

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
"""Of <malloc.h>."""
MOST = 1 << 30


def keep_memory(most: int = MOST) -> bool:
    """Let this process keep up to `most` freed bytes (below 2 GiB) at the end of its heap, and gaps within it: its peak
    may rise by a tenth. For processes of our own, as it concerns all that runs in them. To be called before threads
    allocate: those that have a heap by then keep it.

    Returns whether the C library can: only glibc can.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, musl; Windows knows no CDLL(None)
        return False
    return all(mallopt(option, value) for option, value in ((_TRIM_THRESHOLD, most), (_MMAP_MAX, 0), (_ARENA_MAX, 1)))
