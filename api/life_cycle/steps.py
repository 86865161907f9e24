"""What becomes of a plan once it is made: its states, the steps between them, and what stands in their way.

    draft -> verified -> approved -> applying (wave by wave) -> in force -> retired
                                         |                         |
                                         +-----> rolled back <-----+

Nothing here reads or writes: a step takes what is, and gives what is then, or says why not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, get_args

State = Literal["draft", "verified", "approved", "applying", "in_force", "rolled_back", "retired"]
Step = Literal["verify", "approve", "apply", "wave", "put_in_force", "roll_back", "retire"]
STATES: tuple[State, ...] = get_args(State)

FROM: dict[Step, tuple[State, ...]] = {
    "verify": ("draft",),
    "approve": ("verified",),
    "apply": ("approved",),
    "wave": ("applying",),
    "put_in_force": ("approved",),
    "roll_back": ("applying", "in_force"),
    "retire": ("draft", "verified", "approved", "in_force", "rolled_back"),
}
"""The states in which each step may be taken."""


class NotPossibleError(Exception):
    """A step that may not be taken; the text says why, and what to do. `against` is the plan that is in the way."""

    def __init__(self, why: str, against: str | None = None) -> None:
        super().__init__(why)
        self.against = against


@dataclass(frozen=True, slots=True)
class Life:
    """How far a plan is. `content_id` is the hash of its content, `parent` that of the plan which it was made to
    replace; `moves` of each of its waves, of which `waves_done` are made, and of the next one those at positions
    `made`. `predecessor` is the plan that was in force when it was applied.
    """

    plan_id: str
    scenario: str
    content_id: str
    parent: str | None
    valid_until: str
    moves: tuple[int, ...]
    state: State = "draft"
    waves_done: int = 0
    made: tuple[int, ...] = ()
    predecessor: str | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """Steps that may be taken in its state."""
        return tuple(step for step, states in FROM.items() if self.state in states)


@dataclass(frozen=True, slots=True)
class Fleet:
    """What else there is of a plan's scenario: the plans in force and being applied, and the one before the plan; a
    `shadow` is planned beside what runs, and never applied.
    """

    in_force: Life | None = None
    applying: Life | None = None
    predecessor: Life | None = None
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One plan's change by a step, and what is said of it in its history."""

    before: Life
    after: Life
    step: Step
    note: str = ""


def verify(life: Life, violations: Sequence[str]) -> tuple[Change, ...]:
    """It was checked; with anything wrong it stays a draft."""
    _may(life, "verify")
    if violations:
        more = f" and {len(violations) - 1} more" if len(violations) > 1 else ""
        return (Change(life, life, "verify", f"does not hold: {violations[0]}{more}"),)
    return (Change(life, replace(life, state="verified"), "verify", "holds"),)


def approve(life: Life, lacks: Sequence[str] = ()) -> tuple[Change, ...]:
    """Somebody wants it applied, knowing what it does not keep."""
    _may(life, "approve")
    return (Change(life, replace(life, state="approved"), "approve", "; ".join(lacks)),)


def apply(life: Life, fleet: Fleet, now: datetime) -> tuple[Change, ...]:
    """Begin with its waves; without any it is in force at once."""
    _may(life, "apply")
    _may_replace(life, fleet, now)
    if life.parent is None and fleet.in_force is not None:
        force = fleet.in_force.plan_id
        raise NotPossibleError(f"plan {life.plan_id}: it has no waves from plan {force}, which is in force: ask for a "
                               f"plan with that one as its incumbent, or put this one in force at once", force)
    before = fleet.in_force
    begun = replace(life, state="applying", predecessor=None if before is None else before.plan_id)
    if not life.moves:
        return _in_force(life, begun, fleet, "apply", "nothing moves")
    return (Change(life, begun, "apply", f"waves: {len(life.moves)}"),)


def wave(life: Life, number: int, moves: Iterable[int] | None, fleet: Fleet) -> tuple[Change, ...]:
    """Moves of the wave on its way were made (None: all of it); after the last wave the plan is in force."""
    _may(life, "wave")
    next_wave = life.waves_done + 1
    if number != next_wave:
        what = "is done already" if number < next_wave else "comes later"
        raise NotPossibleError(f"plan {life.plan_id}: wave {number} {what}: wave {next_wave} of {len(life.moves)} is "
                               f"next")
    count = life.moves[life.waves_done]
    made = {*life.made, *(range(count) if moves is None else moves)}
    if odd := sorted(at for at in made if not 0 <= at < count):
        raise NotPossibleError(f"plan {life.plan_id}: wave {number}: move {odd[0]}: it has moves 0 to {count - 1}")
    if len(made) < count:
        note = f"wave {number}: {len(made)} of {count} moves made"
        return (Change(life, replace(life, made=tuple(sorted(made))), "wave", note),)
    done = replace(life, waves_done=number, made=())
    note = f"wave {number} of {len(life.moves)} done"
    if number < len(life.moves):
        return (Change(life, done, "wave", note),)
    return _in_force(life, done, fleet, "wave", note)


