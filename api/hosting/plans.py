"""What the plans in force say of diagnostics, looked for again as often as asked."""

from __future__ import annotations

from sqlalchemy import Engine, select

from api.database.tables import life_cycles
from api.store.files import HOSTED
from api.store.running import running
from api.store.store import Store
from planner.errors import InputError
from planner.hosting import Hosted, parse_hosted, together


def check_beside(engine: Engine, plan_id: str) -> None:
    """Whether hosts can follow a plan beside each of other scenarios that is in force or being applied. Raises
    InputError.
    """
    store = Store.on(engine)
    mine, row = _read(store, plan_id), store.job(plan_id)
    if mine is None or row is None:
        return
    there = select(life_cycles.c.plan_id).where(
        life_cycles.c.scenario != row.name, life_cycles.c.state.in_(("in_force", "applying")))
    with engine.connect() as connection:
        others = list(connection.execute(there.order_by(life_cycles.c.plan_id)).scalars())
    for other in others:
        hosted = _read(store, other)
        if hosted is not None:
            together([mine, hosted])


def _read(store: Store, plan_id: str) -> Hosted | None:
    """What a plan says of diagnostics; None of one that a version made which kept nothing of this."""
    file = store.file(plan_id, HOSTED)
    return None if file is None else parse_hosted(file[1], f"plan {plan_id}")


class SilentError(InputError):
    """Plans in force were made by a version that kept nothing of diagnostics; `Following` goes on with the others."""


class Following:
    """Follows the plans in force."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._store = engine, Store.on(engine)
        self._said: dict[str, Hosted | None] = {}
        self._hosted: Hosted | None = None

    def now(self) -> Hosted | None:
        """What is in force; None where no plan is, or where all were made by a version that kept nothing of this.

        Raises:
            InputError: what a plan says cannot be read, or the plans cannot all hold.
            SilentError: once of plans that say nothing.

        """
        plans = [one.plan_id for one in running(self._engine)]
        if plans != list(self._said):
            before = self._said
            said = {plan_id: before[plan_id] if plan_id in before else _read(self._store, plan_id) for plan_id in plans}
            self._hosted = together([one for one in said.values() if one is not None])
            self._said = said
            if silent := [plan_id for plan_id, one in said.items() if one is None and plan_id not in before]:
                raise SilentError([f"plan {plan_id}: says nothing of diagnostics: plan again" for plan_id in silent])
        return self._hosted
