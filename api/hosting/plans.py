"""What the plan in force says of diagnostics, looked for again as often as asked."""

from __future__ import annotations

from sqlalchemy import Engine

from api.store.files import HOSTED, ROUTES
from api.store.store import Store
from planner.errors import InputError
from planner.hosting import Hosted, parse_hosted


class Following:
    """Follows the plan in force."""

    def __init__(self, engine: Engine) -> None:
        self._store = Store.on(engine)
        self._seen: str | None = None
        self._hosted: Hosted | None = None

    def now(self) -> Hosted | None:
        """What is in force; None where no plan is, or where it was made by a version that kept nothing of this.

        Raises:
            InputError: what the plan says cannot be read.

        """
        plan_id = self._store.in_force(ROUTES)
        if plan_id != self._seen:
            file = None if plan_id is None else self._store.file(plan_id, HOSTED)
            self._hosted = None if file is None else parse_hosted(file[1], f"plan {plan_id}")
            self._seen = plan_id
            if plan_id is not None and file is None:
                raise InputError([f"plan {plan_id}: says nothing of diagnostics: plan again"])
        return self._hosted
