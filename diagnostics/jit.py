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
    return _compiled(function, set())


def jit_no_nan(function: Callable[P, R]) -> Callable[P, R]:
    """Compile as `jit` does, for arrays without NaN: least and largest values are found several at a time.

    Sums keep their order, so results are the same on every machine.
    """
    return _compiled(function, {"nnan", "nsz"})


def _compiled(function: Callable[P, R], liberties: set[str]) -> Callable[P, R]:
    """Compile with a cache where one can be kept; `liberties` are LLVM's names of what floats may be assumed to be."""
    try:
        return cast(Callable[P, R], numba.njit(cache=True, nogil=True, fastmath=liberties)(function))
    except RuntimeError:  # no folder to keep compiled code in, as in a container that is read-only
        return cast(Callable[P, R], numba.njit(nogil=True, fastmath=liberties)(function))
