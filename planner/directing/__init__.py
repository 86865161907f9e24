"""Where a request goes now: the plan in force and live health of clusters, to a cluster, in about a microsecond.

    director = Director(open_routes(Path("scenario"), Path("plan.json")))
    director.direct("web", region="aws/eu-west-1", key="customer-17").cluster
    director.report("aws-dublin", Report("down", by="probe", source="probe-eu"))

`docs/directing.md` says what is promised.
"""

from planner.directing.director import Direction, Director
from planner.directing.errors import (
    DirectingError,
    NoClusterError,
    NotInForceError,
    UnknownClusterError,
    UnknownRegionError,
    UnknownWorkloadError,
)
from planner.directing.health import ClusterHealth, Hysteresis, Report
from planner.directing.partway import partway
from planner.directing.routes import Routes, open_routes, read_routes, routes_of, write_routes

__all__ = [
    "ClusterHealth",
    "DirectingError",
    "Direction",
    "Director",
    "Hysteresis",
    "NoClusterError",
    "NotInForceError",
    "Report",
    "Routes",
    "UnknownClusterError",
    "UnknownRegionError",
    "UnknownWorkloadError",
    "open_routes",
    "partway",
    "read_routes",
    "routes_of",
    "write_routes",
]
