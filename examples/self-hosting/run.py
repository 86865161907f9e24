"""Diagnostics that the planner places, runs, loses, moves, trains again and rolls back (make demo-hosting).

A service, three hosts and two months of made-up telemetry on this machine, in under three minutes. What happens when is
printed; everything is asked for over HTTP or the command line, as anybody would.
"""

# ruff: noqa: E402
from __future__ import annotations

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while the others are imported tells nothing of them

import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from diagnostics.synthetic import GAUGES, Site, make_fleet

HERE = Path(__file__).parent
HOUR_S = 3600
WEEK_S = 168 * HOUR_S
MONDAY = int(time.time()) // WEEK_S * WEEK_S - 10 * WEEK_S - 3 * 24 * HOUR_S
"""The first hour of the telemetry, ten weeks ago (1970 began on a Thursday)."""
SITES = tuple(Site(name, kind, "DE") for name, kind in (
    ("frankfurt", "all-flash-nvme"), ("berlin", "mixed-disk"), ("munich", "mixed-disk")))
DAYS = 70
LEARNT, FAULT, DRIFT = 24 * 30, 24 * 31, 24 * 33
"""Hours: models are trained on what comes before the first; the disk is slow from the second on; data drift from the
third."""
SAID = {
    "drift": "{drifted} metrics drifted",
    "train": "candidate {version} in {seconds:.0f} s",
    "evaluate": "better on rows that neither has seen, worse on no scenario",
    "canary": "tried on {cluster}: {alarm_share:.0%} of {rows} rows alarm, {alarm_share_of_serving:.0%} by what serves",
    "promote": "serves the class from now on",
}
"""What is printed of a step of retraining after which it goes on."""
Json = dict[str, Any]
PATIENCE_S = 600.0
"""How long anything is waited for: much longer than it takes, for machines that are busy."""
LAST_STEPS = 8
"""Steps of retraining that are told when it comes to nothing."""
_BEGAN = time.monotonic()
FULL_BYTES = 2**20


