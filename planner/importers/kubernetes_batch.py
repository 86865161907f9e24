"""CronJobs as batch windows: their runs within the horizon, each at its own start."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from planner.importers.draft import Asked, Draft, Fields
from planner.kube import labels
from planner.kube.objects import Thing


def batch_of(jobs: Sequence[Thing], name: str, asked: Asked, draft: Draft) -> Fields | None:
    """The batch window of some CronJobs of one workload; None, and told, where none runs within the horizon.

    Runs that do not come evenly, or too seldom to be told, count from the first, as far as they are even.
    """
    starts = sorted({slot for job in jobs if not job.at("spec", "suspend") for slot in starts_of(
        job, str(job.at("spec", "schedule") or ""), str(job.at("spec", "timeZone") or "UTC"), asked)})
    if not starts:
        draft.guess("workloads.*", "left out", "CronJobs that are suspended or do not run within the horizon", name)
        return None
    duration = min(_duration(jobs[0], name, asked, draft), asked.slots - starts[0])
    made = {"duration_slots": duration, "earliest_slot": starts[0], "latest_slot": starts[0]}
    if len(starts) == 1:
        return made
    return made | {"every_slots": max(gap_of(starts, name, draft), duration)}


def gap_of(starts: Sequence[int], name: str, draft: Draft) -> int:
    """Slots from one start to the next."""
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    if len(set(gaps)) > 1:
        why = "its runs do not come evenly: the first gap counts for all"
        draft.guess("workloads.*.batch.every_slots", gaps[0], why, name)
    return gaps[0]


def starts_of(job: Thing, schedule: str, zone: str, asked: Asked) -> list[int]:
    """Slots in which a schedule of an object starts something. Raises InputError for what is no schedule or zone."""
    from croniter import CroniterBadCronError, croniter

    end = asked.start + timedelta(minutes=asked.slots * asked.slot_minutes)
    try:
        found = croniter(schedule, (asked.start - timedelta(seconds=1)).astimezone(ZoneInfo(zone)))
    except CroniterBadCronError as error:
        raise job.wrong("spec.schedule", schedule, f"a cron expression of five fields is needed: {error}") from None
    except (ZoneInfoNotFoundError, ValueError):
        raise job.wrong("spec.timeZone", zone, "a time zone such as Etc/UTC is needed") from None
    slots: list[int] = []
    while len(slots) < asked.slots and (moment := found.get_next(datetime)) < end:
        slots.append(int((moment - asked.start).total_seconds() // (60 * asked.slot_minutes)))
    return slots


def _duration(job: Thing, name: str, asked: Asked, draft: Draft) -> int:
    """How many slots a run takes: as the planner wrote it, else until its deadline, else one."""
    minutes = job.annotations.get(labels.RUN_MINUTES, "")
    if minutes.isdigit():
        return max(1, -(-int(minutes) // asked.slot_minutes))
    deadline = job.at("spec", "jobTemplate", "spec", "activeDeadlineSeconds")
    if isinstance(deadline, int) and deadline > 0:
        draft.guess("workloads.*.batch.duration_slots", "its activeDeadlineSeconds", "how long a run really takes is "
                    "not stated", name)
        return -(-deadline // (60 * asked.slot_minutes))
    draft.guess("workloads.*.batch.duration_slots", 1, "how long a run takes is not stated", name)
    return 1
