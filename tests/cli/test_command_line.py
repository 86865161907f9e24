"""The command line itself: quick, and one line for every mistake."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from planner.cli import run

HEAVY = ("numpy", "pandas", "pydantic", "yaml", "numba", "scipy", "ortools", "highspy", "pulp", "sklearn",
         "statsmodels", "prophet", "sqlalchemy", "fastapi", "jinja2", "pyarrow")


def planner(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run([sys.executable, "-m", "planner", *arguments], capture_output=True, text=True,
                          timeout=240, check=False, **options)


def children_s() -> float:
    """Processor seconds of all processes that were run from here."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_answers_in_half_a_second() -> None:
    """`planner --help` takes under 0.5 s (of the processor, as the machine may be busy; the best of five runs)."""
    took = []
    for _ in range(5):
        start = children_s()
        assert planner("--help").returncode == 0
        took.append(children_s() - start)
    assert min(took) < 0.5


def test_help_loads_nothing_heavy() -> None:
    """The command line imports no solver, no frame library and no model at start."""
    code = f"import sys, planner.cli; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=True)
    assert done.stdout.strip() == "[]"


def test_every_command_of_the_design_is_in_help() -> None:
    """All commands are listed."""
    listed = {line.split()[0] for line in planner("--help").stdout.splitlines() if line.startswith("  ")}
    wanted = {"demo", "plan", "verify", "explain", "what-if", "replan", "pareto", "replay", "forecast", "capacity",
              "profile", "catalog", "diagnose", "models", "jobs", "host", "serve", "export", "import", "where", "runs",
              "learn"}
    assert wanted <= listed


def test_control_c_while_it_is_loaded_is_a_word(tmp_path: Path) -> None:
    """Ctrl-C before the command line is there ends in a word and status 130, as later."""
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    done = planner("--help", env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])})
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")


@pytest.mark.parametrize("arguments", [["pla"], ["plan"], ["plan", "s", "--sed", "1"], ["plan", "s", "--seed", "x"],
                                       ["plan", "s", "--mode", "cheap"]])
def test_wrong_arguments_are_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong command, option or value is one line on standard error and exit status 2."""
    assert run(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert "Value error" not in shown.err


def test_out_of_memory_is_no_fault_of_the_planner(monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    """Where memory runs out, in the planner or while a library is loaded, one line says so and how to mend it."""
    for error in (MemoryError(), ImportError("x.so: failed to map segment from shared object"),
                  OSError(errno.ENOMEM, "Cannot allocate memory")):
        def full(problem: Exception = error, **_: object) -> None:
            raise problem

        monkeypatch.setattr("planner.cli._refuse", full)
        assert run(["replan", "s", "p"]) == 3
        assert capsys.readouterr().err.startswith("out of memory: give the planner more")


def test_a_fault_is_one_line_and_its_traceback_on_request() -> None:
    """An unexpected error is one line and status 3; PLANNER_DEBUG=1 shows the traceback."""
    code = ("import sys, planner.cli as c\n"
            "@c.app.command('boom')\n"
            "def boom() -> None: raise RuntimeError('two\\nlines')\n"
            "sys.exit(c.run(['boom']))")
    short = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False)
    assert short.returncode == 3
    assert short.stderr == "a fault of the planner: RuntimeError: two lines (PLANNER_DEBUG=1 shows where)\n"
    long = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False,
                          env={"PLANNER_DEBUG": "1", "PATH": "/usr/bin"})
    assert long.returncode == 3
    assert "Traceback" in long.stderr


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    """`planner --version` names the version in pyproject.toml."""
    import tomllib

    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["version"]
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"planner {declared}\n"


def test_ctrl_c_is_a_line_wherever_it_comes(monkeypatch: pytest.MonkeyPatch,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C amid any command is told in one line, with exit status 130."""
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    for module, first in (("forecast", "check_outputs"), ("capacity", "read_scenario")):
        monkeypatch.setattr(f"planner.commands.{module}.{first}", stopped)
        assert run([module, "nothing"]) == 130
        assert capsys.readouterr().err == "stopped\n"
