"""What the routes share: the store, the workers and the diagnoses of one running service, tenant by tenant."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Annotated

import structlog
from fastapi import Depends, Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from api.access import acting_of, caller_of
from api.backup import unfinished
from api.database.bell import Bell
from api.database.engine import upgrade
from api.database.recording import Acting, Deed, record
from api.database.tenancy import DEFAULT
from api.diagnoses import Diagnoses
from api.directing.directing import Directing
from api.directing.probing import Prober
from api.explaining import Explainer
from api.hosting.policy import Policy
from api.hosting.sealing import sealer_of
from api.hosting.telling import Teller, Telling
from api.jobs.durable import Queue
from api.jobs.schedules import Schedules
from api.jobs.workers import Workers
from api.marks import Marks
from api.notices import Dispatcher
from api.past_tasks import PastTasks
from api.settings import Settings
from api.store.jobs import JobRow
from api.store.store import Store
from api.store.together import Together
from planner.errors import InputError


@dataclass(frozen=True)
class Service:
    """One running service as a tenant sees it: nothing in it shows anything of others."""

    settings: Settings
    store: Store
    workers: Workers
    diagnoses: Diagnoses
    policy: Policy
    marks: Marks
    explainer: Explainer
    directing: Directing
    schedules: Schedules
    states: Together[JobRow]
    past_tasks: PastTasks


class Services:
    """The service of each tenant, made when first asked for."""

    def __init__(self, settings: Settings, store: Store, queue: Queue, workers: Workers, bell: Bell
                 ) -> None:
        self._settings, self._store, self._queue, self._workers = settings, store, queue, workers
        self._bell = bell
        self._lock, self._made = threading.Lock(), dict[str, Service]()

    def made(self, tenant: str) -> Service | None:
        """That of a tenant who has asked before."""
        return self._made.get(tenant)

    def of(self, tenant: str) -> Service:
        """That of one tenant. Raises what the database's driver does when it cannot be reached at the first time."""
        with self._lock:
            if tenant not in self._made:
                settings, store = self._settings.of(tenant), self._store.of(tenant)
                directing = Directing(store, self._bell)
                directing.start()
                marks = Marks(store.engine)
                self._made[tenant] = Service(settings, store, self._workers, Diagnoses(settings, marks),
                                             Policy(settings.watch), marks, Explainer(settings, store), directing,
                                             Schedules(store, self._queue, sealer_of(settings)),
                                             Together(store.jobs_by_id), PastTasks(settings.library))
            return self._made[tenant]

    def teller(self, tenant: str) -> Teller:
        """Who notes the alarms of hosts of one tenant."""
        made = self.of(tenant)
        return Teller(made.store.engine, made.policy, made.settings)

    def acting(self, made: Service, request: Acting) -> Service:
        """That of one tenant for what a request does, which is recorded with what it changes in the database."""
        store = made.store.acting(request)
        schedules = Schedules(store, self._queue, sealer_of(made.settings))
        return replace(made, store=store, marks=Marks(store.engine), schedules=schedules)

    def record(self, tenant: str, deed: Deed) -> None:
        """Add to the record of a tenant; without a database, to the log."""
        try:
            with self.of(tenant).store.engine.begin() as connection:
                record(connection, deed)
        except SQLAlchemyError:
            structlog.get_logger("api").error("not recorded", tenant=tenant, **asdict(deed))

    def stop(self) -> None:
        """End what runs for tenants."""
        for service in self._made.values():
            service.directing.stop()
            service.diagnoses.close()


async def service_of(request: Request) -> Service:
    """The service that a request came to, as the caller's tenant sees it; no thread is needed to find it."""
    services, tenant = request.app.state.services, caller_of(request).tenant
    assert isinstance(services, Services)
    made, acting = services.made(tenant), acting_of(request)
    if made is None:
        made = await run_in_threadpool(services.of, tenant)
    return made if acting is None else services.acting(made, acting)


ServiceDep = Annotated[Service, Depends(service_of)]


@contextmanager
def owned(settings: Settings) -> Iterator[None]:
    """Hold the data folder, so that no second service takes plans from the same queue.

    Raises:
        InputError: another service holds it, or it cannot be written.

    """
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        lock = (settings.data / "lock").open("w")
    except OSError as error:
        raise InputError([f"data folder: {settings.data}: {error.strerror}; name another"]) from None
    if unfinished(settings.data):
        raise InputError([f"data folder: {settings.data}: a restore did not end: run `planner restore` again"])
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            in_use = f"data folder: {settings.data}: another planner serves from it; end that one or name another"
            raise InputError([in_use]) from None
        yield


@contextmanager
def running(settings: Settings) -> Iterator[tuple[Services, Store]]:
    """A service whose workers take jobs from the queue, those first that an earlier one left behind, and its store
    with the rows of all tenants.

    Raises:
        InputError: the data folder is another's, or the database cannot be used.

    """
    with owned(settings):
        try:
            upgrade(settings.store)
            queue = Queue(settings.store)
            queue.open()
        except (SQLAlchemyError, RuntimeError) as error:
            raise InputError([f"database: {str(error).splitlines()[0]}"]) from error
        with ExitStack() as ending:  # whatever of it has started is ended, also where the rest cannot start
            store = Store(settings.store, queue)
            ending.callback(store.close)
            ending.callback(queue.close)
            bell = Bell(settings.store)
            workers = Workers(store, queue, settings)
            services = Services(settings, store, queue, workers, bell)
            ending.callback(services.stop)
            bell.start()
            ending.callback(bell.stop)
            prober = Prober(services.of(DEFAULT).directing, settings.probes, workers.name)
            prober.start()
            ending.callback(prober.stop)
            dispatcher = Dispatcher(store, queue, settings.channels)
            dispatcher.start()
            ending.callback(dispatcher.stop)
            telling = Telling(store.engine, services.teller, settings.channels)
            telling.start()
            ending.callback(telling.stop)
            workers.start()
            ending.callback(workers.stop)
            yield services, store
