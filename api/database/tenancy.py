"""Whose rows a statement sees: every statement on tables with a column `tenant` is narrowed here, or refused.

A connection belongs to one tenant (`of_tenant`) or, where the service works for all of them, to EVERYONE. Statements
are written as if there were one tenant only; the condition is added when they are executed, and cannot be forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    CTE,
    Alias,
    Connection,
    Delete,
    Engine,
    Insert,
    Select,
    SelectBase,
    Subquery,
    Table,
    Update,
    event,
)
from sqlalchemy.sql import ClauseElement, visitors

DEFAULT: Final = "default"
"""The tenant of a service that knows no others."""
EVERYONE: Final = "*"
"""Not a tenant's name: reads and changes rows of all, and adds none, as it would not be known whose they are."""
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""Names of tenants: they may stand in paths and addresses."""
_COLUMN = "tenant"


def of_tenant(engine: Engine, tenant: str) -> Engine:
    """The same engine for rows of one tenant, or of EVERYONE."""
    return engine.execution_options(tenant=tenant)


def keep_apart(engine: Engine) -> None:
    """Narrow every statement that the engine executes."""
    event.listen(engine, "before_execute", _narrow, retval=True)


def _narrow(_: Connection, statement: Any, multiparams: Any, params: Any, options: Mapping[str, Any]) -> Any:  # noqa: ANN401
    if isinstance(statement, Insert) and any(_COLUMN in row for row in (*multiparams, params)):
        raise RuntimeError(f"{statement.table.name}: whose a row is, the engine says")
    return narrowed(statement, options.get(_COLUMN)), multiparams, params


@lru_cache(1024)
def narrowed(statement: Any, tenant: str | None) -> Any:  # noqa: ANN401 - whatever may be executed
    """The statement for rows of a tenant only; an outer join becomes an inner one by it. Statements that are made once
    and executed often are narrowed once.

    Raises:
        RuntimeError: nobody said whose rows are meant, or the condition cannot be added to such a statement.

    """
    if not isinstance(statement, ClauseElement):
        return statement
    parts = list(visitors.iterate(statement))
    if isinstance(statement, Insert | Update | Delete):
        parts.append(statement.table)
    held = list(dict.fromkeys(part for part in parts if isinstance(part, Table) and _COLUMN in part.c))
    if not held:
        return statement
    if tenant is None:
        raise RuntimeError(f"{held[0].name}: whose rows? use the engine of a tenant, or of everyone")
    inner = [part for part in parts if isinstance(part, Alias | Subquery | CTE | SelectBase) and part is not statement]
    if inner:
        raise RuntimeError(f"a {type(inner[0]).__name__} in a statement: whose rows it has is not seen; join tables")
    if isinstance(statement, Insert):
        if tenant == EVERYONE:
            raise RuntimeError(f"{held[0].name}: rows are added for one tenant")
        return statement.values({_COLUMN: tenant})
    assert isinstance(statement, Select | Update | Delete)
    if tenant == EVERYONE:
        return statement
    return statement.where(*(table.c[_COLUMN] == tenant for table in held))
