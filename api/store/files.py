"""Names and types of the files that jobs are given and make."""

from __future__ import annotations

TEXT = "text/plain; charset=utf-8"
PARQUET, CSV, JSON = "application/vnd.apache.parquet", "text/csv", "application/json"
PACKINGS = "packings.parquet"
ROUTES, HOSTED = "routes.json", "hosted.json"
SUMMARY, FLEET, WORKLOADS = "summary.json", "fleet.json", "workloads.parquet"
VIEW, LOG = "view.json", "log.txt"
"""What a page shows of a result, made with it since what makes it is heavy; and what a job printed."""
NDJSON, ACTUALS = "application/x-ndjson", "actuals"
HISTORY, QUANTILES, BACKTEST = "history", "quantiles.parquet", "backtest.parquet"
ENDINGS = {CSV: ".csv", PARQUET: ".parquet"}
"""Types of histories, and the endings of files of them."""
