"""Why a job may be stuck: what the scheduler said, what it waits for, how fast it reads, who else is stuck.

Rules are tried in the order of `SAID`: the special ones before the general ones, because schedulers wrap one reason
into another ("0/5 nodes are available: unbound PersistentVolumeClaims" is a volume, not a lack of room).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from diagnostics.jobs.runs import Job

SLOW = 0.5
"""Input that comes at less than this share of its usual pace is slow."""
OTHERS = 2
"""So many others that are stuck on the same cluster are no accident."""


class Hint(NamedTuple):
    """A likely cause, what speaks for it, and what to try."""

    cause: str
    evidence: str
    remedy: str


class Surroundings(NamedTuple):
    """What else is known: all jobs by name, the usual GB/h of the workload (None: not known), and how many other
    workloads are stuck in the same state on the same cluster.
    """

    jobs: Mapping[str, Job]
    usual_gb_per_h: float | None
    others: int


_KEY, _BAD = "(?:token|credential|certificate)", "(?:expired|invalid|wrong|rejected)"
SAID: tuple[tuple[str, str, str], ...] = (
    ("image", r"ImagePullBackOff|ErrImage|InvalidImageName|manifest unknown|pull access denied|failed to pull image",
     "check the image's name and tag, and that the cluster may pull it"),
    ("volume", r"persistentvolumeclaim|unbound immediate|FailedMount|FailedAttachVolume|MountVolume|volume node",
     "make the claim or the volume it names, in a zone where the job may run"),
    ("quota", r"exceed(?:s|ed|ing)? (?:\w+ )?quota|quota (?:exceeded|reached)|QuotaExceeded|LimitExceeded|Quota.*limit",
     "raise the quota, or free what other jobs of it hold"),
    ("configuration", r"CreateContainerConfigError|(?:configmap|secret) \S+ not found|couldn't find key",
     "make the config map or the secret that the job names"),
    ("credentials", rf"Unauthorized|Forbidden|AccessDenied|ExpiredToken|\b40[13]\b|{_KEY}s? (?:is |has )?{_BAD}",
     "renew the token, then start the job again: most clients try the old one for ever"),
    ("capacity", r"Insufficient ?\S+|nodes are available|FailedScheduling|Unschedulable|(?:no|out of|lack of) capacity",
     "add machines to a pool that fits, or ask for less; `planner what-if` shows what helps"),
)  # fmt: skip
"""Cause, what it is known by in the scheduler's words, and the remedy."""
_SAID = tuple((cause, re.compile(pattern, re.IGNORECASE), remedy) for cause, pattern, remedy in SAID)

UNKNOWN = Hint("unknown", "nothing that is known of it says why", "look at its log and its events")


def hints(job: Job, around: Surroundings) -> tuple[Hint, ...]:
    """Likely causes of a stuck job, the likeliest first; `UNKNOWN` when nothing speaks for any."""
    found = (*_said(job), *_dependencies(job, around), *_slow_input(job, around), *_company(job, around))
    return found or (UNKNOWN,)


def _said(job: Job) -> Iterator[Hint]:
    """What the scheduler says, matched against the rules."""
    for cause, pattern, remedy in _SAID:
        if pattern.search(job.reason):
            yield Hint(cause, f"the scheduler says: {job.reason}", remedy)


def _dependencies(job: Job, around: Surroundings) -> Iterator[Hint]:
    """Jobs it waits for that have not succeeded, each followed to the one at its root, or round to itself."""
    for name in job.waits_for:
        chain = _chain(job, name, around.jobs)
        root, other = chain[-1], around.jobs.get(chain[-1])
        path = "waits for " + ", which waits for ".join(chain)
        if root in (job.job, *chain[:-1]):
            yield Hint("circle", f"{path}: none of them can begin", f"take one of them out of what {root} waits for")
        elif other is None:
            yield Hint("dependency", f"{path}, which is not in the table", f"check that {root} ever began")
        elif other.state != "succeeded":
            what = "has failed" if other.state == "failed" else f"is {other.state} itself"
            remedy = f"start {root} again" if other.state == "failed" else f"look at {root} first"
            yield Hint("dependency", f"{path}, which {what}", remedy)


def _chain(job: Job, name: str, jobs: Mapping[str, Job]) -> list[str]:
    """From `name` on, what each pending job waits for that has not succeeded, to the last or to one met before."""
    chain, met = [name], {job.job}
    while chain[-1] not in met and (at := jobs.get(chain[-1])) is not None and at.state == "pending":
        met.add(chain[-1])
        further = next((other for other in at.waits_for
                        if (known := jobs.get(other)) is None or known.state != "succeeded"), None)
        if further is None:
            break
        chain.append(further)
    return chain


def _slow_input(job: Job, around: Surroundings) -> Iterator[Hint]:
    """Input that comes far more slowly than in earlier runs."""
    usual, now = around.usual_gb_per_h, job.read_gb_per_h
    if job.state == "running" and usual and now is not None and now < SLOW * usual:
        yield Hint("slow input", f"reads {now:.3g} GB/h where {usual:.3g} is usual",
                   "look at the source and the way to it; a new copy nearer by may help")  # fmt: skip


def _company(job: Job, around: Surroundings) -> Iterator[Hint]:
    """Others that are stuck on the same cluster."""
    if around.others < OTHERS:
        return
    if job.state == "pending":
        yield Hint("capacity", f"{around.others} other workloads wait too long on {job.cluster}",
                   "add machines, or move work to another cluster: `planner what-if`")  # fmt: skip
    else:
        yield Hint("slow cluster", f"{around.others} other workloads run too long on {job.cluster}",
                   f"diagnose {job.cluster}: `planner diagnose`")  # fmt: skip
