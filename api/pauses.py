"""Pauses of a service: while Python looks for garbage nobody is answered, a tenth of a second in a large process."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

LONG_S = 0.02
_ALL = 2
"""The generation of everything there is."""


@contextmanager
def looked_at_once() -> Iterator[None]:
    """Within this, what outlives a look that took long is not looked at again (`gc.freeze`): mostly modules and their
    tables, which are loaded when they are first needed. It is still freed when nothing refers to it; only of circles
    is there as much left as one such look found alive.
    """
    began = 0.0

    def told(phase: str, what: Mapping[str, Any]) -> None:
        nonlocal began
        if phase == "start":
            began = time.perf_counter()
        elif what["generation"] == _ALL and time.perf_counter() - began > LONG_S:
            gc.freeze()

    gc.callbacks.append(told)
    try:
        yield
    finally:
        gc.callbacks.remove(told)
        gc.unfreeze()
