"""What may become of a plan: the steps, and what stands in their way."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.life_cycle import steps
from api.life_cycle.steps import FROM, STATES, Change, Fleet, Life, NotPossibleError

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)


def life(plan_id: str = "b", **more: object) -> Life:
    """A plan of two waves, made to replace plan a."""
    return replace(Life(plan_id, "s", f"content of {plan_id}", "content of a", "2026-11-03T00:00:00Z", (2, 1)), **more)


A = life("a", parent=None, moves=(), state="in_force")


def states(changes: tuple[Change, ...]) -> list[tuple[str, str, str]]:
    return [(one.before.plan_id, one.before.state, one.after.state) for one in changes]


def test_from_draft_to_in_force_wave_by_wave() -> None:
    """Every step leads to the next; the plan before retires in the step in which the last wave is done."""
    fleet = Fleet(in_force=A)
    (verified,) = steps.verify(life(), [])
    (approved,) = steps.approve(verified.after)
    (applying,) = steps.apply(approved.after, fleet, NOW)
    assert (applying.after.state, applying.after.predecessor) == ("applying", "a")
    (part,) = steps.wave(applying.after, 1, [1], fleet)
    assert (part.after.state, part.after.waves_done, part.after.made) == ("applying", 0, (1,))
    (first,) = steps.wave(part.after, 1, [0, 1], fleet)
    assert (first.after.waves_done, first.after.made, first.note) == (1, (), "wave 1 of 2 done")
    assert states(steps.wave(first.after, 2, None, fleet)) == [("a", "in_force", "retired"),
                                                               ("b", "applying", "in_force")]


def test_a_plan_that_does_not_hold_stays_a_draft() -> None:
    """A check that finds something is noted, with what it found."""
    (change,) = steps.verify(life(), ["costs are wrong", "and more"])
    assert (change.after, change.note) == (life(), "does not hold: costs are wrong and 1 more")


def test_without_moves_or_at_once() -> None:
    """Where nothing moves applying is being in force; a plan put in force at once counts as all moved."""
    still = life(state="approved", moves=())
    assert states(steps.apply(still, Fleet(in_force=A), NOW))[-1] == ("b", "approved", "in_force")
    *_, put = steps.put_in_force(life(state="approved"), Fleet(in_force=A), NOW)
    assert (put.after.state, put.after.waves_done, put.after.predecessor) == ("in_force", 2, "a")
    anew = life(state="approved", parent=None)
    assert states(steps.put_in_force(anew, Fleet(in_force=A), NOW))[0] == ("a", "in_force", "retired")


def test_rolling_back() -> None:
    """Midway the plan before is in force as it was; after the end it is so again. Twice is refused."""
    midway = life(state="applying", waves_done=1, predecessor="a")
    (change,) = steps.roll_back(midway, Fleet(A, midway, A))
    assert (change.after.state, change.after.waves_done) == ("rolled_back", 1)
    before = replace(A, state="retired")
    over = life(state="in_force", waves_done=2, predecessor="a")
    assert states(steps.roll_back(over, Fleet(over, None, before))) == [("b", "in_force", "rolled_back"),
                                                                        ("a", "retired", "in_force")]
    with pytest.raises(NotPossibleError, match="rolled back already, to a"):
        steps.roll_back(change.after, Fleet(A, None, A))


@pytest.mark.parametrize(("made", "fleet", "says", "against"), [
    (life(state="approved", valid_until="2026-11-02T12:00:00Z"), Fleet(A), "expired: it held until", None),
    (life(state="approved", parent="other"), Fleet(A), "stale: it was made to replace the plan with content o", "a"),
    (life(state="approved"), Fleet(), "in force is none", None),
    (life(state="approved", parent=None), Fleet(A), "no waves from plan a", "a"),
    (life(state="approved"), Fleet(A, life("c", state="applying")), "plan c is being applied over s", "c"),
    (life(state="approved"), Fleet(A, shadow=True), "the scenario s is a shadow", None),
    (life(state="verified"), Fleet(A), "verified: apply is for a plan that is approved; from verified", None),
    (life(state="rolled_back"), Fleet(A), "from rolled_back there is retire", None),
])
def test_what_may_not_be_applied(made: Life, fleet: Fleet, says: str, against: str | None) -> None:
    """Expired, made against another predecessor, beside another, not approved: refused with the reason."""
    with pytest.raises(NotPossibleError, match=says) as refused:
        steps.apply(made, fleet, NOW)
    assert refused.value.against == against


@pytest.mark.parametrize(("number", "moves", "says"), [
    (1, None, "wave 1 is done already: wave 2 of 2 is next"), (3, None, "wave 3 comes later"),
    (2, [1], "move 1: it has moves 0 to 0"),
])
def test_waves_come_in_order(number: int, moves: list[int] | None, says: str) -> None:
    """A wave that is done, one that is not yet next and a move that is not in it are refused."""
    with pytest.raises(NotPossibleError, match=says):
        steps.wave(life(state="applying", waves_done=1), number, moves, Fleet(A))


def test_what_is_in_force_stays_while_another_is_applied() -> None:
    """It is neither retired nor rolled back, and the one being applied is not retired midway."""
    b = life(state="applying")
    for step in (steps.retire, steps.roll_back):
        with pytest.raises(NotPossibleError, match="plan b is being applied"):
            step(A, Fleet(A, b))
    with pytest.raises(NotPossibleError, match="roll it back first"):
        steps.retire(b, Fleet(A, b))


class Scenario:
    """All plans of a scenario in memory, changed by the steps as the store would."""

    def __init__(self, count: int) -> None:
        self.lives = {str(n): life(str(n), parent=None if n % 2 else f"content of {n - 1}", moves=(1,) * (n % 3))
                      for n in range(count)}

    def fleet(self, plan_id: str) -> Fleet:
        found = {one.state: one for one in self.lives.values()}
        before = self.lives.get(self.lives[plan_id].predecessor or "")
        return Fleet(found.get("in_force"), found.get("applying"), before)

    def take(self, plan_id: str, step: str) -> tuple[Change, ...]:
        here, fleet = self.lives[plan_id], self.fleet(plan_id)
        made = {"verify": lambda: steps.verify(here, []), "approve": lambda: steps.approve(here),
                "apply": lambda: steps.apply(here, fleet, NOW), "retire": lambda: steps.retire(here, fleet),
                "put_in_force": lambda: steps.put_in_force(here, fleet, NOW),
                "roll_back": lambda: steps.roll_back(here, fleet),
                "wave": lambda: steps.wave(here, here.waves_done + 1, None, fleet)}[step]()
        self.lives |= {change.after.plan_id: change.after for change in made}
        return made


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(sorted(FROM))), max_size=60))
def test_whatever_is_tried_at_most_one_is_in_force(asked: list[tuple[int, str]]) -> None:
    """After any steps at most one plan is in force and one applied, also between the changes of one step, and while one
    is applied what it replaces stays in force; what is refused changes nothing.
    """
    scenario, force = Scenario(4), 0
    for number, step in asked:
        before = dict(scenario.lives)
        try:
            made = scenario.take(str(number), step)
        except NotPossibleError:
            assert scenario.lives == before
            continue
        for change in made:
            force += (change.after.state == "in_force") - (change.before.state == "in_force")
            assert force in (0, 1)
            assert before[change.before.plan_id] == change.before
        now = list(scenario.lives.values())
        applying = [one for one in now if one.state == "applying"]
        assert len(applying) <= 1
        for one in applying:
            assert one.predecessor == next((other.plan_id for other in now if other.state == "in_force"), None)


def test_every_state_is_reached_and_left_but_the_last() -> None:
    """From every state but retired there is a step."""
    left = {state for allowed in FROM.values() for state in allowed}
    assert left == {*STATES} - {"retired"}
