"""Whether the bound of a plan is what its certificate proves, for whoever makes a plan and whoever checks one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from placement.certificate import Certificate
from placement.checks.reprove import NotProven, Reproof, reprove
from planner.certificates import CertificateFile, in_names, of_names, read_certificate
from planner.formulate import Formulation
from planner.plan import Plan
from planner.words import in_words, same_usd

SHARE = 1e-6
"""Attainments agree within this."""


@dataclass(frozen=True, slots=True)
class Certified:
    """What a certificate proves of a plan's bound (None: nothing), and what is wrong in words."""

    proof: Reproof | None
    violations: tuple[str, ...] = ()


def certificate_of(plan: Plan, certificate: Certificate, formulation: Formulation) -> CertificateFile:
    """The file that proves a plan's bound; what it says of its making is what the plan says."""
    made = plan.provenance
    return in_names(certificate, formulation, {
        "scenario_sha256": made.scenario_sha256, "catalog_as_of": made.catalog_as_of,
        "objective": _asked(plan), "what_if": made.what_if, "bound": plan.bound, "method": plan.bound_method})


def certify(path: Path, plan: Plan, hashes: Collection[str], formulation: Formulation) -> Certified:
    """Prove a plan's bound anew from a file; `hashes` are those of the scenario, as it may have been read.

    `formulation` is the scenario as plans are made for it. Raises InputError where the file is no certificate.
    """
    found = read_certificate(path)
    if wrong := list(_other(path, found, plan, hashes)):
        return Certified(None, tuple(wrong))
    try:
        proof = reprove(formulation.problem, of_names(found, formulation))
    except NotProven as why:
        return Certified(None, (f"{path}: the bound is not proven: {in_words(str(why), formulation)}",))
    return Certified(proof, tuple(_too_much(path, found, plan, proof)))


def _asked(plan: Plan) -> dict[str, object]:
    """The objective that a plan was made with, as far as it says anything."""
    asked = {name: value for name, value in (plan.provenance.objective or {}).items() if value is not None}
    return asked or {"mode": plan.mode}


def _other(path: Path, found: CertificateFile, plan: Plan, hashes: Collection[str]) -> Iterator[str]:
    """Whether the certificate is for another scenario, objective or what-if."""
    header = found.header
    if header.scenario_sha256 not in hashes:
        yield (f"{path}: the certificate is for another scenario: its scenario_sha256 is {header.scenario_sha256}, "
               f"this one's is {min(hashes)}")
    elif header.objective != _asked(plan):
        yield f"{path}: the certificate is for objective {header.objective}; the plan was made with {_asked(plan)}"
    elif header.what_if != plan.provenance.what_if:
        yield (f"{path}: the certificate is for what_if {list(header.what_if)}; the plan was made with "
               f"{list(plan.provenance.what_if)}")


def _too_much(path: Path, found: CertificateFile, plan: Plan, proof: Reproof) -> Iterator[str]:
    """Whether the plan or the certificate claims more than is proven."""
    for who, bound in (("the plan", plan.bound), ("the certificate", found.header.bound)):
        if plan.mode == "min_cost" and bound > proof.bound and not same_usd(bound, proof.bound):
            yield f"{path}: {who} states a bound of USD {bound:.6f}; no more than {proof.bound:.6f} is proven"
        if plan.mode == "max_sla" and bound < proof.bound - SHARE:
            yield f"{path}: {who} states that at most {bound:.9g} can be attained; only {proof.bound:.9g} is proven"
