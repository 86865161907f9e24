"""Whatever is asked, the answer is the thing itself or a problem in the one documented form."""

from typing import Any

import httpx
import pytest

from api.settings import is_loopback


def check_problem(response: httpx.Response, status: int, *says: str) -> dict[str, Any]:
    """The response is RFC 9457 problem details with one-line messages and no trace of the inside."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["type"] == "about:blank"
    assert problem["title"]
    lines = [problem["detail"], *problem.get("errors", ())]
    assert all("\n" not in line for line in lines)
    assert "Traceback" not in response.text
    assert "site-packages" not in response.text
    for words in says:
        assert any(words in line for line in lines), (words, lines)
    return problem


def test_health(service: Any) -> None:
    """A service that runs says so."""
    assert service.http.get("/healthz").json() == {"status": "ok"}
    assert service.http.get("/readyz").json() == {"status": "ok"}


def test_an_address_that_is_not_there(service: Any) -> None:
    """What is not served is a 404 that lists what is, and names the nearest."""
    problem = check_problem(service.http.get("/v1/plan"), 404, "/v1/plans?")
    assert "/v1/clusters/{name}/runs" in problem["endpoints"]
    for later in ("/v1/nothing", "/v1/indirect/x", "/metrix"):
        check_problem(service.http.get(later), 404, "nothing is served here")


def test_a_method_that_is_not_there(service: Any) -> None:
    """A wrong method is a 405 that says what is allowed, in the header too."""
    response = service.http.delete("/v1/plans")
    check_problem(response, 405, "GET, POST")
    assert response.headers["allow"] == "GET, POST"
    assert service.http.put("/v1/plans/x/cancel").headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("content", "kind", "status", "says"),
    [
        (b"", "application/json", 422, "Field required"),
        (b"{", "application/json", 400, "not JSON"),
        (b'{"\xff"}', "application/json", 400, "invalid unicode"),
        (b'{"scenario":' + b"[" * 200_000, "application/json", 400, "nested too deeply"),
        (b'{"scenario": {"x": 1e999}}', "application/json", 422, "scenario"),
        (b"{}", "text/plain", 422, "Content-Type: application/json"),
        (b"{}", "application/json", 422, "scenario: Field required"),
        (b"[]", "application/json", 422, "body"),
        (b'{"scenario": 7}', "application/json", 422, "the name of one"),
        (b'{"scenario": "small", "mod": "min_cost"}', "application/json", 422, "mod: not known; 'mode'?"),
        (b'{"scenario": "small", "mode": "cheap"}', "application/json", 422, "'min_cost' or 'max_sla'"),
        (b'{"scenario": "small", "sla_floor": 99.9}', "application/json", 422, "less than or equal to 1"),
        (b'{"scenario": "small", "budget_usd": -1}', "application/json", 422, "budget_usd: -1"),
        (b'{"scenario": "small", "seed": "1"}', "application/json", 422, "seed"),
        (b'{"scenario": "small", "time_limit_s": 0}', "application/json", 422, "time_limit_s: 0"),
        (b'{"scenario": "small", "time_limit_s": NaN}', "application/json", 400, "not JSON: expected value"),
        (b'{"scenario": "small", "solver": "magic"}', "application/json", 422, "magic: allowed are"),
        (
            b'{"scenario": "small", "mode": "max_sla", "sla_floor": 0.9}',
            "application/json",
            422,
            "sla_floor: 0.9: mode max_sla has none",
        ),
        (
            b'{"scenario": "small", "mode": "min_cost", "budget_usd": 9}',
            "application/json",
            422,
            "budget_usd: 9: mode min_cost has none",
        ),
        (b'{"scenario": "small", "mode": "max_sla"}', "application/json", 422, "budget_usd: missing"),
        (b'{"scenario": "smal"}', "application/json", 422, "'small'?"),
        (b'{"scenario": "../secret"}', "application/json", 422, "not known"),
        (b'{"scenario": "small/../../secret"}', "application/json", 422, "not known"),
        (b'{"scenario": "link"}', "application/json", 422, "not known"),
        (b'{"scenario": "."}', "application/json", 422, "not known"),
        (b'{"scenario": ""}', "application/json", 422, "not known"),
        (b'{"scenario": "/etc"}', "application/json", 422, "not known"),
        (b'{"scenario": "small\\u0000"}', "application/json", 422, "not known"),
    ],
)
def test_a_bad_request(service: Any, content: bytes, kind: str, status: int, says: str) -> None:
    """Every mistake in a request is one line that says where, what and what is allowed; nothing is queued."""
    before = service.http.get("/v1/plans").json()
    response = service.http.post("/v1/plans", content=content, headers={"Content-Type": kind})
    check_problem(response, status, says)
    assert service.http.get("/v1/plans").json() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda scenario: scenario | {"workloads": "/etc/passwd"},
        lambda scenario: scenario | {"clusters": "../clusters.yaml"},
        lambda scenario: scenario | {"interference": "pairs.csv"},
        lambda scenario: scenario | {"workloads": [scenario["workloads"][0] | {"replicas": {"from": "/etc/hostname"}}]},
        lambda scenario: (
            scenario | {"workloads": [scenario["workloads"][0] | {"replicas": {"history": {"file": "../../x.csv"}}}]}
        ),
    ],
    ids=["workloads", "clusters", "interference", "replicas", "history"],
)
def test_a_scenario_over_the_network_names_no_files(service: Any, tiny: dict[str, Any], change: Any) -> None:
    """A scenario in a request cannot make the service read its own files."""
    check_problem(service.ask({"scenario": change(tiny)}), 422)


def test_a_body_that_is_too_large(service: Any) -> None:
    """More than 32 MiB is refused by its stated length, and as it arrives when it states none."""
    large = b'{"scenario": "' + b"x" * (33 * 2**20) + b'"}'
    check_problem(service.http.post("/v1/plans", content=large), 413, "more than 33554432 bytes")

    def pieces() -> Any:
        for start in range(0, len(large), 2**20):
            yield large[start : start + 2**20]

    headers = {"Content-Type": "application/json"}
    check_problem(service.http.post("/v1/plans", content=pieces(), headers=headers), 413, "more than 33554432 bytes")
    assert service.http.get("/healthz").status_code == 200


def test_other_sites_may_not_ask(service: Any) -> None:
    """A name rebound to this machine and a page of another site are turned away; this machine's own are not."""
    check_problem(service.http.get("/v1/plans", headers={"Host": "evil.example"}), 421, "evil.example")
    check_problem(
        service.http.post("/v1/plans/x/cancel", headers={"Origin": "https://evil.example"}), 403, "evil.example"
    )
    for origin in ("http://localhost:3000", "http://127.0.0.1"):
        assert service.http.get("/v1/plans", headers={"Origin": origin}).status_code == 200


