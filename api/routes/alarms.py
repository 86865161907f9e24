"""Alarms: which belong together, who has seen them, and whether they were right."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.access import CallerDep, Route
from api.context import Service, ServiceDep
from api.description.shapes import AlarmList, FeedbackList, Judged, SeenAlarm
from api.marks import Said, Verdict
from api.web.paging import PageDep
from api.web.problems import Problem, unknown

if TYPE_CHECKING:
    from diagnostics.alarms import Alarm, SuperAlarm
    from diagnostics.diagnose import Alarm as Found

router = APIRouter(prefix="/v1/alarms", tags=["alarms"], route_class=Route)

Some = Annotated[str | None, Query(description="a pattern, as onprem-*")]


class Note(BaseModel):
    """What somebody says."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    note: str = Field("", max_length=1000)


class Judgement(Note):
    """Whether alarms were right. False ones raise the threshold of their metric on their cluster, true ones keep it."""

    verdict: Verdict
    alarms: tuple[str, ...] | None = Field(None, strict=False, description="fingerprints; all of it when left out")


@router.get("", response_model=None, responses={200: {"model": AlarmList}})
def list_alarms(
    service: ServiceDep,
    page: PageDep,
    cluster: Some = None,
    hardware_class: Some = None,
    metric: Some = None,
    severity: Literal["page", "ticket", "log"] | None = None,
    state: Annotated[Literal["lasting", "resolved"] | None, Query(description="left out: both")] = None,
    acknowledged: Annotated[bool | None, Query(description="left out: both")] = None,
) -> dict[str, Any]:
    """Super alarms of the days that are reported, the newest first: those with an alarm that fits every filter."""
    from diagnostics.alarms import Match

    asked = (("cluster", cluster), ("hardware_class", hardware_class), ("metric", metric))
    match = Match(tuple((name, pattern) for name, pattern in asked if pattern is not None))
    current = service.diagnoses.current()
    found = [one for one in _together(service) if severity in (None, one.severity)
             and (state is None or (one.until is None) == (state == "lasting"))
             and any(match.holds(alarm.condition, alarm.attributes) for alarm in one.alarms)]
    told = [row for row in map(_Telling(service), found)
            if acknowledged is None or acknowledged == (row["acknowledged"] is not None)]
    diagnosis, (told, following) = current.diagnosis, page.cut(told, lambda row: row["id"])
    return {"from": diagnosis.reported_from, "to": diagnosis.end, "singly": sum(len(one.alarms) for one in found),
            "expected_false_alarms": diagnosis.expected_false_alarms, "alarms": told, "next": following}


@router.get("/feedback", response_model=None, responses={200: {"model": FeedbackList}})
def list_feedback(service: ServiceDep, page: PageDep) -> dict[str, Any]:
    """What people said of alarms, the oldest first; it moves thresholds from the next diagnosis on."""
    numbered, following = page.cut(list(enumerate(service.marks.judgements(), 1)), lambda row: row[0])
    return {"feedback": [vars(one) for _, one in numbered], "next": following}


@router.get("/{alarm_id}", response_model=None, responses={200: {"model": SeenAlarm}})
def get_alarm(alarm_id: str, service: ServiceDep) -> dict[str, Any]:
    """One super alarm: its alarms, hypotheses, remedies and runbook."""
    return _Telling(service)(_one(service, alarm_id))


@router.post("/{alarm_id}/acknowledge", response_model=None, responses={200: {"model": SeenAlarm}})
def acknowledge(alarm_id: str, body: Note, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Say that somebody looks after it. Who was first stays; alarms that join it later are not seen yet."""
    found = _one(service, alarm_id)
    service.marks.see((alarm.key for alarm in found.alarms), caller.name, body.note)
    return _Telling(service)(found)


@router.post("/{alarm_id}/feedback", response_model=None, responses={200: {"model": Judged}})
def feedback(alarm_id: str, body: Judgement, service: ServiceDep, caller: CallerDep) -> dict[str, Any]:
    """Say whether alarms were right. The next diagnosis goes by it: an alarm that was false may be gone by then."""
    found = _one(service, alarm_id)
    known = {alarm.fingerprint: alarm for alarm in found.alarms}
    for name in body.alarms or ():
        if name not in known:
            raise unknown(f"alarm of {alarm_id}", name, known)
    judged = [_said(service, alarm, body, caller.name) for alarm in found.alarms
              if body.alarms is None or alarm.fingerprint in body.alarms]
    by_chance = [one for one in judged if one is not None]
    if not by_chance:
        rules = "raised by rules of experts, which have no threshold: change the rule"
        raise Problem(HTTPStatus.CONFLICT, f"alarm: {alarm_id}: {rules}")
    service.marks.judge(by_chance)
    return {"feedback": [vars(one) for one in by_chance]}


def _together(service: Service) -> Sequence[SuperAlarm]:
    """Super alarms, the newest first."""
    return service.diagnoses.current().together[::-1]


def _one(service: Service, alarm_id: str) -> SuperAlarm:
    found = {one.id: one for one in _together(service)}
    if alarm_id not in found:
        raise unknown("alarm", alarm_id, found)
    return found[alarm_id]


class _Telling:
    """Super alarms as JSON has them, with who has seen them; it is seen when all of its alarms are."""

    def __init__(self, service: Service) -> None:
        self._seen = service.marks.seen()

    def __call__(self, one: SuperAlarm) -> dict[str, Any]:
        from diagnostics.alarms.recorded import as_dict

        marks = [self._seen.get(alarm.key) for alarm in one.alarms]
        last = None if None in marks else max((mark for mark in marks if mark is not None), key=lambda mark: mark.at)
        return as_dict(one) | {"acknowledged": None if last is None else vars(last)}


def _said(service: Service, alarm: Alarm, body: Judgement, by: str) -> Said | None:
    """The judgement of an alarm, by its least chance; None for one that a rule raised."""
    place = dict(alarm.attributes)
    raised = service.diagnoses.current().diagnosis.cluster(place["cluster"])
    fingerprint, since = alarm.key
    chances = [one.p for one in (() if raised is None else raised.alarms) if _within(one, alarm) and one.p is not None]
    if alarm.condition.startswith("against rule") or not chances:
        return None
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Said(fingerprint, since, place["cluster"], place["metric"], place.get("workload", ""), min(chances),
                body.verdict, by, at, body.note)


def _within(one: Found, alarm: Alarm) -> bool:
    """Whether a finding of the diagnosis is part of an alarm."""
    from diagnostics.alarms import utc

    place = dict(alarm.attributes)
    theirs = place["metric"], place.get("workload", ""), place.get("device", "")
    return theirs == (one.metric, one.workload, one.device) and alarm.since <= utc(one.since) <= alarm.last
