"""Bills in FOCUS (1.0 and later) as a scenario of what ran: machines by hour and owner, at the prices that were paid.

Compute usage becomes pools, with an offer for each way it was paid for, and workloads (by tag, else by account) whose
replicas are whole machines. `calibration.csv` sets what was paid beside list prices.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from math import ceil
from pathlib import Path

from planner.errors import InputError
from planner.importers.draft import Asked, Draft, Fields, number, plain
from planner.importers.focus_usage import Kind, Row, Usage, read_rows

SPARE = 1e-6
"""Machine hours of a slot that are rounding."""


def read(sources: Sequence[str], asked: Asked) -> Draft:
    """One bill. Raises InputError for what is not FOCUS, not in USD, or has no machine hours."""
    if len(sources) != 1:
        raise InputError([f"{', '.join(sources)}: {len(sources)} files: one bill at a time: join them into one file"])
    path = Path(sources[0])
    rows = read_rows(path, asked.usd_per)
    seconds = asked.slot_minutes * 60
    start = min(row["ChargePeriodStart"] for row in rows) // seconds * seconds
    last = max(row["ChargePeriodEnd"] for row in rows)
    slots = max(1, min(asked.slots, -(-(last - start) // seconds)))
    usage = Usage()
    for row in rows:
        within = _overlap(row, start, start + slots * seconds)
        if within > 0:
            usage.add(row, within, lambda row: _spread(row, start, seconds, slots))
    draft = Draft()
    for code in sorted({row["BillingCurrency"] for row in rows} & asked.usd_per.keys()):
        draft.guess("costs", f"{code} at USD {asked.usd_per[code]:g}", "the rate given holds for the whole bill")
    known = sorted({kind for kind, _ in usage.paid if _known(kind, asked, draft)})
    if not known:
        needed = "usage with a machine type (SkuPriceDetails or x_InstanceType), a RegionId and a quantity in hours"
        raise InputError([f"{path.name}: no machine hours: rows of {needed} are needed"])
    begin = datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    draft.more["horizon"] = {"start": begin, "slots": slots, "slot_minutes": asked.slot_minutes}
    why = f"the bill from its beginning; --slots for more of its {-(-(last - start) // seconds)}"
    draft.guess("horizon", f"{slots} slots from {begin}", why)
    _add_work(known, usage, slots, asked, draft)
    _add_commitments(known, usage, slots * asked.slot_minutes / 60, draft)
    draft.files["calibration.csv"] = _calibration(usage)
    if other := sum(usage.other_usd.values()):
        why = "charges for anything but machines, by category in calibration.csv"
        draft.guess("costs", f"USD {other:,.2f} left out", why)
    return draft


def _overlap(row: Row, start: float, end: float) -> float:
    """Share of a charge's time that lies between two moments."""
    begin, stop = float(row["ChargePeriodStart"]), float(row["ChargePeriodEnd"])
    return max(0.0, min(stop, end) - max(begin, start)) / (stop - begin)


