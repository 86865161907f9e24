"""Browsers sign in with a key: what their session may, what other sites may not, and how it ends."""

import hashlib
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from api.database.engine import upgrade
from api.security.keys import Keys

pytestmark = pytest.mark.slow
HOUR = timedelta(hours=1)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The database and a key for each of two roles, made before the service starts."""
    folder = tmp_path_factory.mktemp("signed") / "data"
    folder.mkdir()
    url = f"sqlite:///{folder / 'planner.sqlite'}"
    upgrade(url)
    store = Keys(url, "test")
    made = {role: store.create(role, [role], "default", HOUR)[1] for role in ("viewer", "planner")}
    store.close()
    return made | {"folder": str(folder), "url": url}


@pytest.fixture(scope="module")
def served(start: Any, keys: dict[str, str], scenarios: Path) -> Iterator[Any]:
    """A service that needs keys."""
    running = start(Path(keys["folder"]), scenarios=scenarios, limits={"refused": "1000/second"})
    yield running
    running.kill()


def sign_in(served: Any, key: str, then: str = "/plans", **headers: str) -> httpx.Response:
    """A form that was sent by a browser; each has cookies of its own."""
    content = urlencode({"key": key, "then": then})
    with httpx.Client(base_url=served.http.base_url) as browser:
        return browser.post("/sign-in", content=content, headers=FORM | headers)


def test_people_sign_in_and_out(look: Any, held: Any, keys: dict[str, str], looked_at: Any) -> None:
    """Whoever is not known is asked for a key, comes back to where they wanted to go, and sees the buttons of their
    role; what a button asks is done; after signing out nothing is shown.
    """
    window = look()
    looked_at(window, "/sign-in")
    job = held.job("forecast", "wanted")
    page = window.at("/jobs?kind=forecast")
    assert "/sign-in?then=" in page.url
    page.get_by_label("Key").fill("pk_wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("the key or token is not valid").wait_for()
    window.wrong = [line for line in window.wrong if "401" not in line]
    page.get_by_label("Key").fill(keys["planner"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/jobs?kind=forecast")
    page.get_by_role("button", name="Cancel").click()
    page.locator(".status.cancelled").wait_for()
    assert held.store.job(job).status == "cancelled"
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    assert "/sign-in" in window.at("/jobs").url


def test_a_session_may_what_its_key_may(look: Any, held: Any, served: Any, keys: dict[str, str]) -> None:
    """A viewer sees no button that changes something, and the service refuses it as well."""
    job = held.job("forecast", "kept")
    window = look()
    page = window.at("/sign-in?then=/jobs")
    page.get_by_label("Key").fill(keys["viewer"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/jobs")
    assert page.get_by_role("button", name="Cancel").count() == 0
    asked = (f"fetch('/v1/jobs/{job}/cancel', {{method: 'POST', headers: {{'X-CSRF-Token': "
             "document.querySelector('meta[name=csrf-token]').content}}).then((answer) => answer.status)")
    assert page.evaluate(asked) == 403
    window.wrong = [line for line in window.wrong if "403" not in line]


def test_the_cookie_is_for_this_site_and_no_script(served: Any, keys: dict[str, str]) -> None:
    """HttpOnly and SameSite=Strict; Secure where the browser came by https; the key is not in it."""
    own = served.http.base_url.netloc.decode()
    for headers, secure in (({}, False), ({"Origin": f"http://{own}"}, False), ({"Origin": f"https://{own}"}, True)):
        answer = sign_in(served, keys["viewer"], **headers)
        cookie = answer.headers["set-cookie"]
        assert answer.status_code == 303
        assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/"))
        assert ("Secure" in cookie) == secure
        assert keys["viewer"] not in cookie


def test_changes_need_the_token_of_the_session(served: Any, held: Any, keys: dict[str, str]) -> None:
    """With the cookie alone, a wrong token, or from another site, nothing is changed; with the token it is."""
    job = held.job("forecast", "aim")
    cookie = {"Cookie": sign_in(served, keys["planner"]).headers["set-cookie"].partition(";")[0]}
    text = served.http.get("/jobs", headers=cookie).text
    token = text.partition('name="csrf-token" content="')[2].partition('"')[0]
    right = cookie | {"X-CSRF-Token": token}
    ours = str(served.http.base_url).rstrip("/")
    refused = (cookie, cookie | {"X-CSRF-Token": token[:-1]}, right | {"Origin": "https://evil.example"},
               right | {"Sec-Fetch-Site": "cross-site"})
    for headers in refused:
        assert served.http.post(f"/v1/jobs/{job}/cancel", headers=headers).status_code == 403
        assert held.store.job(job).status == "queued"
    assert served.http.post(f"/v1/jobs/{job}/cancel", headers=right | {"Origin": ours}).status_code == 200
    assert served.http.post("/sign-out", headers=cookie).status_code == 403
    assert served.http.post("/sign-out", headers=right).status_code == 200
    assert served.http.get("/v1/jobs", headers=cookie).status_code == 401


def test_other_sites_do_not_sign_anybody_in(served: Any, keys: dict[str, str]) -> None:
    """A form of another site is refused, and nobody is sent to another site once signed in."""
    assert sign_in(served, keys["viewer"], Origin="https://evil.example").status_code == 403
    for then in ("https://evil.example", "//evil.example", "/\\evil.example", "evil"):
        assert sign_in(served, keys["viewer"], then).headers["location"] == "/"


def test_a_session_ends_with_its_key(served: Any, keys: dict[str, str]) -> None:
    """Within a second of its key being revoked a session is nobody's; programs are told so, browsers asked to sign in.
    """
    store = Keys(keys["url"], "test")
    key, text = store.create("short", ["viewer"], "default", HOUR)
    with httpx.Client(base_url=served.http.base_url) as browser:
        for _ in range(100):
            answer = browser.post("/sign-in", content=urlencode({"key": text}), headers=FORM)
            if answer.status_code == 303:
                break
            time.sleep(0.05)
        assert browser.get("/v1/jobs").status_code == 200
        store.revoke(key.id)
        store.close()
        for _ in range(200):
            if browser.get("/v1/jobs").status_code == 401:
                break
            time.sleep(0.05)
        assert browser.get("/v1/jobs").status_code == 401
        asked = browser.get("/jobs", headers={"Accept": "text/html"})
        assert (asked.status_code, asked.headers["location"]) == (303, "/sign-in?then=%2Fjobs")


def test_a_session_outlives_its_service(start: Any, served: Any, keys: dict[str, str], tmp_path: Path) -> None:
    """Another service on the same database knows it, as this one would after a restart; signed out there, it is soon
    over here. Neither the cookie nor the key is in the database.
    """
    cookie = sign_in(served, keys["planner"]).headers["set-cookie"].partition(";")[0]
    other = start(tmp_path / "other", database=served.database, limits={"refused": "1000/second"})
    try:
        text = other.http.get("/jobs", headers={"Cookie": cookie}).text
        token = text.partition('name="csrf-token" content="')[2].partition('"')[0]
        assert served.http.get("/v1/jobs", headers={"Cookie": cookie}).status_code == 200
        out = other.http.post("/sign-out", headers={"Cookie": cookie, "X-CSRF-Token": token})
        assert out.status_code == 200
        assert other.http.get("/v1/jobs", headers={"Cookie": cookie}).status_code == 401
        for _ in range(200):
            if served.http.get("/v1/jobs", headers={"Cookie": cookie}).status_code == 401:
                break
            time.sleep(0.05)
        assert served.http.get("/v1/jobs", headers={"Cookie": cookie}).status_code == 401
    finally:
        other.kill()
    kept = sign_in(served, keys["planner"]).headers["set-cookie"].partition(";")[0].partition("=")[2]
    content = b"".join(file.read_bytes() for file in Path(keys["folder"]).glob("planner.sqlite*"))
    assert hashlib.sha256(kept.encode()).hexdigest().encode() in content
    for secret in (kept, keys["planner"], token):
        assert secret.encode() not in content


def test_who_signs_in_is_recorded(served: Any, keys: dict[str, str]) -> None:
    """The record says who, and nothing of the key."""
    sign_in(served, keys["viewer"])
    store = Keys(keys["url"], "test")
    _, text = store.create("auditor", ["admin"], "default", HOUR)
    store.close()
    for _ in range(200):
        answer = served.http.get("/v1/audit?limit=50", headers={"X-API-Key": text})
        if answer.status_code == 200:
            break
        time.sleep(0.05)
    entries = answer.json()["entries"]
    assert any(one["action"] == "sign in" and one["caller"].endswith("/viewer") for one in entries)
    assert keys["viewer"] not in answer.text
