"""Compiled inner loops: one decorator, so that every kernel is compiled the same way and keeps its type."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def jit(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` at its first call, cached on disk, free of Python's lock; type checkers keep its signature.

    Kernels take arrays and numbers, never Python objects.
    """
    try:
        return cast(Callable[P, R], numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no folder to keep compiled code in, as in a container that is read-only
        return cast(Callable[P, R], numba.njit(nogil=True)(function))
