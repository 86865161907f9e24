"""`planner host`: one process that serves the diagnostics of a cluster."""

from __future__ import annotations

import difflib
import os
import signal
import socket
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from api.configured import read_settings
from api.database.engine import engine_of, upgrade
from api.database.tables import jobs, keys
from api.database.tenancy import DEFAULT, EVERYONE, of_tenant
from api.hosting.answering import Answering
from api.hosting.host import Host
from api.hosting.leases import ALIVE_S
from api.hosting.models import Models
from api.hosting.sealing import Sealing, sealer_of
from api.hosting.training import Training
from api.listening import need_keys
from api.observability.requests import log_as_json
from api.settings import Settings
from planner.errors import InputError

HERE = "127.0.0.1"
"""Figures are for this machine unless it is said otherwise; then they are for those who have a key."""


def host(config: Path | None, given: Mapping[str, Any], cluster: str, port: int = 0, tenant: str = DEFAULT,
         address: str = HERE) -> None:
    """Serve a cluster by the settings of the service: a file, the environment, and what is `given` with the command.
    Where it answers is said with the command only, as the settings say where the service does.

    Raises InputError where models are given with the command, which are those of the tenant `default`, for another one.
    """
    if tenant != DEFAULT and given.get("models") is not None:
        instead = f"models of {tenant} stand in the file of settings, `models` in [tenants.{tenant}]"
        raise InputError([f"--models: {given['models']}: that is of the tenant {DEFAULT}: {instead}"])
    run(read_settings(config, os.environ, given), cluster, port, tenant, address)


def run(settings: Settings, cluster: str, port: int = 0, tenant: str = DEFAULT, address: str = HERE) -> None:
    """Serve until interrupted or told to end (SIGTERM), then give leases back. Prints where its figures are.

    Raises:
        InputError: the database cannot be used, nobody knows the tenant, the port is in use, or others could reach the
            address and there is no key.

    """
    settings = settings.of(tenant)
    settings.data.mkdir(parents=True, exist_ok=True)
    sealer = sealer_of(settings)
    try:
        upgrade(settings.store)
        every = engine_of(settings.store, ALIVE_S)
        _known(settings, every, tenant)
        need_keys(settings, address)
    except (SQLAlchemyError, RuntimeError) as error:
        raise InputError([f"database: {str(error).splitlines()[0]}"]) from error
    log_as_json()
    name = f"{cluster}/{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    models = Models(settings.model_folder, settings.model_database, sealer)
    from diagnostics import lifecycle  # noqa: F401 - scikit-learn and more, before anybody counts on this host

    engine, training = of_tenant(every, tenant), Training(settings, tenant, name)
    serving = Host(engine, name, cluster, models, Sealing(sealer), training, settings.model_stores)
    answering = Answering(serving.figures, settings, address, port)
    answering.start()
    try:
        for asked in (signal.SIGTERM, signal.SIGINT):
            signal.signal(asked, lambda *_: serving.stop())
        whose = "" if tenant == DEFAULT else f" of {tenant}"
        sys.stderr.write(f"planner hosts {cluster}{whose}: figures at {answering.address}/metrics\n")
        sys.stderr.flush()
        serving.run()
    finally:
        answering.stop()


def _known(settings: Settings, every: Engine, tenant: str) -> None:
    """Refuse a tenant of which nobody has heard: it stands in no settings, and has no key and no job (plans are made by
    jobs). Raises InputError with the nearest.
    """
    told = () if settings.oidc is None else (settings.oidc.tenant, *settings.oidc.tenants.values())
    known = {DEFAULT, *settings.tenants, *filter(None, told)}
    if tenant in known:
        return
    with of_tenant(every, EVERYONE).connect() as connection:
        for table in (keys, jobs):
            known |= set(connection.execute(select(table.c.tenant).distinct()).scalars())
    if tenant not in known:
        near = difflib.get_close_matches(tenant, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known)[:10])}"
        raise InputError([f"--tenant: {tenant}: not a tenant of this service: {hint}"])
