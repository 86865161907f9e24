"""Rows that many ask for at once."""

import asyncio
import threading
from collections.abc import Collection

import pytest

from api.store.together import Together


def test_who_asks_meanwhile_is_read_together() -> None:
    """One read at a time, of all who asked while the one before ran; each gets its own row, or None."""
    reads, may_go_on = list[tuple[str, ...]](), threading.Event()

    def read(ids: Collection[str]) -> dict[str, str]:
        reads.append(tuple(ids))
        may_go_on.wait(10)
        return {of: of.upper() for of in ids if of != "none"}

    async def ask() -> list[str | None]:
        rows = Together(read)
        first = asyncio.create_task(rows.row("a"))
        while not reads:
            await asyncio.sleep(0.001)
        others = [asyncio.create_task(rows.row(of)) for of in ("b", "a", "none", "b")]
        await asyncio.sleep(0)
        others[0].cancel()
        may_go_on.set()
        return [await first, *[await other for other in others[1:]], await rows.row("c")]

    assert asyncio.run(ask()) == ["A", "A", None, "B", "C"]
    assert reads == [("a",), ("b", "a", "none"), ("c",)]


def test_a_read_that_fails_is_told_to_all_who_asked_and_the_next_is_tried() -> None:
    """An error is each one's own; later reads do not know of it."""
    errors = [OSError("away"), None]

    def read(ids: Collection[str]) -> dict[str, int]:
        error = errors.pop(0)
        if error is not None:
            raise error
        return dict.fromkeys(ids, 1)

    async def ask() -> None:
        rows = Together(read)
        both = await asyncio.gather(rows.row("a"), rows.row("b"), return_exceptions=True)
        assert [str(one) for one in both] == ["away", "away"]
        assert await rows.row("a") == 1

    asyncio.run(ask())


def test_nothing_is_read_for_nobody() -> None:
    """Who is not there any more is read once, and their error is nobody's."""

    def read(_: Collection[str]) -> dict[str, int]:
        raise OSError

    async def ask() -> None:
        rows = Together(read)
        gone = asyncio.create_task(rows.row("a"))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        with pytest.raises(OSError):  # noqa: PT011 - any
            await rows.row("b")

    asyncio.run(ask())
