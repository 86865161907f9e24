"""Solve problem after problem in one process that loads one solver's library only: pickles in, pickles out."""

import os
import pickle
import sys
import traceback

from placement.worker import Stopwatch, solve_here


def main() -> None:
    """Answer (problem, solver, settings) with (result, whether the problem is as it was), or with a traceback."""
    outlet = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            problem, solver, settings = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        before = pickle.dumps(problem)
        try:
            result = solve_here(problem, solver, settings, Stopwatch(settings.time_limit_s))
            answer = result, pickle.dumps(problem) == before
        except Exception:  # noqa: BLE001 (the test that asked fails with it)
            answer = traceback.format_exc()
        pickle.dump(answer, outlet)
        outlet.flush()


main()
