"""Names and types of the files that jobs are given and make."""

from __future__ import annotations

PARQUET, CSV = "application/vnd.apache.parquet", "text/csv"
PACKINGS = "packings.parquet"
HISTORY, QUANTILES, BACKTEST = "history", "quantiles.parquet", "backtest.parquet"
ENDINGS = {CSV: ".csv", PARQUET: ".parquet"}
"""Types of histories, and the endings of files of them."""
