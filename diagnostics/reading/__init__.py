"""Which detector reads what: every series by the one that fits it, and all metrics of a cluster together.

`read(telemetry, ReadSettings(...))` scores telemetry; `SINGLE` and `JOINT` name what may be forced.
"""

from diagnostics.reading.choice import AUTO, DETECTOR_NAMES, JOINT, SINGLE
from diagnostics.reading.joint import ALL_METRICS
from diagnostics.reading.read import Reading, ReadingError, ReadSettings, read

__all__ = ["ALL_METRICS", "AUTO", "DETECTOR_NAMES", "JOINT", "SINGLE", "ReadSettings", "Reading", "ReadingError",
           "read"]
