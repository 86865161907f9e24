"""The certificate of a plan as a file: written the same again, read back, and refused when anything in it is wrong."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from placement.certificate import Certificate, Leaf, PricedRows
from placement.worker import Progress
from planner.catalog import builtin_catalog
from planner.certificates import CertificateFile, in_names, read_certificate, write_certificate
from planner.checking import verify_plan
from planner.cli import run
from planner.plan import read_plan, write_plan
from planner.planning import Job, PlanRequest, make_plan

SCENARIO = """
name: page
horizon: {start: 2026-11-02T00:00:00Z, slots: 2, slot_minutes: 60}
objective: {mode: min_cost}
clusters:
  - name: site
    provider: own
    region: here
    country: DE
    pools:
      - {name: small, machine: {name: s, vcpu: 8, memory_gib: 64}, max: 10,
         offers: [{purchase: on_demand, price_usd_per_hour: 1.0}]}
  - name: twin
    provider: own
    region: there
    country: DE
    pools:
      - {name: small, machine: {name: s, vcpu: 8, memory_gib: 64}, max: 10,
         offers: [{purchase: on_demand, price_usd_per_hour: 1.0}]}
workloads:
  - {name: web, kind: serving, request: {vcpu: 3, memory_gib: 0}, replicas: [3, 1], clusters: {allow: [site]}}
"""
PLAN = ["plan", "--time-limit", "3600"]
"""The method ends by itself after so many rounds and branches; an hour, so that no busy machine ends it before."""
Tables = dict[str, np.ndarray]
Tamper = Callable[[dict[str, Any], Tables], None]


@dataclass(frozen=True)
class Made:
    """A scenario with a plan and its certificate on disk."""

    scenario: Path
    plan: Path
    certificate: Path

    def tampered(self, change: Tamper) -> Path:
        """The certificate with something changed."""
        found = read_certificate(self.certificate)
        header, tables = found.header.model_dump(by_alias=True), {k: v.copy() for k, v in found.tables.items()}
        change(header, tables)
        bad = self.certificate.with_name("bad.cert")
        write_certificate(CertificateFile(type(found.header).model_validate(header), tables), bad)
        return bad


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The example of docs/certificate.md, beside a cluster where nothing may be."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "scenario.yaml").write_text(SCENARIO)
    found = Made(folder, folder / "plan.json", folder / "proof.cert")
    assert run([*PLAN, str(folder), "-o", str(found.plan), "--certificate", str(found.certificate)]) == 0
    return found


def by_hand(scenario: Path, price: float) -> tuple[Job, Certificate]:
    """The certificate of the page's example, with a price for both slots."""
    job = Job.of(scenario, PlanRequest(), builtin_catalog())
    none = np.zeros((0, 2))
    rows = PricedRows(np.array([0]), np.array([0]), np.array([False]), np.full((1, 2), price))
    return job, Certificate(np.array([[0.5]]), (Leaf((), rows, 1.0, 0.0, none, none),))


@pytest.mark.parametrize(("price", "bound"), [(1.0, 2.0), (1.2, -1.6)])
def test_the_example_of_the_page_proves_what_the_page_says(made: Made, price: float, bound: float) -> None:
    """With prices written by hand the file proves 2.0 USD, with prices too high -1.6 USD."""
    job, certificate = by_hand(made.scenario, price)
    plan = read_plan(made.plan).model_copy(update={"bound": 0.0, "gap": 1.0}).with_id()
    made_of = plan.provenance
    file = made.scenario / "hand.cert"
    write_certificate(in_names(certificate, job.formulation, {
        "scenario_sha256": made_of.scenario_sha256, "objective": {"mode": "min_cost", "sla_floor": 1.0},
        "bound": min(bound, 0.0), "method": "by hand"}), file)
    write_plan(plan.model_copy(update={"bound": 0.0}), made.scenario / "low.json")
    check = verify_plan(made.scenario, made.scenario / "low.json", certificate=file)
    assert check.proof is not None
    assert check.proof.bound == pytest.approx(bound, abs=1e-6)
    assert check.holds == (bound >= 0)


