"""From a plan that was made to the plan in force, step by step, and back. A step is taken of what the caller has seen:
where that is no longer so, StaleError says how things are.
"""

from __future__ import annotations

from collections.abc import Sequence

from planner.client.results import JobState, Json, LifeCycle, WayBack
from planner.client.transport import Transport


class LifeCycles:
    """Lives of plans. Steps take the `LifeCycle` that was read last."""

    def __init__(self, to: Transport) -> None:
        self._to = to

    def get(self, plan_id: str) -> LifeCycle:
        """How far a plan is, and its history."""
        return self._life("GET", "/v1/plans/{plan_id}/life-cycle", {"plan_id": plan_id})

    def verify(self, life: LifeCycle, why: str = "") -> JobState:
        """Queue a check of a draft; it is verified when it holds."""
        path, expected = {"plan_id": life.plan}, {"If-Match": life.etag}
        return self._to.read(JobState, "POST", "/v1/plans/{plan_id}/verify", path, body={"why": why}, headers=expected)

    def approve(self, life: LifeCycle, why: str = "") -> LifeCycle:
        """Say that a plan that holds may be applied."""
        return self._life("POST", "/v1/plans/{plan_id}/approve", {"plan_id": life.plan}, life, {"why": why})

    def apply(self, life: LifeCycle, why: str = "") -> LifeCycle:
        """Begin with the waves of an approved plan."""
        return self._life("POST", "/v1/plans/{plan_id}/apply", {"plan_id": life.plan}, life, {"why": why})

    def wave(self, life: LifeCycle, wave: int, moves: Sequence[int] | None = None, why: str = "") -> LifeCycle:
        """Say that a wave is made, or which of its moves are. After the last wave the plan is in force."""
        body: Json = {"why": why, "moves": None if moves is None else list(moves)}
        path = {"plan_id": life.plan, "wave": str(wave)}
        return self._life("POST", "/v1/plans/{plan_id}/waves/{wave}", path, life, body)

    def put_in_force(self, life: LifeCycle, why: str = "") -> LifeCycle:
        """Put an approved plan in force at once, without its waves."""
        return self._life("PUT", "/v1/plans/{plan_id}/in-force", {"plan_id": life.plan}, life, {"why": why})

    def way_back(self, plan_id: str) -> WayBack:
        """What of a plan is made, and the moves that undo it."""
        return self._to.read(WayBack, "GET", "/v1/plans/{plan_id}/roll-back", {"plan_id": plan_id})

    def roll_back(self, life: LifeCycle, why: str = "") -> WayBack:
        """Give up on a plan that is being applied or in force; the moves that undo what was made of it."""
        path, expected = {"plan_id": life.plan}, {"If-Match": life.etag}
        return self._to.read(WayBack, "POST", "/v1/plans/{plan_id}/roll-back", path, body={"why": why},
                             headers=expected)

    def retire(self, life: LifeCycle, why: str = "") -> LifeCycle:
        """Say that a plan is not wanted any more."""
        return self._life("POST", "/v1/plans/{plan_id}/retire", {"plan_id": life.plan}, life, {"why": why})

    def _life(self, method: str, template: str, path: dict[str, str], before: LifeCycle | None = None,
              body: Json | None = None) -> LifeCycle:
        expected = {} if before is None else {"If-Match": before.etag}
        answer = self._to.ask(method, template, path, body=body, headers=expected)
        found = LifeCycle.model_validate_json(answer.content)
        return found.model_copy(update={"etag": answer.headers.get("etag", "*")})
