"""Stores on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from diagnostics.store import ModelStore

OpenStore = Callable[[], ModelStore]


@pytest.fixture(params=["sqlite", "postgresql"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Open the same empty store as often as asked, each time as another process would."""
    url = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql")
        name = f"s{uuid.uuid4().hex}"
        engine = create_engine(server.replace("postgresql://", "postgresql+psycopg://"))
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {name}"))
        engine.dispose()
        url = f"{server}&options=-csearch_path%3D{name}%20-csynchronous_commit%3Doff"
    opened: list[ModelStore] = []

    def open_it() -> ModelStore:
        opened.append(ModelStore(tmp_path / "models", url))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> ModelStore:
    """One empty store."""
    return open_store()


