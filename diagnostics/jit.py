"""Compiled inner loops: one decorator, so that every kernel is compiled the same way and keeps its type."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar, cast

import numba
from numba.core.bytecode import FunctionIdentity

P = ParamSpec("P")
R = TypeVar("R")


# Numba numbers the functions that kernels are made of anew in each process, and names them by these numbers. Kernels
# that two processes compiled and kept on disk shared names of different functions, sort and argsort of an array among
# them: a third process that loaded both ran the wrong one and crashed. So numbers are drawn.
FunctionIdentity._unique_ids = iter(partial(secrets.randbits, 62), None)  # type: ignore[assignment]  # noqa: SLF001


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
