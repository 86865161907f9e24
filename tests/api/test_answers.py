"""What all answers have in common: tags, nothing sent twice, compression, when to ask again."""

import asyncio
import gzip
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from api.store.files import PARQUET
from api.web.answers import LARGE, Answers
from api.web.preconditions import expect, none_match
from api.web.problems import Problem


def answer(request: Request) -> Response:
    """One answer of each sort."""
    kind = request.path_params["kind"]
    if kind == "lines":
        tagged = {"ETag": '"lines"'} if "tagged" in request.query_params else {}
        return StreamingResponse(iter([b"a\n"] * 3000), media_type="application/x-ndjson", headers=tagged)
    if kind == "events":
        return StreamingResponse(iter([b"data: a\n\n"] * 3000), media_type="text/event-stream")
    status = {"later": 202, "busy": 429, "away": 503, "missing": 404}.get(kind, 200)
    headers = {"private": {"Cache-Control": "no-store"}, "away": {"Retry-After": "60"}}.get(kind)
    if kind == "parquet":
        return Response(b"PAR1" * 1000, media_type=PARQUET)
    length = LARGE + 1 if kind == "large" else 3000
    return JSONResponse({"kind": kind, "text": "x" * length}, status, headers=headers)


@pytest.fixture
def ask() -> Any:
    """Asks for a kind of answer; what comes is not decompressed by anybody."""
    routes = [Route("/{kind}", answer, methods=["GET", "POST"]),
              Route("/v1/direct/{name}", lambda _: PlainTextResponse(""))]
    transport = httpx.ASGITransport(Answers(Starlette(routes=routes)))

    def one(kind: str, method: str = "GET", **headers: str) -> tuple[httpx.Response, bytes]:
        async def sent() -> tuple[httpx.Response, bytes]:
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                given = {name.replace("_", "-"): text for name, text in headers.items()}
                given = {"Accept-Encoding": "identity"} | given
                request = client.build_request(method, f"/{kind}", headers=given)
                response = await client.send(request, stream=True)
                raw = b"".join([part async for part in response.aiter_raw()])
                await response.aclose()
                return response, raw

        return asyncio.run(sent())

    return one


@pytest.mark.parametrize("kind", ["json", "large"])
def test_a_document_is_sent_once(ask: Any, kind: str) -> None:
    """The same content has the same strong tag; who names it, alone or among others, gets 304 without a body."""
    first, body = ask(kind)
    tag = first.headers["etag"]
    assert tag.startswith('"')
    assert first.headers["cache-control"] == "private, no-cache"
    assert ask(kind)[0].headers["etag"] == tag != ask("other")[0].headers["etag"]
    for known in (tag, f'"a", {tag}', f"W/{tag}", "*"):
        again, nothing = ask(kind, If_None_Match=known)
        assert (again.status_code, again.headers["etag"], nothing) == (304, tag, b"")
        assert "content-type" not in again.headers
    assert ask(kind, If_None_Match='"other"')[1] == body


def test_a_compressed_document_has_a_tag_of_its_own(ask: Any) -> None:
    """Other bytes, another strong tag; either is known again, whichever way it is asked for."""
    plain, body = ask("json")
    packed, small = ask("json", Accept_Encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(small) == body
    assert len(small) < len(body) / 5
    assert packed.headers["etag"] == plain.headers["etag"][:-1] + '-gzip"'
    assert "Accept-Encoding" in packed.headers["vary"]
    for known in (packed.headers["etag"], plain.headers["etag"]):
        assert ask("json", If_None_Match=known, Accept_Encoding="gzip")[0].status_code == 304
        assert ask("json", If_None_Match=known)[0].status_code == 304


def test_what_streams_streams_on(ask: Any) -> None:
    """Lines are compressed as they come and have no tag but their own; events and Parquet come as they are."""
    lines, packed = ask("lines", Accept_Encoding="gzip")
    assert gzip.decompress(packed) == b"a\n" * 3000
    assert "etag" not in lines.headers
    known, nothing = ask("lines?tagged=1", If_None_Match='"lines"')
    assert (known.status_code, nothing) == (304, b"")
    for kind, start in (("events", b"data: a"), ("parquet", b"PAR1")):
        found, body = ask(kind, Accept_Encoding="gzip")
        assert ("content-encoding" in found.headers, body[: len(start)]) == (False, start)


def test_what_is_no_document_has_no_tag(ask: Any) -> None:
    """Answers to POST, errors, and what is not to be kept."""
    for kind, method in (("json", "POST"), ("missing", "GET"), ("private", "GET"), ("v1/direct/a", "GET")):
        assert "etag" not in ask(kind, method, If_None_Match="*")[0].headers


def test_when_to_ask_again(ask: Any) -> None:
    """Whoever has to wait is told how long, by the route where it knows."""
    found = {kind: ask(kind)[0].headers.get("retry-after") for kind in ("later", "busy", "away", "json", "missing")}
    assert found == {"later": "1", "busy": "1", "away": "60", "json": None, "missing": None}


def test_what_is_expected(ask: Any) -> None:
    """A step names the state it changes, compressed or not; nothing, and something else, are told apart."""
    for given in ('"a"', '"b", "a"', '"a-gzip"', "*"):
        expect(given, "a")
    for given, status in ((None, 428), ('"b"', 412), ('W/"a"', 412), ("", 412), ("a", 412)):
        with pytest.raises(Problem) as refused:
            expect(given, "a")
        assert (refused.value.status, refused.value.headers) == (status, {"ETag": '"a"'})
    assert not none_match(None, '"a"')
