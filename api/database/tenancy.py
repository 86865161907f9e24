"""Whose rows a statement sees: every statement on tables with a column `tenant` is narrowed here, or refused.

A connection belongs to one tenant (`of_tenant`) or, where the service works for all of them, to EVERYONE. Statements
are written as if there were one tenant only; the condition is added when they are executed, and cannot be forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

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
    """Narrow every statement that the engine executes; one that is made once and executed often, once for a tenant.
    One that is made for a request is let go with it: it holds what it adds, which may be a whole scenario.
    """
    known: WeakKeyDictionary[ClauseElement, dict[str | None, ClauseElement | None]] = WeakKeyDictionary()

    @event.listens_for(engine, "before_execute", retval=True)
    def _narrow(_: Connection, statement: Any, multiparams: Any, params: Any, options: Mapping[str, Any]) -> Any:  # noqa: ANN401
        if isinstance(statement, Insert) and any(_COLUMN in row for row in (*multiparams, params)):
            raise RuntimeError(f"{statement.table.name}: whose a row is, the engine says")
        if not isinstance(statement, ClauseElement):
            return statement, multiparams, params
        tenant, by_tenant = options.get(_COLUMN), known.setdefault(statement, {})
        if tenant not in by_tenant:
            found = narrowed(statement, tenant)
            by_tenant[tenant] = None if found is statement else found  # else it would keep itself
        kept = by_tenant[tenant]
        return statement if kept is None else kept, multiparams, params


def narrowed(statement: ClauseElement, tenant: str | None) -> ClauseElement:
    """The statement for rows of a tenant only; an outer join becomes an inner one by it.

    Raises:
        RuntimeError: nobody said whose rows are meant, or the condition cannot be added to such a statement.

    """
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
