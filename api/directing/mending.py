"""When clusters are lost from the plan in force, or come back to it, a job mends it: a plan without them, or with them
again, near the one in force. Requests go by fallbacks meanwhile, which needs no plan.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from http import HTTPStatus

from api.requests import NewMend
from api.store.jobs import Submission
from api.store.store import Store
from api.web.problems import Problem
from planner.directing import Routes

SETTLE_S = 2.0
"""How long clusters are as they are before a plan is made for it: a region rarely goes all at the same moment."""
TIME_LIMIT_S = 120.0
"""Wall seconds: the first job after an installation compiles searches."""
FIRST = 50
"""Priority of these jobs: before all others."""


@dataclass(frozen=True)
class Mend:
    """How to mend a plan, as the settings of a job have it: `mends` is the plan's id."""

    mends: str
    down: tuple[str, ...] = ()
    restore: tuple[str, ...] = ()
    max_moves: int | None = None
    time_limit_s: float = TIME_LIMIT_S


def mend_submission(store: Store, mend: Mend, key: str | None, priority: int) -> Submission:
    """The job that mends a plan of the store: a plan of the same scenario."""
    row, clusters = store.job(mend.mends, "plan"), store.clusters(mend.mends)
    assert row is not None
    assert clusters is not None
    request, named = asdict(mend), json.loads(row.request).get("scenario")
    digest = hashlib.sha256(json.dumps(request).encode()).hexdigest()
    if named is not None:
        request["scenario"] = named
    return Submission(row.name, request, store.given(mend.mends), clusters, digest, key, "plan", priority)


def check_names(asked: NewMend, routes: Routes) -> None:
    """Raise Problem where what is lost or back is not the plan's, or is both, or is nothing."""
    known = {loss for losses in routes.clusters.values() for loss in losses}
    for field in ("down", "restore"):
        for name in getattr(asked, field):
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"'{near[0]}'?" if near else f"allowed are {', '.join(sorted(known))}"
                raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{field}: {name}: not of this plan; {hint}")
    if not asked.down and not asked.restore:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "down: missing: name what is lost, or with restore what is back")
    if both := sorted({*asked.down} & {*asked.restore}):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"restore: {both[0]}: also given as down; name it once")


class Mending:
    """Asks for the job when it is time. Services that share a database ask for the same one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: tuple[object, float] = None, 0.0
        self._asked: tuple[object, str | None] = None, None

    def look(self, plan_id: str, down: frozenset[str], lost: frozenset[str], since: Callable[[str], float]) -> None:
        """See to it that there is, or soon will be, a plan for the clusters that are `lost` now.

        The plan in force was made without those that are `down`; `since` says since when each cluster is as it is.
        Raises SQLAlchemyError while the database is away; look again later.
        """
        wanted = plan_id, tuple(sorted((name, since(name)) for name in lost ^ down))
        if wanted != self._seen[0]:
            self._seen = wanted, time.monotonic()
        if wanted == self._asked[0] or time.monotonic() - self._seen[1] < SETTLE_S:
            return
        job_id = None
        if wanted[1]:
            mend = Mend(plan_id, tuple(sorted(lost - down)), tuple(sorted(down - lost)))
            key = f"mend-{hashlib.sha256(repr(wanted).encode()).hexdigest()[:32]}"
            asked = mend_submission(self._store, mend, key, FIRST)
            job_id = self._store.find_key(key, asked.body_sha256) or self._store.submit(asked)
        if self._asked[1] is not None and self._asked[1] != job_id:
            self._store.cancel(self._asked[1])  # what it makes fits no more; nothing changes where it has ended
        self._asked = wanted, job_id
