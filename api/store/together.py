"""Rows that many ask for at once are read together: one thread and one statement for all who waited meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

Row = TypeVar("Row")


class Together(Generic[Row]):
    """Reads of rows by id. While one read runs, those who ask wait for the next; nobody is given a row that was read
    before they asked. Of one event loop.
    """

    def __init__(self, read: Callable[[Collection[str]], Mapping[str, Row]]) -> None:
        self._read = read
        self._asked: dict[str, asyncio.Future[Row | None]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def row(self, of: str) -> Row | None:
        """The row of an id, None where there is none. Raises what the read does."""
        found = self._asked.get(of)
        if found is None:
            found = self._asked[of] = asyncio.get_running_loop().create_future()
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_all())
        return await asyncio.shield(found)  # others may wait for it when this one goes away

    async def _read_all(self) -> None:
        try:
            while self._asked:
                asked, self._asked = self._asked, {}
                try:
                    rows = await run_in_threadpool(self._read, tuple(asked))
                except Exception as why:  # noqa: BLE001 - told to everybody who asked
                    for found in asked.values():
                        found.set_exception(why)
                        found.exception()  # who asked may be gone
                else:
                    for of, found in asked.items():
                        found.set_result(rows.get(of))
        finally:
            self._reading = None
