"""Kernels that several processes compile, each its own, are told apart by the process that loads them all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KERNEL = """
from {package}.jit import jit

@jit
def next_one(value):
    return value + 1

assert next_one(1) == 2
print(next(iter(next_one.overloads.values())).fndesc.mangled_name)
"""


@pytest.mark.parametrize("package", ["forecasting", "placement", "diagnostics"])
def test_what_two_processes_compile_has_two_names(tmp_path: Path, package: str) -> None:
    """Kernels on disk hold the functions that they are made of by name: no two processes give the same to different
    ones (an intermittent series after others, in a new process, ended it: `sort` ran for `argsort`).
    """
    names = []
    for process in "ab":
        (tmp_path / process).mkdir()
        (tmp_path / process / "kernel.py").write_text(KERNEL.format(package=package))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        ended = subprocess.run([sys.executable, str(tmp_path / process / "kernel.py")], env=environment, check=True,
                               capture_output=True, text=True)
        names.append(ended.stdout)
    assert len(set(names)) == 2
