"""What must not be read by whoever reads the log: keys, tokens, passwords of databases, and what bodies hold."""

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from api.context import running
from api.database.engine import checked_url, engine_of, upgrade
from api.security.keys import Keys
from api.settings import Settings
from planner.errors import InputError

PASSWORD, CONTENT, NOTE = "hunter2-swordfish", "body-of-a-request", "key-of-idempotency"


def asked(service: Any, key: str, tokens: list[str]) -> None:
    """Use keys and tokens, good and bad, in every way that is logged."""
    good = {"Authorization": f"Bearer {key}"}
    for headers in (good, {"X-API-Key": key}, {"X-API-Key": key + "x"}, {"Authorization": f"Basic {key}"},
                    {"Authorization": f"Bearer {key}", "X-API-Key": key},
                    *({"Authorization": f"Bearer {token}"} for token in tokens)):  # fmt: skip
        for path in ("/v1/plans", "/v1/nothing", "/readyz"):
            service.http.get(path, headers=headers)
    more = good | {"Idempotency-Key": NOTE}
    service.http.post("/v1/plans", json={"scenario": CONTENT}, headers=more)
    service.http.post("/v1/plans", json={"scenario": {"name": CONTENT}}, headers=more)
    csv = more | {"Content-Type": "text/csv"}
    service.http.post("/v1/forecasts?horizon=1h", content=f"a,b\n{CONTENT},1", headers=csv)


def test_no_secret_is_logged_when_everything_fails(postgresql: str, start: Any, tmp_path: Path) -> None:
    """With a password in the address of the database, keys and tokens in requests, and a database that breaks in the
    middle: none of them is in the log, in the arguments of a process, in figures or in answers.
    """
    server = create_engine(checked_url(postgresql), isolation_level="AUTOCOMMIT")
    name = f"secrets{os.getpid()}"
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = make_url(checked_url(postgresql)).set(database=name, password=PASSWORD).render_as_string(hide_password=False)
    upgrade(url)
    keys = Keys(url, "test")
    _, key = keys.create("ci", ["admin"], "default", timedelta(hours=1))
    keys.close()
    signer = ec.generate_private_key(ec.SECP256R1())
    token = jwt.encode({"sub": "ann", "iss": "https://login.example/"}, signer, "ES256", {"kid": "a"})
    (tmp_path / "jwks.json").write_text('{"keys": []}')
    oidc = {"issuer": "https://login.example/", "audience": "x", "jwks": str(tmp_path / "jwks.json"), "tenant": "acme"}
    (tmp_path / "database").write_text(url)
    service = start(tmp_path / "data", database_file=tmp_path / "database", oidc=oidc)
    service.http.headers["Connection"] = "close"  # after a fault the service closes it anyway
    try:
        asked(service, key, [token, "x" + token])
        seen = [service.http.get("/metrics", headers={"X-API-Key": key}).text]
        processes = [psutil.Process(pid) for pid in (service.process.pid, *service.workers())]
        seen += [" ".join(process.cmdline()) for process in processes]
        with create_engine(url).begin() as connection:
            connection.execute(text("ALTER TABLE jobs RENAME TO broken"))
        answer = service.http.get("/v1/plans", headers={"X-API-Key": key})
        assert answer.status_code == 500
        assert "broken" not in answer.text
        asked(service, key, [token])
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        asked(service, key, [token])
        assert service.http.get("/readyz").json()["detail"] == "store: does not answer; the log says more"
        time.sleep(1)
    finally:
        service.kill()
        server.dispose()
    log = (tmp_path / "data.log").read_text()
    assert "failed" in log
    assert "does not answer" in log
    for secret in (PASSWORD, key, key.rsplit("_", 1)[1], token, token.split(".")[2], CONTENT, NOTE):
        assert all(secret not in told for told in (log, answer.text, *seen))


def test_a_password_is_not_told_where_the_database_is_refused(tmp_path: Path) -> None:
    """A database that cannot be reached is told in one line, without the password; settings do not show it either."""
    settings = Settings(data=tmp_path / "data", database=f"postgresql://planner:{PASSWORD}@127.0.0.1:1/nowhere")
    with pytest.raises(InputError, match="Connection refused") as error, running(settings):
        pass
    assert PASSWORD not in f"{error.value} {settings!r} {settings.model_dump_json()}"


def test_values_of_statements_are_not_in_errors(database: str) -> None:
    """What goes wrong in the database is told without the values that went there."""
    engine = engine_of(database)
    with engine.connect() as connection, pytest.raises(SQLAlchemyError) as error:
        connection.execute(text("SELECT * FROM nowhere WHERE name = :name"), {"name": PASSWORD})
    engine.dispose()
    assert PASSWORD not in str(error.value)
