"""Made-up telemetry that looks real: for examples, tests and perturbations, never for figures about quality."""

from diagnostics.synthetic.fleet import COUNTERS, GAUGES, Fleet, Host, Site, make_fleet
from diagnostics.synthetic.hardware import HARDWARE, Hardware

__all__ = ["COUNTERS", "GAUGES", "HARDWARE", "Fleet", "Hardware", "Host", "Site", "make_fleet"]
