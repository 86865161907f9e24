"""All pages."""

from __future__ import annotations

from api.pages import assets, jobs, live, plans

ROUTERS = (assets.router, live.router, plans.router, jobs.router)
