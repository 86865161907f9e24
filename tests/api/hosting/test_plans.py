"""What hosts follow: the work of all plans in force, and nothing of what nobody put there after one was."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, update

from api.database.tables import life_cycles
from api.hosting.plans import Following, check_beside
from api.life_cycle import steps
from api.life_cycle.lives import Lives
from planner.errors import InputError
from planner.hosting import Hosted, together

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def only(what: Hosted, *names: str, **change: Any) -> Hosted:
    """The part of what a plan says that is about these clusters, each with a change."""
    work = {name: one for name, one in what.work.items() if name[-1] in names}
    clusters = {name: what.clusters[name].model_copy(update=change) for name in names}
    return what.model_copy(update={"clusters": clusters, "work": work})


def test_hosts_follow_the_plans_of_all_scenarios(engine: Engine, in_force: Callable[..., str],
                                                 made_up: Callable[..., Hosted]) -> None:
    """Two plans in force are one fleet to a host, each workload with its plan; nothing is left of one rolled back."""
    following = Following(engine)
    assert following.now() is None
    left = in_force(only(made_up(), "a", "b"), name="left")
    right = in_force(only(made_up(), "c"), name="right")
    found = following.now()
    assert found is not None
    assert found.plan_id == right
    assert {found.plan_of(name) for name in found.work if name[-1] in "ab"} == {left}
    assert (found.clusters.keys(), found.plan_of("diagnostics-c")) == (set("abc"), right)
    lives = Lives(engine)
    lives.change(right, lambda now: steps.roll_back(now.life, now.fleet), "ann")
    assert (following.now() or found).clusters.keys() == set("ab")
    lives.change(left, lambda now: steps.retire(now.life, now.fleet), "ann", datetime.now(UTC).isoformat())
    assert following.now() is None


def test_plans_that_cannot_hold_together_are_refused(engine: Engine, in_force: Callable[..., str],
                                                     made_up: Callable[..., Hosted]) -> None:
    """Two scenarios that score one cluster, or have it in two countries, are refused by its name; telemetry that one of
    them keeps to itself is kept so.
    """
    mine, kept = only(made_up(), "a"), only(made_up(), "a", opted_in=False)
    both = together([mine, kept.model_copy(update={"work": {}})])
    assert both is not None
    assert both.clusters["a"].opted_in is False
    with pytest.raises(InputError, match=r"cluster: a: country: 'FR' by plan .* and 'IE' by another in force"):
        together([mine, only(made_up(), "a", country="FR")])
    renamed = mine.model_copy(update={"work": {f"other-{name}": one for name, one in mine.work.items()}})
    with pytest.raises(InputError, match=r"cluster: a: diagnostics-a and other-diagnostics-a of two plans .*\(score\)"):
        together([mine, renamed])
    first = in_force(mine, name="left")
    second = in_force(renamed, name="right")
    with pytest.raises(InputError, match="watch it"):
        check_beside(engine, second)
    with pytest.raises(InputError, match="watch it"):
        Following(engine).now()
    with engine.begin() as connection:
        connection.execute(update(life_cycles).where(life_cycles.c.plan_id == first).values(state="applying"))
    with pytest.raises(InputError, match="watch it"):
        check_beside(engine, second)
