"""Whom a host tells how it is: whom the service would tell."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from api.database.engine import upgrade
from api.hosting.answering import Answering
from api.hosting.figures import Figures
from api.security.keys import Keys
from api.settings import Settings
from planner.cli import app
from planner.errors import InputError

Asked = Callable[..., int]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those of a service with a database and nothing in it."""
    settings = Settings(data=tmp_path)
    upgrade(settings.store)
    return settings


@pytest.fixture
def answering(settings: Settings) -> Iterator[Callable[[str], Asked]]:
    """Hosts that listen on an address, as what gives the status of an answer to a request with headers."""
    running: list[Answering] = []

    def one(host: str) -> Asked:
        running.append(Answering(Figures("edge"), settings, host, 0))
        running[-1].start()
        address = running[-1].address.replace("0.0.0.0", "127.0.0.1")
        return lambda path, **headers: httpx.get(f"{address}{path}", headers=headers).status_code

    yield one
    for made in running:
        made.stop()


def test_others_can_ask_a_host_only_where_there_is_a_key(settings: Settings, tmp_path: Path) -> None:
    """Like the service it does not start on an address that others reach while they could not be known."""
    words = ["host", "--cluster", "edge", "--data", str(tmp_path), "--host", "0.0.0.0"]
    refused = CliRunner().invoke(app, words)
    assert str(refused.exception).startswith("--host: 0.0.0.0: others could ask, and there is no valid key")


def test_figures_are_for_who_runs_the_service_and_probes_for_anybody(
    settings: Settings, answering: Callable[[str], Asked]
) -> None:
    """On an address that others reach: 401 without a key, 403 with one of another role or tenant, and 200 with that of
    an sre; `/healthz` and 404 as always. On this machine nobody needs a key until there is one.
    """
    here = answering("127.0.0.1")
    assert (here("/metrics"), here("/healthz"), here("/other")) == (200, 200, 404)
    keys = Keys(settings.store, "test")
    sre, viewer, acmes = (keys.create("scraper", [role], tenant, None)[1]
                          for role, tenant in (("sre", "default"), ("viewer", "default"), ("sre", "acme")))  # fmt: skip
    keys.close()
    for ask in (answering("0.0.0.0"), answering("127.0.0.1")):
        assert ask("/healthz") == 200
        assert ask("/metrics") == 401
        assert ask("/metrics", Authorization="Bearer pk_000000000000_guessed") == 401
        assert [ask("/metrics", Authorization=f"Bearer {key}") for key in (sre, viewer, acmes)] == [200, 403, 403]


def test_a_port_in_use_is_told_in_one_line(settings: Settings) -> None:
    """With what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--port: {port}: Address already in use; name another"):
            Answering(Figures("edge"), settings, "127.0.0.1", port)


def test_a_host_that_ends_no_round_is_not_well(
    answering: Callable[[str], Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`/healthz` answers 503 then."""
    ask = answering("127.0.0.1")
    assert ask("/healthz") == 200
    monkeypatch.setattr("api.hosting.figures.STUCK_S", -1.0)
    assert ask("/healthz") == 503
