"""All pages."""

from __future__ import annotations

from api.pages import assets, jobs, live, plan, plans

ROUTERS = (assets.router, live.router, plans.router, plan.router, jobs.router)
