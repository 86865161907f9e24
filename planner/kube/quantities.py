"""Quantities as Kubernetes writes them: `500m`, `16Gi`, `1e3`."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

GIB = 2**30
CPU_TOLERANCE, BYTE_TOLERANCE = 1e-6, 0.2
"""What is over a whole milli-CPU, or byte, by less than this is not: scenarios say GiB to ten digits."""

_FORM = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,3}))?")
_SCALE = {"": Fraction(1), "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000),
          **{letter: Fraction(1000**power) for power, letter in enumerate("kMGTPE", 1)},
          **{f"{letter}i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", 1)}}


def parse_quantity(text: object) -> Fraction:
    """The exact number that a quantity says. Raises ValueError for anything else (`4 GB`, `16GB`, `-`)."""
    found = _FORM.fullmatch(str(text)) if isinstance(text, str | int | float) and not isinstance(text, bool) else None
    if found is None:
        raise ValueError(f"{text!r}: not a quantity such as 500m, 2, 1.5Gi or 1e3")
    number, suffix, exponent = found.groups()
    return Fraction(Decimal(number)) * _SCALE[suffix or ""] * Fraction(10) ** int(exponent or 0)


def needed_cpu(vcpu: float, replicas: int = 1) -> str:
    """CPU that replicas ask for, each rounded up to a whole milli-CPU."""
    return _cpu(replicas * ceil(vcpu * 1000 - CPU_TOLERANCE))


def needed_gib(gib: float, replicas: int = 1) -> str:
    """Memory or disk that replicas ask for, each rounded up to a whole byte."""
    return _bytes(replicas * ceil(gib * GIB - BYTE_TOLERANCE))


def cpu_there(vcpu: float, machines: int = 1) -> str:
    """CPU that machines have to give, each rounded down to a whole milli-CPU."""
    return _cpu(machines * floor(vcpu * 1000 + CPU_TOLERANCE))


def gib_there(gib: float, machines: int = 1) -> str:
    """Memory or disk that machines have to give, each rounded down to a whole byte."""
    return _bytes(machines * floor(gib * GIB + BYTE_TOLERANCE))


def _cpu(milli: int) -> str:
    return f"{milli}m" if milli % 1000 else str(milli // 1000)


def _bytes(count: int) -> str:
    for power, suffix in ((3, "Gi"), (2, "Mi"), (1, "Ki")):
        if count and count % 1024**power == 0:
            return f"{count // 1024**power}{suffix}"
    return str(count)
