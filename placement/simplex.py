"""The one place that opens HiGHS for linear programs."""

from __future__ import annotations

from typing import Any


def open_highs(threads: int = 1) -> Any:  # noqa: ANN401 (highspy's own types leave out half of its methods)
    """A silent `highspy.Highs`."""
    import highspy  # in here: it must never meet OR-Tools in one process, and costs 0.1 s

    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.silent()
    solver.setOptionValue("threads", threads)
    return solver
