"""What a plan looks like in a terminal."""

import io

import pytest
from rich.console import Console

from planner.plan import Assignment, Costs, Fallback, MachineRow, Miss, Plan, PlanHorizon, Reason, Unplaced
from planner.terminal import percent, plain, plan_view, usd


def shown(plan: Plan, workload_usd: dict[str, float], rows: int = 40, width: int = 160) -> str:
    """A plan as text."""
    console = Console(file=io.StringIO(), width=width)
    console.print(plan_view(plan, workload_usd, rows))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def make_plan(workloads: int) -> Plan:
    """A plan of that many workloads with two copies each, one late, one not placed."""
    names = [f"w{i}" for i in range(workloads)]
    return Plan(
        name="fleet", status="feasible", mode="min_cost", cost_usd=730.0, sla_attainment=0.99, bound=700.0, gap=0.041,
        costs=Costs(machines=700.0, egress=30.0), bound_method="prices", horizon=PlanHorizon(slots=73, slot_minutes=60),
        assignments=tuple(Assignment(workload=n, copy=k, cluster="aws", pool="m6i") for n in names for k in (0, 1)),
        machines=(MachineRow(cluster="aws", pool="m6i", purchase="spot", count=(1, *(5,) * 72)),),
        reasons=(Reason(workload="w0", why="cheapest"),), misses=(Miss(workload="w1", chance=0.01),),
        unplaced=(Unplaced(workload="big", reasons=("fits no machine",)),))


def test_a_small_plan_is_shown_whole() -> None:
    """Every workload has its row with copies, cost, SLA and reason; then parts, headlines and the proof."""
    text = shown(make_plan(2), {"w0": 12.5, "w1": 700.0})
    assert all(words in text for words in (
        "w0", "m6i x2", "12.50", "cheapest", "met, 99 %", "Not placed: big: fits no machine",
        "Cost USD 730.00: machines 700.00, egress 30.00", "SLA attainment 99 %", "1 to 5 machines",
        "USD 7,300 a month", "no plan costs less than USD 700.00; gap 4.10 % (prices)"))


def test_a_plan_that_survives_losses_says_so() -> None:
    """One line counts the fallbacks and names the first few losses; a plan without any has no such line."""
    rows = tuple(Fallback(lost=f"c{i}", workload="w0", cluster="aws", pool="m6i") for i in range(6))
    text = shown(make_plan(2).model_copy(update={"fallbacks": rows}), {})
    assert "6 fallbacks with room, for the loss of c0, c1, c2, c3 or 2 more" in text
    assert "fallbacks" not in shown(make_plan(2), {})


def test_a_large_plan_shows_the_dearest_and_sums_up_the_rest() -> None:
    """Of many workloads the dearest are shown, and one line counts and adds up the others."""
    text = shown(make_plan(30), {f"w{i}": float(i) for i in range(30)}, rows=2)
    assert "w29" in text
    assert "w28" in text
    assert "w27" not in text
    assert "and 28 more" in text
    assert "378.00" in text


def test_a_narrow_terminal_loses_no_words() -> None:
    """At 60 columns everything is folded, nothing cut."""
    text = shown(make_plan(2), {"w0": 1.0, "w1": 2.0}, width=60)
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= 60


@pytest.mark.parametrize(("share", "words"), [(1.0, "100 %"), (0.999999, "99.99 %"), (0.5, "50 %"), (0.0, "0 %")])
def test_shares_never_round_up_to_all(share: float, words: str) -> None:
    """Only all of it is 100 %."""
    assert percent(share) == words


def test_money_and_text_are_plain() -> None:
    """Large sums have no cents; control characters are replaced."""
    assert (usd(999.994), usd(1234.5), usd(-2.0)) == ("999.99", "1,234", "-2.00")
    assert plain("a\x1b[2Jb\n") == "a\ufffd[2Jb\ufffd"
