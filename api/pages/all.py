"""All pages."""

from __future__ import annotations

from api.pages import assets, jobs, live, plan, plans, workloads

ROUTERS = (assets.router, live.router, plans.router, plan.router, workloads.router, jobs.router)