def test_what_is_not_known(service: Any) -> None:
    """Unknown plans, clusters and workloads are named, with the nearest that is there."""
    check_problem(service.http.get("/v1/plans/nope"), 404, "plan: nope: not known")
    check_problem(service.http.post("/v1/plans/nope/cancel"), 404, "plan: nope: not known")
    check_problem(service.http.get("/v1/clusters/cheap/runs", params={"plan": "nope"}), 404, "plan: nope")
    check_problem(service.http.get("/v1/diagnostics/clusters/onprem-ashbrun"), 404, "'onprem-ashburn'?")
    check_problem(service.http.get("/v1/plans", params={"limit": 0}), 422, "limit")


def test_the_description_needs_nothing_from_elsewhere(service: Any) -> None:
    """The OpenAPI description is served; pages that fetch scripts from other hosts are not."""
    assert service.http.get("/openapi.json").json()["info"]["title"] == "planner"
    for page in ("/docs", "/redoc"):
        check_problem(service.http.get(page), 404)


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("[::1]", True), ("LocalHost", True), ("0.0.0.0", False),
     ("::", False), ("10.0.0.1", False), ("localhost.evil.example", False), ("", False), ("0", False)],
)  # fmt: skip
def test_loopback(host: str, own: bool) -> None:
    """Only addresses and names of this machine count as such."""
    assert is_loopback(host) is own
