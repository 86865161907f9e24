"""Compiled inner loops: one decorator, so that every kernel is compiled the same way and keeps its type."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar, cast

import numba
import numpy as np
from numba.core import event
from numba.core.bytecode import FunctionIdentity
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=np.generic)


# Numba numbers the functions that kernels are made of anew in each process, and names them by these numbers. Kernels
# that two processes compiled and kept on disk shared names of different functions, sort and argsort of an array among
# them: a third process that loaded both ran the wrong one and crashed. So numbers are drawn.
FunctionIdentity._unique_ids = iter(partial(secrets.randbits, 62), None)  # type: ignore[assignment]  # noqa: SLF001


def jit(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` at its first call, cached on disk, free of Python's lock; type checkers keep its signature.

    Kernels take arrays and numbers, never Python objects. A kernel of one file may call one of another, but the cache
    on disk follows only its own file: delete `__pycache__` after mending a kernel that others call.
    """
    try:
        return cast(Callable[P, R], numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no folder to keep compiled code in, as in a container that is read-only
        return cast(Callable[P, R], numba.njit(nogil=True)(function))


def read_only(array: NDArray[S]) -> NDArray[S]:
    """A read-only view. A kernel is compiled again for arrays that may be written; tables of a problem never are."""
    view = array.view()
    view.setflags(write=False)
    return view


def fast_jit(function: Callable[P, R]) -> Callable[P, R]:
    """Compile as `jit` does, but let sums be reordered and vectorised: for guesses that something exact checks later.

    Such a kernel must not meet infinities or NaN: the compiler takes it that there are none.
    """
    try:
        return cast(Callable[P, R], numba.njit(cache=True, nogil=True, fastmath=True)(function))
    except RuntimeError:  # no folder to keep compiled code in, as in a container that is read-only
        return cast(Callable[P, R], numba.njit(nogil=True, fastmath=True)(function))


def inner_jit(function: Callable[P, R]) -> Callable[P, R]:
    """Compile as `fast_jit` does, into each caller: for the innermost kernels, called with many arrays for little work.
    """
    try:
        return cast(Callable[P, R], numba.njit(cache=True, nogil=True, fastmath=True, forceinline=True)(function))
    except RuntimeError:  # no folder to keep compiled code in, as in a container that is read-only
        return cast(Callable[P, R], numba.njit(nogil=True, fastmath=True, forceinline=True)(function))


class _Compilations(event.Listener):
    """Tells when the compiler starts and when it ends, not what is compiled on the way (one kernel calls another)."""

    def __init__(self, tell: Callable[[bool], None]) -> None:
        self.tell = tell
        self.depth = 0

    def on_start(self, event: event.Event) -> None:  # noqa: ARG002 (as Numba calls it)
        self._move(1)

    def on_end(self, event: event.Event) -> None:  # noqa: ARG002
        self._move(-1)

    def _move(self, by: int) -> None:
        was, self.depth = self.depth > 0, self.depth + by
        if (now := self.depth > 0) != was:
            self.tell(now)


def on_compiling(tell: Callable[[bool], None]) -> None:
    """Have `tell` called with True when a kernel starts to be compiled here, with False when that is done.

    Kernels that are loaded from disk are not compiled. Numba holds its compiler's lock meanwhile: one at a time.
    """
    event.register("numba:compile", _Compilations(tell))  # type: ignore[no-untyped-call]
