"""What is sent is data: it names no file, is no statement, no template and no YAML, and ends no line of the log."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.access import NEEDED
from api.database.engine import engine_of
from api.database.tables import metadata
from api.database.tenancy import DEFAULT, of_tenant
from api.folders import named_file
from api.scenarios import Scenarios
from api.store.scenarios import SentScenarios
from planner.errors import InputError

PATHS = ("../secret", "..", ".", "/etc", "small/../../secret", "link", "small/", "./small", "small\0",
         "%2e%2e%2fsecret", "..\\secret", "~", "file:///etc/passwd", "small\n", "SMALL", "")  # fmt: skip
STATEMENTS = ("' OR '1'='1", "x'; DROP TABLE jobs; --", '" OR ""="', "1) UNION SELECT digest FROM keys --", "%' --")
TEMPLATES = ("{{7*7}}", "${7*7}", "<%= 7*7 %>", "{% for x in y %}", "%s%s%n", "<script>alert(1)</script>")
UNICODE = ("\u202egnp.exe", "a\u0301", "\ud800", "\0", "\ufeff", "\U0001f9ff", "\u2028")
"""Turned round, combining, half a pair, nothing, a mark of order, beyond 16 bits, an end of line."""
YAML = ("!!python/object/apply:os.system ['touch pwned']", "&a [*a, *a]", "!!binary cHducGQ=", "<<: *x", "NO", "1e3")


@pytest.mark.parametrize("name", PATHS)
def test_a_name_is_no_path(service: Any, name: str) -> None:
    """Only names of the scenarios that are held are known: no path out of the folder, no link, no other spelling."""
    answer = service.http.post("/v1/plans", json={"scenario": name})
    assert answer.status_code == 422
    assert "not known" in answer.json()["detail"]


@pytest.fixture
def named(tmp_path: Path) -> Iterator[list[Callable[[str], Path]]]:
    """What reads names: the folders of scenarios that a name may mean, and files of histories."""
    root, engine = tmp_path / "held", engine_of(f"sqlite:///{tmp_path / 'planner.sqlite'}")
    (root / "small").mkdir(parents=True)
    (root / "small" / "scenario.yaml").write_text("{}")
    (root / "a.csv").write_text("")
    (tmp_path / "b.csv").write_text("")
    metadata.create_all(engine)
    held = Scenarios(root, SentScenarios(of_tenant(engine, DEFAULT)))
    yield [lambda name: root / held.pinned(name), lambda name: named_file(root, name, (".csv",), "history")]
    engine.dispose()


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=30) | st.sampled_from(PATHS))
def test_no_text_leads_out_of_a_folder(tmp_path: Path, named: list[Callable[[str], Path]], name: str) -> None:
    """Whatever text is given as a name is refused, or is a file of the folder itself."""
    for found in named:
        with suppress(InputError):
            assert found(name).resolve().parent == (tmp_path / "held").resolve()


@pytest.mark.parametrize("text", [*STATEMENTS, *TEMPLATES, *YAML, "\0", "\u202e", str(10**30)])
def test_what_is_in_an_address_is_data(service: Any, text: str) -> None:
    """In every place of every address that is read: nothing is found by it, nothing fails, and the jobs are there."""
    for method, path in sorted(NEEDED):
        if method != "GET" or path.endswith("/events"):
            continue
        address = "/".join(quote(text, safe="") if part.startswith("{") else part for part in path.split("/"))
        query = {"plan": text, "caller": text, "region": text, "key": text, "cluster": text, "at": text,
                 "before": text, "limit": text, "cursor": text, "since": text}
        for answer in (service.http.get(address), service.http.get(address, params=query)):
            assert answer.status_code < 500 or answer.status_code == 503, (address, answer.text)
            assert "49" not in answer.text or "7*7" not in text or "{" not in path
            assert answer.headers["x-content-type-options"] == "nosniff"
    assert service.http.get("/v1/jobs").status_code == 200


@pytest.mark.parametrize("text", [*STATEMENTS, *TEMPLATES, *YAML, *UNICODE, "x" * 10_000])
def test_what_is_in_a_body_is_data(service: Any, tiny: Any, text: str) -> None:
    """A scenario of that name, with it in a description too, is planned under that very name or refused in one line:
    as a name that cannot be, or as no JSON where half a pair of surrogates is no text.
    """
    body = json.dumps({"scenario": tiny | {"name": text, "description": text}, "priority": -50})
    answer = service.http.post("/v1/plans", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (202, 400 if text == "\ud800" else 422, 422), answer.text[:300]
    if answer.status_code == 202:
        assert answer.json()["name"] == text
        assert service.http.get(f"/v1/plans/{answer.json()['id']}").json()["name"] == text
        service.http.post(f"/v1/plans/{answer.json()['id']}/cancel")
    else:
        assert "\n" not in answer.json()["detail"]


def test_yaml_is_not_read(service: Any) -> None:
    """A body that is YAML is not one that is read, whatever it calls itself."""
    for kind in ("application/yaml", "text/yaml", "application/x-yaml", "application/json"):
        answer = service.http.post("/v1/plans", content=f"scenario: {YAML[0]}", headers={"Content-Type": kind})
        assert answer.status_code in (400, 415, 422)
    assert not Path("pwned").exists()


@pytest.mark.parametrize("text", ["a\r\nSet-Cookie: x=1", "a%0d%0aSet-Cookie:%20x=1", 'x"} {"event": "forged"'])
def test_a_line_of_the_log_or_a_header_is_not_ended(serve: Any, tmp_path: Path, text: str) -> None:
    """Whatever is in an address or a key, each line of the log is one object of ours, and no header is added."""
    service = serve(tmp_path / "data")
    answers = [service.http.get("/v1/plans/" + text.replace("\r\n", "%0d%0a")),
               service.http.get("/v1/plans", params={"before": text}),
               service.http.post("/v1/plans", json={"scenario": text},
                                 headers={"Idempotency-Key": text.replace("\r\n", "")})]  # fmt: skip
    assert all("set-cookie" not in answer.headers for answer in answers)
    service.stop()  # a line is written after the answer is sent
    lines = (tmp_path / "data.log").read_text().splitlines()[1:]
    assert lines
    assert all(json.loads(line)["event"] != "forged" for line in lines if line.startswith("{"))
    assert all(line.startswith("{") for line in lines)
