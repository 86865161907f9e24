"""The scorer against the rules told row by row, and the benchmark on its data."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.nab_scoring import PROFILES, Marked, Profile, score, tally

DATA = Path(__file__).parents[3] / "shared" / "data" / "diagnostics"


def row_by_row(marked: Marked, alarm: list[bool], profile: Profile) -> float:
    """The raw score as the rules tell it: walk the rows, know the window one is in or the last one passed."""

    def worth(position: float) -> float:
        return -1.0 if position > 3 else 2 / (1 + math.exp(5 * position)) - 1

    best: dict[int, float] = {}
    total, passed = 0.0, None
    for i in range(marked.rows):
        inside = next((k for k, (first, last) in enumerate(marked.windows) if first <= i <= last), None)
        scored = i >= marked.probation
        if inside is not None:
            first, last = marked.windows[inside]
            if scored:
                best.setdefault(inside, -profile.missed)
            if scored and alarm[i]:
                found = worth(-(last - i + 1) / (last - first + 1)) / worth(-1.0) * profile.found
                best[inside] = max(best[inside], found)
            if i == last:
                passed = (first, last)
        elif scored and alarm[i]:
            position = math.inf if passed is None else (i - passed[1]) / max(passed[1] - passed[0], 1)
            total += profile.false_alarm * worth(position)
    return total + sum(best.values())


@given(st.integers(30, 120), st.lists(st.integers(0, 200), min_size=2, max_size=8, unique=True), st.data(),
       st.sampled_from(sorted(PROFILES)))
def test_scores_are_those_of_the_rules(rows: int, edges: list[int], drawn: st.DataObject, profile: str) -> None:
    """Any windows and any alarms get the score that walking the rows gives."""
    start = Marked(rows, ()).probation
    cuts = sorted({start + edge % (rows - start) for edge in edges})
    windows = tuple(zip(cuts[::2], cuts[1::2], strict=False))
    marked = Marked(rows, windows)
    alarm = drawn.draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
    one = tally(marked, np.array(alarm))
    weights = PROFILES[profile]
    raw = weights.found * one.earned - weights.missed * one.missed - weights.false_alarm * one.cost
    assert raw == pytest.approx(row_by_row(marked, alarm, weights), abs=1e-9)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_silence_is_nought_and_perfection_a_hundred(profile: Profile) -> None:
    """No alarms score 0; one at the left edge of every window scores 100; a false one costs."""
    marked = Marked(1000, ((300, 349), (700, 749)))
    perfect = np.zeros(1000, dtype=bool)
    perfect[[300, 700]] = True
    assert score([tally(marked, np.zeros(1000, dtype=bool))], profile) == 0
    assert score([tally(marked, perfect)], profile) == pytest.approx(100)
    perfect[500] = True
    assert score([tally(marked, perfect)], profile) < 100


def test_alarms_of_the_probation_count_for_nothing() -> None:
    """Fifteen per cent of the rows, at most 750, are free."""
    assert Marked(1000, ()).probation == 150
    assert Marked(100_000, ()).probation == 750
    alarm = np.zeros(1000, dtype=bool)
    alarm[:150] = True
    assert tally(Marked(1000, ((300, 349),)), alarm).false_alarms == 0


def test_another_length_is_refused() -> None:
    """Alarms of another number of rows are refused."""
    with pytest.raises(ValueError, match="1000 rows"):
        tally(Marked(1000, ()), np.zeros(999, dtype=bool))


@pytest.mark.skipif(not DATA.exists(), reason=f"the series of the benchmark are not in {DATA}")
def test_the_benchmark_runs_on_two_files() -> None:
    """Two files of the set give every metric of every method, and the surprise beats the clock."""
    from benchmarks.diagnostics_nab import METHODS, measure

    rows, shown = measure(DATA, ["ec2_cpu_utilization_825cc2", "ec2_network_in_257a54"], METHODS, 1, lambda _: None)
    whole = {(row.method, row.metric): row.value for row in rows if row.instance == "all"}
    assert whole["planner", "nab_low_fp"] > whole["periodic", "nab_low_fp"]
    assert {method for method, _ in whole} == set(METHODS)
    assert shown.row_count > 0


def test_missing_data_are_refused_by_name(tmp_path: Path) -> None:
    """A folder without labels is refused with what should be there."""
    from benchmarks.diagnostics_nab import read_streams

    with pytest.raises(ValueError, match="combined_windows"):
        read_streams(tmp_path)
