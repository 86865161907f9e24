"""A client of the service: `planner serve`, from Python.

    from planner.client import Client

    with Client("http://127.0.0.1:8080", key="pk_…") as planner:
        plan = planner.plans.make("medical", told=lambda now: print(now.status, now.progress))
        planner.fleet.direct("web", region="aws/eu-west-1", key="customer-17").cluster

`docs/client.md` says what it does by itself.
"""

from collections.abc import Callable

import httpx

from planner.client.diagnostics import Alarms, Diagnostics, Models
from planner.client.fleet import Fleet
from planner.client.jobs import Capacity, Forecasts, Jobs, Schedules
from planner.client.life_cycle import LifeCycles
from planner.client.operations import Operations
from planner.client.plans import Plans
from planner.client.problems import (
    ConflictError,
    InvalidError,
    NotAllowedError,
    NotDoneError,
    NotFoundError,
    ServiceError,
    StaleError,
    TooManyRequestsError,
    UnavailableError,
    UnknownCallerError,
    UnreachableError,
)
from planner.client.scenarios import Scenarios
from planner.client.transport import CSV, NDJSON, PARQUET, Transport

__all__ = [
    "CSV",
    "NDJSON",
    "PARQUET",
    "Client",
    "ConflictError",
    "InvalidError",
    "NotAllowedError",
    "NotDoneError",
    "NotFoundError",
    "ServiceError",
    "StaleError",
    "TooManyRequestsError",
    "UnavailableError",
    "UnknownCallerError",
    "UnreachableError",
]


class Client(Transport):
    """One service. Threads may share a client; leave it with `close`, or use it as a context."""

    def __init__(self, url: str, *, key: str | None = None, token: str | Callable[[], str] | None = None,
                 timeout_s: float = 60.0, retries: int = 4, pause_s: float = 0.2, http: httpx.Client | None = None
                 ) -> None:
        """`key` or `token` say who asks; on the machine itself neither is needed while there are no keys. A request
        that may be made twice is made up to `retries` times again, after `pause_s` and then ever longer pauses.
        """
        super().__init__(url, key=key, token=token, timeout_s=timeout_s, retries=retries, pause_s=pause_s, http=http)
        self.scenarios, self.plans, self.life_cycles = Scenarios(self), Plans(self), LifeCycles(self)
        self.jobs = Jobs(self)
        self.forecasts, self.capacity = Forecasts(self, self.jobs), Capacity(self, self.jobs)
        self.schedules = Schedules(self)
        self.fleet = Fleet(self)
        self.diagnostics, self.alarms, self.models = Diagnostics(self), Alarms(self), Models(self)
        self.service = Operations(self)