def put_in_force(life: Life, fleet: Fleet, now: datetime) -> tuple[Change, ...]:
    """Put it in force at once, whatever moves: by whatever way the work got there, or will."""
    _may(life, "put_in_force")
    _may_replace(life, fleet, now)
    before = None if fleet.in_force is None else fleet.in_force.plan_id
    done = replace(life, waves_done=len(life.moves), predecessor=before)
    return _in_force(life, done, fleet, "put_in_force", "at once")


def roll_back(life: Life, fleet: Fleet) -> tuple[Change, ...]:
    """Give up on it: the plan that was in force before is so again. What was made is to be undone."""
    if life.state == "rolled_back":
        raise NotPossibleError(f"plan {life.plan_id}: rolled back already, to {life.predecessor or 'no plan'}")
    _may(life, "roll_back")
    if life.state == "in_force":
        _may_leave(life, fleet)
    parts = f" and {len(life.made)} moves" if life.made else ""
    changes = [Change(life, replace(life, state="rolled_back"), "roll_back", f"after {life.waves_done} waves{parts}")]
    before = fleet.predecessor
    if life.state == "in_force" and before is not None:
        if before.state != "retired":
            raise NotPossibleError(f"plan {life.plan_id}: plan {before.plan_id} before it is {before.state}")
        again = replace(before, state="in_force")
        changes.append(Change(before, again, "roll_back", f"again: plan {life.plan_id} was rolled back"))
    return tuple(changes)


def retire(life: Life, fleet: Fleet) -> tuple[Change, ...]:
    """It is not wanted any more."""
    if life.state == "applying":
        raise NotPossibleError(f"plan {life.plan_id}: applying: finish its waves, or roll it back first")
    _may(life, "retire")
    if life.state == "in_force":
        _may_leave(life, fleet)
    return (Change(life, replace(life, state="retired"), "retire"),)


def _may(life: Life, step: Step) -> None:
    if life.state not in FROM[step]:
        allowed = " or ".join(FROM[step])
        nexts = f"; from {life.state} there is {', '.join(life.steps)}" if life.steps else ""
        raise NotPossibleError(f"plan {life.plan_id}: {life.state}: {step} is for a plan that is {allowed}{nexts}")


def _may_replace(life: Life, fleet: Fleet, now: datetime) -> None:
    """Whether it may take the place of what is in force."""
    if fleet.shadow:
        raise NotPossibleError(f"plan {life.plan_id}: the scenario {life.scenario} is a shadow: its plans are looked "
                               f"at and never applied")
    if life.valid_until and datetime.fromisoformat(life.valid_until) <= now:
        raise NotPossibleError(f"plan {life.plan_id}: expired: it held until {life.valid_until}: ask for a new plan")
    _may_leave(life, fleet)
    current = None if fleet.in_force is None else fleet.in_force.content_id
    if life.parent is not None and life.parent != current:
        now_there = "none" if fleet.in_force is None else f"plan {fleet.in_force.plan_id}"
        raise NotPossibleError(f"plan {life.plan_id}: stale: it was made to replace the plan with content "
                               f"{life.parent[:12]}, and in force is {now_there}: ask for a plan from that one",
                               None if fleet.in_force is None else fleet.in_force.plan_id)


def _may_leave(life: Life, fleet: Fleet) -> None:
    """While a plan is being applied, what is in force stays."""
    if fleet.applying is not None:
        other = fleet.applying.plan_id
        raise NotPossibleError(f"plan {life.plan_id}: plan {other} is being applied over {life.scenario}: finish it, "
                               f"or roll it back", other)


def _in_force(life: Life, done: Life, fleet: Fleet, step: Step, note: str) -> tuple[Change, ...]:
    """The predecessor retires first: at no moment are two in force."""
    changes = []
    if (before := fleet.in_force) is not None:
        retired = replace(before, state="retired")
        changes.append(Change(before, retired, step, f"plan {life.plan_id} took its place"))
    return (*changes, Change(life, replace(done, state="in_force"), step, note))
