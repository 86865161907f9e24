"""Feedback moves thresholds to where they judge best what people judged."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.feedback import Feedback, FeedbackError, read_feedback, share_of_budget, threshold

CHANCE = 1e-4
judgements = st.lists(st.builds(
    Feedback, st.just("a"), st.just("cpu"), st.sampled_from([0.0, 1e-12, 1e-9, 1e-6, 5e-5, 1e-4, 1e-3]),
    st.sampled_from(["true_positive", "false_positive"])), max_size=8)


def wrong(judged: list[Feedback], limit: float) -> int:
    """False alarms kept and true ones lost."""
    return sum((one.p < limit) == (one.verdict == "false_positive") for one in judged if one.p < CHANCE)


@given(judgements)
def test_no_threshold_judges_better(judged: list[Feedback]) -> None:
    """Whatever was judged, no other threshold within the budget keeps fewer false and loses fewer true alarms."""
    limit = threshold(judged, CHANCE)
    assert 0 <= limit <= CHANCE
    assert wrong(judged, limit) == min(wrong(judged, other) for other in [CHANCE, *(one.p for one in judged)]
                                       if other <= CHANCE)
    assert share_of_budget(judged, CHANCE) == pytest.approx(limit / CHANCE)


def test_one_false_alarm_is_enough_and_a_true_one_keeps_it() -> None:
    """After a false alarm its like is silent; where one as unlikely was true as well, nothing moves."""
    false, true = Feedback("a", "cpu", 1e-6, "false_positive"), Feedback("a", "cpu", 1e-6, "true_positive")
    assert threshold([false], CHANCE) == 1e-6
    assert threshold([false, true], CHANCE) == CHANCE
    assert threshold([true], CHANCE) == threshold([], CHANCE) == CHANCE


@pytest.mark.parametrize(("text", "said"), [
    ("cluster,metric,p\na,cpu,1", "no column 'verdict'"),
    ("cluster,metric,p,verdict\na,cpu,x,true_positive", "line 2: p: 'x'"),
    ("cluster,metric,p,verdict\na,cpu,2,true_positive", "line 2: p: 2.0"),
    ("cluster,metric,p,verdict\na,cpu,nan,true_positive", "line 2: p: nan"),
    ("cluster,metric,p,verdict\na,cpu,0.1,true_positiv", "did you mean 'true_positive'"),
    ("cluster,metric,p,verdict\na,cpu,0.1", "verdict: ''"),
])
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str, said: str) -> None:
    """Every fault is said with file, line, field and what is allowed."""
    path = tmp_path / "feedback.csv"
    path.write_text(text)
    with pytest.raises(FeedbackError, match=said):
        read_feedback(path)


def test_a_file_is_read(tmp_path: Path) -> None:
    """Rows become feedback; further columns are left alone."""
    path = tmp_path / "feedback.csv"
    path.write_text("who,cluster,metric,p,verdict\nme,a,cpu,1e-6,false_positive\n")
    assert read_feedback(path) == (Feedback("a", "cpu", 1e-6, "false_positive"),)
