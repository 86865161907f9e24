"""Plan, verify, replay every example, profile new tasks, diagnose, host, exchange, ask a service.

`python examples/run_all.py` fails when one does not run, does not verify, or is further from its bound than allowed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent
LARGEST_GAP = {"medical": 1e-4, "capacity": 0.05, "hybrid": 0.03, "burst": 0.1, "pooled": 0.45,
               "self-hosting": 1e-4}


def run_planner(*arguments: str, status: int = 0) -> float:
    """Run one command of the planner and return the seconds it took; its errors are shown. It must end as told."""
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "planner", *arguments], stdout=subprocess.PIPE, check=False)  # noqa: S603
    if done.returncode != status:
        sys.exit(f"planner {' '.join(arguments)}: exit status {done.returncode}")
    return time.monotonic() - start


def check(name: str, folder: Path) -> str:
    """Plan one example into `folder` and verify the plan; return a line about it."""
    scenario, plan, report = str(HERE / name), folder / f"{name}.json", folder / f"{name}.html"
    seconds = run_planner("plan", scenario, "-o", str(plan), "--report", str(report))
    run_planner("verify", scenario, str(plan))
    found = json.loads(plan.read_text(encoding="utf-8"))
    if found["gap"] > LARGEST_GAP[name]:
        sys.exit(f"{name}: gap {found['gap']:.4f}: at most {LARGEST_GAP[name]} is allowed")
    replayed = check_replay(name, plan) if (HERE / name / "make_recorded.py").is_file() else ""
    replayed += check_capacity(scenario, folder) if name == "capacity" else ""
    return f"{name}: USD {found['cost_usd']:,.2f}, gap {100 * found['gap']:.2f} %, {seconds:.1f} s, verified{replayed}"


def check_replay(name: str, plan: Path) -> str:
    """Make the example's recorded demand and replay the plan against it; return what came of it."""
    recorded, figures = plan.with_suffix(".recorded.csv"), plan.with_suffix(".replay.json")
    subprocess.run([sys.executable, str(HERE / name / "make_recorded.py"), str(recorded)], check=True)  # noqa: S603
    run_planner("replay", str(HERE / name), str(plan), "--actual", str(recorded), "--interruptions", "1",
                "-o", str(figures))
    return f"\n  {json.loads(figures.read_text(encoding='utf-8'))['sentence']}"


def check_new_tasks(folder: Path) -> str:
    """Profile the three described tasks, and again once a run of one has been added to the library."""
    tasks, library = HERE / "new-tasks" / "tasks.yaml", folder / "library.csv"
    library.write_bytes((HERE / "new-tasks" / "library.csv").read_bytes())
    seconds = run_planner("profile", str(tasks))
    run_planner("learn", str(tasks), str(HERE / "new-tasks" / "used.yaml"), "--task", "claims-etl",
                "--library", str(library))
    run_planner("profile", str(tasks), "--library", str(library))
    return f"new-tasks: three profiles in {seconds:.1f} s; one run learned"


def check_capacity(scenario: str, folder: Path) -> str:
    """Look a year ahead; return when what runs out first does so."""
    page = folder / "capacity.page.html"
    run_planner("capacity", scenario, "--growth", "owner:data=+2%/month", "-o", str(page))
    return f"\n  capacity: {page.stat().st_size:,} bytes for the fleet on one page"


def check_diagnostics(folder: Path) -> str:
    """Store batches of telemetry, diagnose them, see whether faults are noticed, find stuck jobs, write rules."""
    here, store, rows = HERE / "diagnostics", str(folder / "store"), str(folder / "rows.parquet")
    subprocess.run([sys.executable, str(here / "make_telemetry.py"), str(folder)], check=True)  # noqa: S603
    scenario = ("--scenario", str(here / "clusters.yaml"))
    known = (*scenario, "--key", str(folder / "key"))
    weeks = sorted(str(path) for path in folder.glob("week-*.parquet"))
    start = time.monotonic()
    late_last = (*weeks[1:], weeks[0], "--store", store, *known, "--arrived", "2026-11-02T00:10:00Z")
    run_planner("telemetry", "ingest", *late_last, status=1)  # one cluster did not agree
    run_planner("telemetry", "export", store, "-o", rows, *known)
    run_planner("diagnose", rows, "--report", str(folder / "diagnosis.html"), status=1)  # two faults
    perturb = [sys.executable, "-m", "planner", "diagnose", rows, "--perturb", "all", "--json"]
    found = json.loads(subprocess.run(perturb, stdout=subprocess.PIPE, check=True).stdout)  # noqa: S603
    noticed = [one["perturbation"] for one in found if one["verdict"] == "as expected"]
    run_planner("jobs", "stuck", str(folder / "jobs.csv"), "--at", "2026-11-02T00:00:00Z", status=1)  # three are
    run_planner("export", "rules", "-o", str(folder / "rules.yml"), *scenario)
    seconds = time.monotonic() - start
    return f"diagnostics: two faults found, {len(noticed)} of {len(found)} injected ones noticed, in {seconds:.1f} s"


def check_self_hosting() -> str:
    """Run hosts that are lost and models that are trained again; return the last that it said."""
    said = subprocess.run([sys.executable, str(HERE / "self-hosting" / "run.py")], stdout=subprocess.PIPE,  # noqa: S603
                          check=True, text=True).stdout
    return f"self-hosting: {said.splitlines()[-1].strip()}"


def check_api(folder: Path) -> str:
    """Start a service of its own and go from a question to a plan in force, with the client and with curl."""
    data, here = folder / "service", HERE / "api"
    start = time.monotonic()
    command = [sys.executable, "-m", "planner", "serve", "--port", "0", "--data", str(data)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as service:  # noqa: S603 - our own
        assert service.stderr is not None
        try:
            url = service.stderr.readline().split()[2]
            threading.Thread(target=service.stderr.read, daemon=True).start()
            for script in ([sys.executable, str(here / "journey.py")], [str(here / "journey.sh")]):
                if subprocess.run([*script, url], stdout=subprocess.PIPE, check=False).returncode:  # noqa: S603
                    sys.exit(f"{script[-1]}: failed against {url}")
        finally:
            service.terminate()
    return f"api: two journeys from a question to a plan in force in {time.monotonic() - start:.1f} s"


def check_exchange(folder: Path) -> str:
    """Go from a cluster's objects to a plan and to the files of six tools, each held against the plan."""
    start = time.monotonic()
    said = subprocess.run([sys.executable, str(HERE / "exchange" / "run.py"), str(folder / "exchange")],  # noqa: S603
                          stdout=subprocess.PIPE, check=True, text=True).stdout
    return f"exchange: {said.count(': as planned')} exports held against the plan in {time.monotonic() - start:.1f} s"


if __name__ == "__main__":
    names = sorted(path.parent.name for path in HERE.glob("*/scenario.yaml"))
    if names != sorted(LARGEST_GAP):
        sys.exit(f"examples are {', '.join(names)}: say in LARGEST_GAP how close to its bound each must be")
    with tempfile.TemporaryDirectory() as temporary:
        for example in names:
            print(check(example, Path(temporary)))
        print(check_new_tasks(Path(temporary)))
        print(check_diagnostics(Path(temporary)))
        print(check_self_hosting())
        print(check_exchange(Path(temporary)))
        print(check_api(Path(temporary)))