def _spread(row: Row, start: int, seconds: int, slots: int) -> Iterator[tuple[int, float]]:
    """Slots that a charge lies in, and the share of its time in each."""
    first = max(0, (row["ChargePeriodStart"] - start) // seconds)
    last = min(slots - 1, (row["ChargePeriodEnd"] - start - 1) // seconds)
    for slot in range(first, last + 1):
        yield slot, _overlap(row, start + slot * seconds, start + (slot + 1) * seconds)


def _known(kind: Kind, asked: Asked, draft: Draft) -> bool:
    """Whether a plan can use a place: of a cloud that the catalog knows it must know the region."""
    provider, region, _ = kind
    if provider in asked.catalog.providers and asked.catalog.region(f"{provider}/{region}") is None:
        draft.guess("clusters.*", "left out", "regions whose country no catalog says", f"{provider}/{region}")
        return False
    return True


def _add_work(kinds: Sequence[Kind], usage: Usage, slots: int, asked: Asked, draft: Draft) -> None:
    """A workload for every owner of every kind, and the pools that hold them."""
    hours = asked.slot_minutes / 60
    pools: dict[str, list[Fields]] = {}
    places: dict[str, Fields] = {}
    for kind in kinds:
        provider, region, machine = kind
        cluster = f"{provider}-{region}"
        shape = _shape(kind, asked, draft)
        total, on_spot = [0] * slots, [0] * slots
        for owner, spot in sorted({(owner, purchase == "spot") for found, owner, purchase in usage.hours
                                   if found == kind}):
            used = [sum(usage.hours[key].get(slot, 0.0) for key in usage.hours
                        if key[:2] == (kind, owner) and (key[2] == "spot") == spot) for slot in range(slots)]
            counts = [ceil(one / hours - SPARE) if one > SPARE else 0 for one in used]
            total = [a + b for a, b in zip(total, counts, strict=True)]
            on_spot = [a + b * spot for a, b in zip(on_spot, counts, strict=True)]
            name = f"{owner}/{machine}" + ("/spot" if spot else "") + (f"/{cluster}" if len(kinds) > 1 else "")
            draft.guess("workloads.*.request", "a whole machine", "a bill does not say what ran on it", name)
            draft.guess("workloads.*.kind", "serving", "a bill does not say what it was", name)
            draft.workloads.append(plain({
                "name": name, "kind": "serving", "owner": owner, "request": _whole(shape), "replicas": counts,
                "preemptible": True if spot else None, "clusters": {"pin": f"{cluster}/{machine}"}}))
        offers = list(_offers(kind, usage, slots * hours, max(total), max(on_spot)))
        pool = {"name": machine, "machine": shape, "max": max(1, *total), "offers": offers}
        pools.setdefault(cluster, []).append(pool)
        places[cluster] = {"name": cluster, "provider": provider, "region": region}
    draft.clusters.extend({**places[cluster], "pools": found} for cluster, found in sorted(pools.items()))


def _shape(kind: Kind, asked: Asked, draft: Draft) -> Fields:
    """The machine of a kind, as the catalog has it."""
    known = asked.catalog.machine(kind[0], kind[2])
    if known is not None:
        return plain(known.model_dump(exclude_defaults=True, exclude={"disk_gib", "network_gbps"}) | {"name": kind[2]})
    why = "types the catalog does not know: a replica is a whole one, so that its size does not matter"
    draft.guess("clusters.*.pools.machine", "1 vCPU, 1 GiB", why, kind[2])
    return {"name": kind[2], "vcpu": 1, "memory_gib": 1}


def _whole(shape: Fields) -> Fields:
    return plain({"vcpu": shape["vcpu"], "memory_gib": shape["memory_gib"], "gpu": shape.get("gpu_count")})


def _offers(kind: Kind, usage: Usage, hours: float, most: int, spot: int) -> Iterator[Fields]:
    """How machines of a kind were paid for, at what they cost an hour; on demand by contract, before savings plans."""
    for purchase in ("committed", "on_demand", "spot"):
        paid = usage.paid.get((kind, purchase))
        if paid is None or not paid.hours:
            continue
        if purchase == "committed":
            unused = _unused_usd(kind, usage)
            all_hours = paid.hours * (1 + unused / paid.effective_usd) if paid.effective_usd else paid.hours
            owned = max(1, min(most, round(all_hours / hours)))
            yield {"purchase": purchase, "price_usd_per_hour": number((paid.effective_usd + unused) / (owned * hours)),
                   "owned": owned}
        elif purchase == "on_demand":
            yield {"purchase": purchase, "price_usd_per_hour": number(paid.contract_usd / paid.hours)}
        else:
            price = number(paid.effective_usd / paid.hours)
            yield {"purchase": purchase, "price_usd_per_hour": price, "max": max(1, spot)}


def _unused_usd(kind: Kind, usage: Usage) -> float:
    """What was left unused of commitments of machines of a kind."""
    return sum(one.unused_usd / len(one.kinds) for one in usage.commitments.values()
               if not one.spend and kind in one.kinds)


def _add_commitments(kinds: Sequence[Kind], usage: Usage, hours: float, draft: Draft) -> None:
    """Savings plans: what they hold an hour, and the discount that they gave."""
    made = []
    for name, one in sorted(usage.commitments.items()):
        covered = sorted(f"{kind[0]}-{kind[1]}/{kind[2]}" for kind in one.kinds if kind in kinds)
        if one.spend and covered and one.covered_usd > 0:
            discount = min(0.999, max(0.0, 1 - one.used_usd / one.covered_usd))
            made.append({"name": name, "covers": covered, "unit": "usd_per_hour", "discount": number(discount),
                         "owned": number((one.used_usd + one.unused_usd) / hours)})
            draft.guess("commitments.*.covers", "what it covered", "a bill does not say what else it may cover", name)
    if made:
        draft.more["commitments"] = made


def _calibration(usage: Usage) -> bytes:
    """What was paid beside what lists and contracts say, by kind and purchase; then all else by category."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("provider", "region", "machine", "purchase", "hours", "list_usd_per_hour", "contract_usd_per_hour",
                     "paid_usd_per_hour", "paid_of_list", "paid_usd"))
    for (kind, purchase), paid in sorted(usage.paid.items()):
        share = paid.effective_usd / paid.list_usd if paid.list_usd else 1.0
        rates = (round(amount / paid.hours, 6) for amount in (paid.list_usd, paid.contract_usd, paid.effective_usd))
        writer.writerow((*kind, purchase, round(paid.hours, 6), *rates, round(share, 6), round(paid.effective_usd, 6)))
    unused = sum(one.unused_usd for one in usage.commitments.values())
    for what, amount in (*sorted(usage.other_usd.items()), *((("Unused commitments", unused),) if unused else ())):
        writer.writerow(("", "", "", what, "", "", "", "", "", round(amount, 6)))
    return out.getvalue().encode()
