"""Rules of experts: which values they speak of, who decides, and what is wrong with a file."""

from pathlib import Path

import numpy as np
import pytest

from diagnostics.experts import UNSAID, ExpertRule, ExpertRuleError, deciding, read_rules
from diagnostics.telemetry import Series, Telemetry

MONDAY = np.datetime64("2026-08-31T00:00", "m")


def telemetry(values: np.ndarray) -> Telemetry:
    """Hourly telemetry of two metrics of one cluster from a Monday on."""
    return Telemetry((Series("a", "nvme", "cpu"), Series("a", "nvme", "disk")), values, MONDAY, 60)


def test_a_rule_speaks_of_its_metric_limits_hours_and_days() -> None:
    """Only values of the metric, strictly within the limits, at the hours and on the days, and measured."""
    values = np.tile(np.arange(48.0), (2, 1))
    values[0, 26] = np.nan
    rule = ExpertRule("r", "normal", metric="c*", above=1, below=40, hours=(1, 2, 3), weekdays=("tuesday",))
    spoken = rule.speaks_of(telemetry(values))
    assert np.argwhere(spoken).tolist() == [[0, 25], [0, 27]]


def test_the_first_rule_that_speaks_decides() -> None:
    """Order is precedence, and where no rule speaks nothing is decided."""
    rules = (ExpertRule("low", "normal", below=2), ExpertRule("any", "not_normal", below=4))
    decided = deciding(rules, telemetry(np.tile(np.arange(6.0), (2, 1))))
    assert decided[0].tolist() == [0, 0, 1, 1, UNSAID, UNSAID]


@pytest.mark.parametrize(("text", "said"), [
    ("rules:\n  - {name: a, verdict: normale}", r"rules\[0\]: verdict: 'normale': one of normal, not_normal; did you"),
    ("rules:\n  - {name: a, verdict: normal, metrik: cpu}", "key: 'metrik': .* did you mean 'metric'"),
    ("rules:\n  - {verdict: normal}", "name: ''"),
    ("rules:\n  - {name: a}", "verdict: 'not given'"),
    ("rules:\n  - {name: a, verdict: not_normal}", "above, below: neither"),
    ("rules:\n  - {name: a, verdict: normal, above: 3, below: 2}", "nothing is above"),
    ("rules:\n  - {name: a, verdict: normal, above: high}", "above: 'high': a number"),
    ("rules:\n  - {name: a, verdict: normal, hours: [24]}", "hours: 24: 0 to 23"),
    ("rules:\n  - {name: a, verdict: normal, hours: 3}", "hours: 3: a list"),
    ("rules:\n  - {name: a, verdict: normal, weekdays: [monday, tuseday]}", "did you mean 'tuesday'"),
    ("rules:\n  - {name: a, verdict: normal}\n  - {name: a, verdict: normal}", "name: 'a': two rules"),
    ("rules: 3", "one key 'rules'"),
    ("rules: [3]", "3: keys and values"),
    ("rules: [", "while parsing"),
])
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str, said: str) -> None:
    """Every fault is one line with file, rule, field and what is allowed."""
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(ExpertRuleError, match=said) as raised:
        read_rules(path)
    assert "rules.yaml" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_is_read(tmp_path: Path) -> None:
    """A rule file gives its rules in order."""
    path = tmp_path / "rules.yaml"
    path.write_text("rules:\n  - {name: a, verdict: normal, hours: [1, 2], above: 1}\n"
                    "  - {name: b, verdict: not_normal, below: 0.5, weekdays: [sunday]}\n")
    assert read_rules(path) == (ExpertRule("a", "normal", hours=(1, 2), above=1.0),
                                ExpertRule("b", "not_normal", below=0.5, weekdays=("sunday",)))
