"""HTTP as channels need it: one request, no redirects, and words for what went wrong."""

from __future__ import annotations

from collections.abc import Mapping

from api.channels.channel import TIMEOUT_S, UndeliveredError

_LATER = frozenset({408, 425, 429})


def post(url: str, body: bytes, headers: Mapping[str, str], login: tuple[str, str] | None = None) -> None:
    """Send JSON. Raises UndeliveredError unless it is taken (2xx); of the address it tells the host alone."""
    import httpx  # a fifth of a second, which a worker that sends nothing need not wait

    try:
        answer = httpx.post(url, content=body, headers={"Content-Type": "application/json", **headers}, auth=login,
                            timeout=TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UndeliveredError(f"{_host(url)}: {type(error).__name__}") from None
    if not 200 <= answer.status_code < 300:
        later = answer.status_code >= 500 or answer.status_code in _LATER
        raise UndeliveredError(f"{_host(url)}: answers {answer.status_code}", again=later)


def _host(url: str) -> str:
    from urllib.parse import urlsplit

    return urlsplit(url).netloc.rsplit("@", 1)[-1]
