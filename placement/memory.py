"""Memory that is no longer used, given back to the system for other processes."""

from __future__ import annotations

import contextlib
import ctypes

KEPT_BYTES = 8 << 20
"""Blocks from this size on go back to the system as soon as they are freed, in processes with `SETTING`."""
SETTING = {"MALLOC_MMAP_THRESHOLD_": str(KEPT_BYTES), "MALLOC_TRIM_THRESHOLD_": str(16 * KEPT_BYTES)}
"""Environment of processes that make and free large arrays. The GNU C library raises these limits with what a process
frees, up to 32 and 64 MiB, and then keeps the holes between what is still used.
"""


def give_back() -> None:
    """What this process has freed goes back to the system, where its C library can do that. Other threads go on."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