def test_a_plan_is_proven_by_its_certificate(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    """The plan costs 3 USD; the file proves that none costs less than 2, in words and as JSON."""
    assert run(["verify", str(made.scenario), str(made.plan), "--certificate", str(made.certificate)]) == 0
    assert "no plan costs less than USD 2.00" in capsys.readouterr().out
    assert run(["verify", str(made.scenario), str(made.plan), "--certificate", str(made.certificate), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["holds"]
    assert shown["proven_bound"] == pytest.approx(2.0, abs=1e-6)
    assert read_plan(made.plan).cost_usd == pytest.approx(3.0)


def test_the_same_again_gives_the_same_bytes(made: Made) -> None:
    """Planned twice, and read and written, a certificate is the same file."""
    again = made.scenario / "again.cert"
    assert run([*PLAN, str(made.scenario), "--certificate", str(again)]) == 0
    assert again.read_bytes() == made.certificate.read_bytes()
    write_certificate(read_certificate(made.certificate), again)
    assert again.read_bytes() == made.certificate.read_bytes()


def halve_prices(_: dict[str, Any], tables: Tables) -> None:
    """Prices that prove less."""
    tables["price"] *= 0.5


def double_weights(_: dict[str, Any], tables: Tables) -> None:
    """Weights that count more than what a machine holds."""
    tables["weights"] *= 2


def branch(header: dict[str, Any], _: Tables) -> None:
    """One side of a branch without the other."""
    header["leaves"] = [{**header["leaves"][0], "decisions": [{"workload": "web", "copies_at_most": 1}]}]


def no_leaves(header: dict[str, Any], _: Tables) -> None:
    """Nothing at all."""
    header["leaves"] = []


def other_scenario(header: dict[str, Any], _: Tables) -> None:
    """A hash that is another's."""
    header["scenario_sha256"] = "0" * 64


def other_objective(header: dict[str, Any], _: Tables) -> None:
    """Another question."""
    header["objective"] = {"mode": "min_cost", "sla_floor": 0.5}


def other_pool(header: dict[str, Any], _: Tables) -> None:
    """A pool that is not there."""
    header["pools"] = [["site", "large"], *header["pools"][1:]]


def unknown_workload(header: dict[str, Any], _: Tables) -> None:
    """A decision on nobody."""
    header["leaves"] = [{**header["leaves"][0], "decisions": [{"workload": "who", "uses": "site"}]}]


def claims_more(header: dict[str, Any], _: Tables) -> None:
    """A bound that the prices do not prove."""
    header["bound"] = 2.9


@pytest.mark.parametrize(("change", "words"), [
    (halve_prices, "no more than 1.0"), (double_weights, "counts 2 machines for what one machine of pool site/small"),
    (branch, "leave out plans in which workload web has more than 1 copies"), (no_leaves, "there is no leaf"),
    (other_scenario, "is for another scenario"), (other_objective, "is for objective"),
    (other_pool, "site/large, which the scenario does not have"), (unknown_workload, "workload who"),
    (claims_more, "the certificate states a bound of USD 2.9"),
])
def test_a_wrong_certificate_is_refused(made: Made, change: Tamper, words: str,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is tampered with, the answer is no, and one line says why."""
    bad = made.tampered(change)
    assert run(["verify", str(made.scenario), str(made.plan), "--certificate", str(bad)]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if words in line]
    assert len(lines) >= 1
    assert str(bad) in lines[0]


def test_a_bound_that_is_too_high_is_refused(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan that claims 2.9 USD, which its cost does not contradict, is not proven by a file that proves 2."""
    plan, bold = read_plan(made.plan), made.scenario / "bold.json"
    write_plan(plan.model_copy(update={"bound": 2.9, "gap": round(0.1 / 3, 9)}).with_id(), bold)
    assert run(["verify", str(made.scenario), str(bold)]) == 0
    assert run(["verify", str(made.scenario), str(bold), "--certificate", str(made.certificate)]) == 1
    assert "the plan states a bound of USD 2.900000; no more than" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x05\x06" + bytes(18)])
def test_what_cannot_be_read_is_an_input_error(made: Made, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is no certificate is refused in one line, with exit status 2."""
    bad = made.scenario / "unreadable.cert"
    bad.write_bytes(content)
    assert run(["verify", str(made.scenario), str(made.plan), "--certificate", str(bad)]) == 2
    error = capsys.readouterr().err.strip()
    assert str(bad) in error
    assert "\n" not in error


def test_a_damaged_archive_is_an_input_error(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    """An array of another type, and a header with an unknown field, are named."""
    bad = made.scenario / "damaged.cert"
    for name, content in (("price.npy", b"\x93NUMPY junk"), ("certificate.json", b'{"schema": 7}')):
        with zipfile.ZipFile(made.certificate) as good, zipfile.ZipFile(bad, "w") as archive:
            for member in good.namelist():
                archive.writestr(member, content if member == name else good.read(member))
        assert run(["verify", str(made.scenario), str(made.plan), "--certificate", str(bad)]) == 2
        assert str(bad) in capsys.readouterr().err


@pytest.mark.parametrize("solver", ["highs", "cp-sat", "cbc", "first-fit", "brute"])
def test_other_solvers_are_refused_by_name(made: Made, solver: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A search proves its bound by itself: no file could show it."""
    asked = ["plan", str(made.scenario), "--solver", solver, "--certificate", str(made.scenario / "none.cert")]
    assert run(asked) == 2
    assert f"solver {solver} proves its bound by its own search or not at all" in capsys.readouterr().err
    assert not (made.scenario / "none.cert").exists()


def test_no_plan_has_no_certificate(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no plan, there is no bound: nothing is written, and the answer says so."""
    (tmp_path / "scenario.yaml").write_text(SCENARIO.replace("max: 10", "max: 1"))
    file = tmp_path / "none.cert"
    assert run([*PLAN, str(tmp_path), "--certificate", str(file), "-o", str(tmp_path / "plan.json")]) == 1
    assert "there is no plan, and so no bound" in capsys.readouterr().err
    assert not file.exists()
    asked = ["verify", str(tmp_path), str(tmp_path / "plan.json"), "--certificate", str(made.certificate)]
    assert run(asked) == 1
    assert "an infeasible plan has no bound to prove" in capsys.readouterr().out


def test_a_bound_without_prices_counts_as_none(made: Made) -> None:
    """Where the solver was ended before it handed out its prices, the plan says so and claims nothing by them."""
    job = Job.of(made.scenario, PlanRequest(certificate=True), builtin_catalog())
    result = job.solve(3600.0, lambda _: None, lambda: False)
    assert result.solution is not None

    class Ended(Job):
        """A job whose solver is ended early."""

        def solve(self, *_: object) -> Any:
            """The plan without its certificate."""
            return replace(result, certificate=None)

    ended = Ended(job.scenario, job.profiles, job.formulation, job.request, job.provenance, job.catalog)
    planned = ended.plan(20.0)
    assert planned.certificate is not None
    assert planned.plan.bound == 0.0
    assert "ended before it handed out prices" in planned.plan.bound_method


def test_a_search_that_is_ended_at_its_first_plan_answers_with_it(made: Made) -> None:
    """Control-C as soon as there is a plan gives that plan, though nothing was priced yet."""
    found: list[Progress] = []
    planned = make_plan(made.scenario, PlanRequest(certificate=True), found.append,
                        lambda: any(now.objective is not None for now in found))
    assert planned.solution is not None
    assert planned.plan.bound <= planned.plan.cost_usd


def test_max_sla_is_certified_too(made: Made) -> None:
    """With a budget the file proves what can be attained at most."""
    request = PlanRequest(mode="max_sla", budget_usd=1.0, certificate=True, time_limit_s=3600)
    planned = make_plan(made.scenario, request)
    assert planned.certificate is not None
    plan, file = made.scenario / "sla.json", made.scenario / "sla.cert"
    planned.write(plan)
    write_certificate(planned.certificate, file)
    check = verify_plan(made.scenario, plan, certificate=file)
    assert check.holds, check.violations
    assert check.proof is not None
    assert planned.plan.sla_attainment <= check.proof.bound < 1


def test_what_certificates_do_not_cover_is_refused_by_name(tmp_path: Path,
                                                           capsys: pytest.CaptureFixture[str]) -> None:
    """A workload that may be split has a bound of its own kind: asking for its certificate is an input error."""
    (tmp_path / "scenario.yaml").write_text(SCENARIO.replace("allow: [site]}", "allow: [site, twin]}, max_parts: 2"))
    assert run(["plan", str(tmp_path), "--certificate", str(tmp_path / "none.cert")]) == 2
    assert "the scenario asks for max_parts, which certificates do not cover yet" in capsys.readouterr().err