def main() -> None:
    """Run it all, and end what was started."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended; nothing is left of it"))
    try:
        with tempfile.TemporaryDirectory(prefix="hosting-", ignore_cleanup_errors=True) as name:
            demo = Demo(Path(name))
            try:
                demo.run()
            finally:
                demo.stop()
    except KeyboardInterrupt:
        sys.exit("stopped; nothing is left of it")
    except OSError as error:
        folder = error.filename or tempfile.gettempdir()
        sys.exit(f"{folder}: {error.strerror or error}: make room, or name another folder in TMPDIR")


def told(text: str) -> None:
    """Print a line with the seconds since the start."""
    print(f"{time.monotonic() - _BEGAN:6.1f} s  {text}", flush=True)


class Demo:
    """What runs, and its telemetry."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.models = folder, folder / "models"
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.address = ""
        self.logs: dict[str, Path] = {}
        self.gauges, self.hosts = telemetry()
        self.environment = {
            **os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder), "PLANNER_DATA": str(folder / "data"),
            "PLANNER_MODELS": str(self.models), "PLANNER_FEATURE_SETS": str(HERE / "features.yaml"),
            "PLANNER_RETRAINING__EVERY_MINUTES": "0.1", "PLANNER_RETRAINING__SEARCH_S": "300",
            "PLANNER_RETRAINING__CANARY_ROWS": "24", "PLANNER_RETRAINING__NAME_KEY": "any secret of sixteen bytes",
        }  # fmt: skip

    def run(self) -> None:
        """Every chapter in turn."""
        self.train()
        self.plan()
        self.score()
        self.slow_disk()
        self.lose_a_host()
        self.drift()
        self.roll_back()
        told("done")

    # Chapters ---------------------------------------------------------------------------------------------------------

    def train(self) -> None:
        """First models, from a month of telemetry in a file."""
        import pandas as pd

        hours = pd.date_range(pd.Timestamp(MONDAY, unit="s", tz="UTC"), periods=LEARNT, freq="h")
        frames = [pd.DataFrame({"cluster": site.cluster, "host": host, "hardware_class": site.hardware_class,
                                "country": site.country, "metric": metric, "value": self.gauges[at, column, :LEARNT],
                                "ts": hours})
                  for at, (site, host) in enumerate(self.hosts) for column, metric in enumerate(GAUGES)]  # fmt: skip
        file = self.folder / "month.parquet"
        pd.concat(frames).to_parquet(file, index=False)
        for hardware in ("all-flash-nvme", "mixed-disk"):
            made = json.loads(self.planner("models", "train", str(file), "--hardware", hardware, "--features",
                                           str(HERE / "features.yaml"), "--json"))
            version = made["id"]
            self.planner("models", "promote", version, "--why", "the first", "--expect", "none")
            told(f"model {version} of {hardware} trained on a month of telemetry and promoted")

    def plan(self) -> None:
        """A service, a plan of the scenario with its diagnostics from this hour on, put in force; three hosts."""
        here = self.folder / "scenarios" / "self-hosting"
        shutil.copytree(HERE, here)
        start = time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime())
        text = (HERE / "scenario.yaml").read_text(encoding="utf-8")
        (here / "scenario.yaml").write_text(re.sub(r"start: [^,]+", f"start: {start}", text, count=1), encoding="utf-8")
        served = self.start("service", "serve", "--port", "0", "--scenarios", str(here.parent))
        self.address = self.until(lambda: re.search(r"planner serves (http\S+)", served.read_text()), "service")[1]
        self.until(lambda: self.ask("/readyz", quiet=True), "service")
        told(f"service at {self.address}")
        job = self.ask("/v1/plans", {"scenario": "self-hosting", "solver": "highs", "time_limit_s": 60})["id"]
        ended = ("done", "failed", "infeasible")
        found = self.until(lambda: (one := self.ask(f"/v1/plans/{job}"))["status"] in ended and one, "plan")
        if found["status"] != "done":
            sys.exit(f"plan: {found['status']}: {found['errors']}")
        plan = found["plan"]
        costs = plan["costs_of_diagnostics"]
        kinds = ", ".join(f"{kind} {cost:.2f}" for kind, cost in costs.items())
        told(f"plan of {len(plan['assignments'])} placed units: USD {plan['cost_usd']:.2f}, of which diagnostics "
             f"USD {sum(costs.values()):.2f} ({kinds})")  # fmt: skip
        self.put_in_force(job)
        for site in SITES:
            self.start(site.cluster, "host", "--cluster", site.cluster)
        served = self.until(self.served, "hosts")
        scoring = [f"{name} on {cluster}" for name, cluster in served.items() if name.startswith("diagnostics-")]
        told(f"{len(SITES)} hosts serve {len(served)} workloads: {', '.join(scoring)}")

    def put_in_force(self, plan: str) -> None:
        """Have the plan checked, approve it and apply it: nothing runs yet, so nothing moves."""
        check = self.ask(f"/v1/plans/{plan}/verify", {})["id"]
        self.until(lambda: self.ask(f"/v1/jobs/{check}")["status"] not in ("queued", "running"), "check of the plan")
        self.ask(f"/v1/plans/{plan}/approve", {"why": "looks right"})
        life = self.ask(f"/v1/plans/{plan}/apply", {"why": "the first"})
        told(f"plan checked, approved and applied: {life['state'].replace('_', ' ')}")

    def score(self) -> None:
        """A month of rows, each with one verdict."""
        began = time.monotonic()
        self.send(0, FAULT)
        self.wait_for(FAULT - 1)
        rows = FAULT * len(SITES)
        told(f"{rows:,} rows of {FAULT // 24} days scored in {time.monotonic() - began:.1f} s")

    def slow_disk(self) -> None:
        """A disk of munich fails slowly: a super alarm, its cause, what to do."""
        slow = [metric in ("read_latency_ms", "queue_depth") for metric in GAUGES]
        munich = [at for at, (site, _) in enumerate(self.hosts) if site.cluster == "munich"]
        growing = np.minimum(1.0, np.arange(1, 13) / 6) * 5 + 1
        for at in munich:
            self.gauges[np.ix_([at], slow, range(FAULT, FAULT + 12))] *= growing
        began = time.monotonic()
        self.send(FAULT, FAULT + 12)
        self.wait_for(FAULT + 11)
        found = self.ask("/v1/hosting/alarms?hours=14")["super_alarms"]
        if not found:
            sys.exit("slow disk: no super alarm")
        worst = max(found, key=lambda one: len(one["alarms"]))
        took = time.monotonic() - began
        told(f"slow disk in munich: one super alarm of {len(worst['alarms'])}, {took:.1f} s after the rows came:")
        told(f"  {worst['summary']}")
        for guess in worst["hypotheses"][:1]:
            told(f"  probably: {guess['sentence']}")
        for remedy in worst["remedies"][:1]:
            told(f"  cause: {remedy['cause']}")
            told(f"  to do: {remedy['steps'][0]}")

    def lose_a_host(self) -> None:
        """Kill -9: the fallback of the plan takes over, and no row is lost."""
        victim = self.until(self.server_of_munich, "a host of munich")
        began = time.monotonic()
        self.running.pop(victim).kill()
        self.send(FAULT + 12, DRIFT)
        after = self.until(lambda: (one := self.server_of_munich()) != victim and one, "take-over")
        taken = time.monotonic() - began
        self.wait_for(DRIFT - 1)
        told(f"host of {victim} killed: {after} serves munich {taken:.1f} s later; every row has its verdict")
        self.until(lambda: self.ask(f"/v1/clusters/{victim}/health")["state"] == "down", "health")
        after_s = time.monotonic() - began
        told(f"  {victim} is down to directing, too, after {after_s:.1f} s; a mended plan is made, to be approved")
        self.start(victim, "host", "--cluster", victim)

    def drift(self) -> None:
        """Both mixed-disk clusters become slower for good: drift, a new model, a canary, promotion."""
        before = self.version()
        slow = [metric in ("read_latency_ms", "queue_depth") for metric in GAUGES]
        mixed = [at for at, (site, _) in enumerate(self.hosts) if site.hardware_class == "mixed-disk"]
        self.gauges[np.ix_(mixed, slow, range(DRIFT, 24 * DAYS))] *= 1.8
        now = 24 * (DAYS - 7)
        self.send(DRIFT, now)
        self.wait_for(now - 1)
        seen: set[str] = set()
        canary_from, began = now, time.monotonic()
        while self.version() == before:
            steps = self.ask("/v1/retraining")["steps"]
            for step in steps:
                key = f"{step['run']}/{step['step']}"
                if key not in seen and step["step"] not in ("ingest", "validate") and "no drift" not in step["outcome"]:
                    seen.add(key)
                    told(f"  {step['hardware_class']}: {step['step']}: {in_words(step)}")
            tried = any((step["step"], step["outcome"]) == ("evaluate", "go_on") for step in steps)
            if tried and now < 24 * DAYS - 24:
                self.send(now, now + 2)  # telemetry goes on
                now += 2
            self.sound("drift")
            if time.monotonic() - began > PATIENCE_S:
                sys.exit(f"drift: no new model serves munich after {PATIENCE_S:.0f} s; {self.last_steps(steps)}")
            time.sleep(0.3)
        more = now - canary_from
        told(f"drift of mixed-disk: model {self.version()} replaces {before}, after {more} more hours of rows")
        self.now = now

    def roll_back(self) -> None:
        """Back to last-known-good by the service, without a restart."""
        newer = self.version()
        self.ask("/v1/models/rollback", {"hardware": "mixed-disk", "why": "shown in the example"})
        began = time.monotonic()
        hour = self.now
        while self.version() == newer and hour < 24 * DAYS:
            self.send(hour, hour + 1)
            self.wait_for(hour)
            hour += 1
        told(f"rolled back: munich is scored by {self.version()} {time.monotonic() - began:.1f} s later")

    # Parts ------------------------------------------------------------------------------------------------------------

    def planner(self, *arguments: str) -> str:
        """Run a command and give what it printed."""
        done = subprocess.run([sys.executable, "-m", "planner", *arguments], env=self.environment, text=True,  # noqa: S603
                              stdout=subprocess.PIPE, check=False)  # fmt: skip
        if done.returncode:
            sys.exit(f"planner {' '.join(arguments)}: exit status {done.returncode}")
        return done.stdout

    def start(self, name: str, *arguments: str) -> Path:
        """Start a command that goes on, and give its log."""
        log = self.logs[name] = self.folder / f"{name}-{time.monotonic_ns()}.log"
        with log.open("w") as file:
            command = [sys.executable, "-m", "planner", *arguments]
            self.running[name] = subprocess.Popen(command, stderr=file, env=self.environment,  # noqa: S603
                                                  preexec_fn=end_with_this)  # fmt: skip
        return log

    def stop(self) -> None:
        """End everything in order, however often one asks for it."""
        for asked in (signal.SIGINT, signal.SIGTERM):
            signal.signal(asked, signal.SIG_IGN)
        for process in self.running.values():
            process.send_signal(signal.SIGTERM if process is not self.running.get("service") else signal.SIGINT)
        for process in self.running.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()

    def until(self, holds: Callable[[], Any], what: str) -> Any:  # noqa: ANN401 - whatever it answers
        """What a question answers once that is true."""
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            if found := holds():
                return found
            self.sound(what)
            time.sleep(0.1)
        sys.exit(f"{what}: not within {PATIENCE_S:.0f} s")

    def sound(self, what: str) -> None:
        """Exit where the disk is full or something has ended that should run."""
        if shutil.disk_usage(self.folder).free < FULL_BYTES:
            sys.exit(f"{what}: {tempfile.gettempdir()} is full: make room, or name another folder in TMPDIR")
        for name, process in self.running.items():
            if (status := process.poll()) is not None:
                last = self.logs[name].read_text().splitlines()[-1:] or ["it said nothing"]
                sys.exit(f"{what}: {name} ended with status {status}: {last[0]}")

    def ask(self, path: str, body: Json | None = None, *, quiet: bool = False) -> Json:
        """Ask the service; with a body, POST it."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "If-Match": "*"}
        request = urllib.request.Request(self.address + path, content, headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own service
                found: Json = json.loads(answer.read())
                return found
        except urllib.error.HTTPError as error:
            if quiet:
                return {}
            sys.exit(f"{path}: {error.code}: {error.read().decode()}")
        except OSError as error:
            if quiet:
                return {}
            status = self.running["service"].poll()
            ended = "does not answer" if status is None else f"ended with status {status}"
            sys.exit(f"{path}: the service {ended}: {error}")

    def work(self) -> dict[str, Json]:
        """Who serves what."""
        return {one["workload"]: one for one in self.ask("/v1/hosting")["work"]}

    def served(self) -> dict[str, str]:
        """Where every workload is served; nothing as long as one is not served where the plan has it."""
        work = self.work()
        there = all(one["served_on"] in one["places"] for one in work.values())
        return {name: one["served_on"] for name, one in work.items()} if there else {}

    def server_of_munich(self) -> str | None:
        """The cluster on which munich is scored."""
        where: str | None = self.work()["diagnostics-munich"]["served_on"]
        return where

    def last_steps(self, steps: list[Json]) -> str:
        """How far retraining came: who serves it, and the last steps of each class that saw drift."""
        training = {name: one for name, one in self.work().items() if one["purpose"] == "train"}
        told = [f"{name} is served on {one['served_on']}" for name, one in sorted(training.items())]
        done = [step for step in steps if "no drift" not in step["outcome"]]
        told += [f"{step['run']}: {step['step']}: {step['outcome']}" for step in done[-LAST_STEPS:]]
        return "; ".join(told if done else [*told, "no drift was found"])

    def version(self) -> str:
        """The version of the newest verdict on munich, which is not the one that new versions are tried on."""
        rows = self.ask("/v1/clusters/munich/verdicts?limit=1")["verdicts"]
        return str(rows[0]["model_version"])

    def send(self, first: int, after: int) -> None:
        """Send the rows of some hours, all clusters."""
        rows = [{"cluster": site.cluster, "ts": f"{np.datetime64(MONDAY + hour * HOUR_S, 's')}Z",
                 "hosts": {host: dict(zip(GAUGES, self.gauges[at, :, hour].tolist(), strict=True))
                           for at, (where, host) in enumerate(self.hosts) if where == site}}
                for hour in range(first, after) for site in SITES]  # fmt: skip
        for begin in range(0, len(rows), 1000):
            self.ask("/v1/telemetry", {"rows": rows[begin : begin + 1000]})

    def wait_for(self, hour: int) -> None:
        """Wait until nothing waits for a verdict."""
        self.until(lambda: not any(one["waiting_rows"] for one in self.work().values() if one["purpose"] == "score"),
                   f"verdicts up to hour {hour}")  # fmt: skip


def telemetry() -> tuple[np.ndarray[Any, Any], list[tuple[Site, str]]]:
    """Values [hosts, metrics, hours] of all sites, and the hosts."""
    parts, hosts = [], []
    for site in SITES:
        fleet = make_fleet([site], DAYS, 3, "2026-09-21")
        parts.append(fleet.gauges)
        hosts += [(site, host.host) for host in fleet.hosts]
    return np.concatenate(parts), hosts


def end_with_this() -> None:
    """Have a process ended when this one is killed, where the system can (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def in_words(step: Json) -> str:
    """What became of a step of retraining."""
    if step["outcome"] != "go_on":
        return str(step["outcome"])
    detail = {name: len(value) if isinstance(value, list) else value for name, value in step["detail"].items()}
    return SAID[step["step"]].format(**detail)


if __name__ == "__main__":
    main()
