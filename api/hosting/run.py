"""`planner host`: one process that serves the diagnostics of a cluster."""

from __future__ import annotations

import os
import signal
import socket
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from api.configured import read_settings
from api.database.engine import engine_of, upgrade
from api.database.tenancy import DEFAULT, of_tenant
from api.hosting.figures import Answering
from api.hosting.host import Host
from api.hosting.leases import ALIVE_S
from api.hosting.models import Models
from api.hosting.sealing import Sealing, sealer_of
from api.hosting.training import Training
from api.observability.requests import log_as_json
from api.settings import Settings
from planner.errors import InputError

ADDRESS = "127.0.0.1"
"""Figures are for this machine: whoever scrapes them from elsewhere does so through something that asks who it is."""


def host(config: Path | None, given: Mapping[str, Any], cluster: str, port: int) -> None:
    """Serve a cluster by the settings of the service: a file, the environment, and what is `given` with the command."""
    run(read_settings(config, os.environ, given), cluster, port)


def run(settings: Settings, cluster: str, port: int = 0, tenant: str = DEFAULT) -> None:
    """Serve until interrupted or told to end (SIGTERM), then give leases back. Prints where its figures are.

    Raises:
        InputError: the database cannot be used, or the port is in use.

    """
    settings = settings.of(tenant)
    settings.data.mkdir(parents=True, exist_ok=True)
    sealer = sealer_of(settings)
    try:
        upgrade(settings.store)
    except (SQLAlchemyError, RuntimeError) as error:
        raise InputError([f"database: {str(error).splitlines()[0]}"]) from error
    log_as_json()
    name = f"{cluster}/{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    models = Models(settings.model_folder, settings.model_database, sealer)
    from diagnostics import lifecycle  # noqa: F401 - scikit-learn and more, before anybody counts on this host

    engine, training = of_tenant(engine_of(settings.store, ALIVE_S), tenant), Training(settings, tenant, name)
    serving = Host(engine, name, cluster, models, Sealing(sealer), training, settings.model_stores)
    try:
        answering = Answering(serving.figures, ADDRESS, port)
    except OSError as error:
        raise InputError([f"--port: {port}: {error.strerror}; name another, or 0 for any that is free"]) from None
    answering.start()
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, lambda *_: serving.stop())
    sys.stderr.write(f"planner hosts {cluster}: figures at http://{ADDRESS}:{answering.port}/metrics\n")
    sys.stderr.flush()
    try:
        serving.run()
    finally:
        answering.stop()
