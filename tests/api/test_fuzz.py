"""Whatever fits the description, or nearly does, is answered as described: no status that is not told, and none that
blames the service. The description has 503 and 507 for every route, for when the store is away or full; here it is not.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def open_service(tmp_path_factory: pytest.TempPathFactory, start: Any, scenarios: Path) -> Iterator[Any]:
    """A service with telemetry and without keys."""
    telemetry = ROOT / "examples" / "hybrid" / "telemetry.parquet"
    many = dict.fromkeys(("reads", "writes"), "1000000/second")
    served = start(tmp_path_factory.mktemp("fuzz"), scenarios=scenarios, telemetry=telemetry, limits=many)
    yield served
    served.kill()


def fuzzed(service: Any, examples: int) -> list[str]:
    """What was answered otherwise than described or blames the service, one line for each route and status."""
    schema = schemathesis.openapi.from_dict(service.http.get("/openapi.json").json())
    operations = [found.ok() for found in schema.get_all_operations()]
    asked = (one for one in operations if not one.path.endswith("/events"))
    return sorted(line for one in asked for line in _wrong(service, one, examples))


def _wrong(service: Any, operation: Any, examples: int) -> set[str]:
    described = {int(status) for status in operation.definition.raw["responses"]} | {405}
    cases = st.one_of([operation.as_strategy(generation_mode=mode) for mode in GenerationMode])
    wrong: set[str] = set()

    @settings(max_examples=examples, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(case=cases)
    def one(case: Any) -> None:
        answer = case.call(base_url=str(service.http.base_url), timeout=60)
        if answer.status_code not in described or answer.status_code >= 500:
            wrong.add(f"{case.method} {operation.path}: {answer.status_code}")

    one()
    return wrong


def test_every_answer_is_described(open_service: Any) -> None:
    """A few requests for every route, right and wrong ones."""
    assert fuzzed(open_service, 2) == []


@pytest.mark.soak
def test_every_answer_is_described_at_length(open_service: Any) -> None:
    """The same with many requests."""
    assert fuzzed(open_service, int(os.environ.get("FUZZ_EXAMPLES", "150"))) == []
