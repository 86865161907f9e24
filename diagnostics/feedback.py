"""What people said of alarms, and how that moves thresholds.

A metric's threshold goes where it would have judged the alarms that were judged best: it is lowered to just below the
chance of a false one where that costs fewer true ones than it spares false ones, and never raised above the budget.
So one false alarm is enough to hear no more of its like, and a true one that was as unlikely keeps the threshold
where it is.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, get_args

Verdict = Literal["true_positive", "false_positive"]
COLUMNS = ("cluster", "metric", "p", "verdict")


class FeedbackError(ValueError):
    """Feedback cannot be used; the message is one line: what was found, where, what is allowed."""


@dataclass(frozen=True)
class Feedback:
    """An alarm of a metric of a cluster had this chance, as the alarm said it, and was right or not."""

    cluster: str
    metric: str
    p: float
    verdict: Verdict
    workload: str = ""

    def __post_init__(self) -> None:
        """Refuse chances and verdicts that are none."""
        if not 0 <= self.p <= 1:
            raise FeedbackError(f"p: {self.p}: between 0 and 1, as the alarm has it")
        if self.verdict not in get_args(Verdict):
            near = get_close_matches(self.verdict, get_args(Verdict), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise FeedbackError(f"verdict: {self.verdict!r}: one of {', '.join(get_args(Verdict))}{hint}")


def read_feedback(path: Path) -> tuple[Feedback, ...]:
    """Read a CSV file with the columns cluster, metric, p, verdict, and workload for metrics of workloads; others are
    left alone. Raises FeedbackError.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
            if missing:
                raise FeedbackError(f"{path}: no column {missing[0]!r}: {', '.join(COLUMNS)} are needed")
            return tuple(_row(path, rows.line_num, row) for row in rows)
    except (OSError, UnicodeDecodeError) as error:
        raise FeedbackError(f"{path}: {error}") from error


def _row(path: Path, line: int, row: dict[str, str]) -> Feedback:
    """One line."""
    try:
        p = float(row["p"])
    except (TypeError, ValueError) as error:
        raise FeedbackError(f"{path}, line {line}: p: {row['p']!r}: a number between 0 and 1") from error
    try:
        verdict = (row["verdict"] or "").strip()
        return Feedback(row["cluster"], row["metric"], p, verdict, row.get("workload") or "")  # type: ignore[arg-type]
    except FeedbackError as error:
        raise FeedbackError(f"{path}, line {line}: {error}") from error


def threshold(judged: Sequence[Feedback], chance: float) -> float:
    """The chance below which one metric alarms: `chance`, or that of a false alarm under it.

    Of all choices the one that keeps the fewest false alarms and loses the fewest true ones, counted together, and the
    largest of those.
    """
    choices = sorted({chance, *(one.p for one in judged if one.verdict == "false_positive" and one.p < chance)})
    return min(reversed(choices), key=lambda limit: sum((one.p < limit) == (one.verdict == "false_positive")
                                                        for one in judged if one.p < chance))


def share_of_budget(judged: Sequence[Feedback], chance: float) -> float:
    """How much of its budget a metric may still use, 0 to 1: its `threshold` over `chance`, which is above 0."""
    share = threshold(judged, chance) / chance
    return min(1.0, share) if math.isfinite(share) else 1.0
