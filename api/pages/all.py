"""All pages."""

from __future__ import annotations

from api.pages import (
    assets,
    capacity,
    diagnostics,
    fleet,
    forecasts,
    hosting,
    jobs,
    live,
    models,
    plan,
    plans,
    sign_in,
    what_if,
    workloads,
)

ROUTERS = (assets.router, sign_in.router, live.router, fleet.router, plans.router, plan.router, workloads.router,
           jobs.router, forecasts.router, capacity.router, what_if.router,
           diagnostics.router, hosting.router, models.router)
