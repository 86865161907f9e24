"""What is submitted to Kueue: its Workloads, and Jobs and the like with the label of a queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from planner.importers.draft import Asked, Draft, Fields
from planner.importers.kubernetes_batch import batch_of
from planner.importers.kubernetes_work import Key, Spec, work_of
from planner.importers.kueue_quotas import GROUP, Quotas, kueue
from planner.kube.objects import Thing
from planner.scenario.fields import did_you_mean

QUEUE = f"{GROUP}/queue-name"


@dataclass(frozen=True, slots=True)
class Submitted:
    """Pods that are alike and submitted to a ClusterQueue; `jobs` are CronJobs that start them by the clock."""

    key: Key
    queue: str
    spec: Spec
    replicas: int
    jobs: tuple[Thing, ...] = ()

    def batch(self, name: str, asked: Asked, draft: Draft) -> Fields | None:
        """Its window, where it runs by the clock; None, and told, where it does not run within the horizon."""
        return batch_of(self.jobs, name, asked, draft)


def local_queues(things: Sequence[Thing], quotas: Quotas, draft: Draft) -> dict[tuple[str, str], str]:
    """The ClusterQueue of every LocalQueue by namespace and name; those that are stopped are left out and told."""
    named = [thing.name for thing in things if kueue(thing, "ClusterQueue")]
    found: dict[tuple[str, str], str] = {}
    for thing in things:
        if not kueue(thing, "LocalQueue"):
            continue
        queue = str(thing.at("spec", "clusterQueue"))
        if queue not in named:
            raise thing.wrong("spec.clusterQueue", queue,
                              f"no ClusterQueue of that name: {did_you_mean(queue, named)}")
        if queue not in quotas.queues or thing.at("spec", "stopPolicy") in ("Hold", "HoldAndDrain"):
            draft.guess("workloads.*", "left out", "LocalQueues that are stopped", f"{thing.namespace}/{thing.name}")
        else:
            found[thing.namespace, thing.name] = queue
    return found


def submitted(things: Sequence[Thing], queues: Mapping[tuple[str, str], str], draft: Draft) -> Iterator[Submitted]:
    """Everything submitted to some LocalQueues; what names no queue that is there is left out and told."""
    seen = set[Key]()
    for work in work_of(things):
        template = work.things[0].fields("spec", "jobTemplate", "metadata", "labels") if work.batch else {}
        name = work.labels.get(QUEUE) or template.get(QUEUE)
        if name is None:
            draft.guess("workloads.*", "left out", "what is in no queue", "/".join(work.key[::2]))
            continue
        seen |= {work.key, *((thing.namespace, thing.kind, thing.name) for thing in (*work.things, *work.pods))}
        queue = _queue(work.key, str(name), queues, draft)
        if queue is not None:
            jobs = tuple(work.things) if work.batch else ()
            yield Submitted(work.key, queue, work.specs[0], work.replicas, jobs)
    for thing in things:
        if kueue(thing, "Workload") and not _over(thing) and not seen & set(_owners(thing)):
            key = thing.namespace, "Workload", thing.name
            queue = _queue(key, str(thing.at("spec", "queueName")), queues, draft)
            if queue is not None:
                yield from _pod_sets(thing, key, queue)


def _queue(key: Key, name: str, queues: Mapping[tuple[str, str], str], draft: Draft) -> str | None:
    found = queues.get((key[0], name))
    if found is None:
        draft.guess("workloads.*", "left out", f"no LocalQueue {name} that takes work in its namespace",
                    "/".join(key[::2]))
    return found


def _pod_sets(thing: Thing, key: Key, queue: str) -> Iterator[Submitted]:
    sets = thing.items("spec", "podSets")
    for number, one in enumerate(sets):
        where = f"spec.podSets[{number}]"
        count, template = one.get("count", 1), one.get("template") or {}
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise thing.wrong(f"{where}.count", count, "a whole number of at least 0 is needed")
        name = key[2] if len(sets) == 1 else f"{key[2]}-{one.get('name', number)}"
        if count:
            yield Submitted((key[0], key[1], name), queue, Spec(thing, template.get("spec") or {},
                                                               f"{where}.template.spec"), count)


def _over(workload: Thing) -> bool:
    """Whether a Workload has ended, or was told not to run."""
    ended = any(one.get("type") == "Finished" and one.get("status") == "True"
                for one in workload.items("status", "conditions"))
    return ended or workload.at("spec", "active") is False


def _owners(thing: Thing) -> list[Key]:
    return [(thing.namespace, str(one.get("kind")), str(one.get("name")))
            for one in thing.items("metadata", "ownerReferences")]
