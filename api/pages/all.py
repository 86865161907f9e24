"""All pages."""

from __future__ import annotations

from api.pages import assets, capacity, forecasts, jobs, live, plan, plans, what_if, workloads

ROUTERS = (assets.router, live.router, plans.router, plan.router, workloads.router, jobs.router, forecasts.router,
           capacity.router, what_if.router)
