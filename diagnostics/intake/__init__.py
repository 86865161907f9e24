"""Telemetry as clusters send it: batches in, a store of Parquet files that only those who agreed are in, frames out.

`ingest` stores a batch, `read_frame` and `read_pool` give rows back by hardware class and country, `coverage` says what
is there. No name of a cluster or host is stored: a keyed hash is.
"""

from diagnostics.intake.contract import BatchReport, IntakeError, IntakeSettings, Refusal, Sender
from diagnostics.intake.ingest import ingest
from diagnostics.intake.names import Names
from diagnostics.intake.read import Coverage, Wanted, coverage, read_frame, read_pool
from diagnostics.intake.store import Store, clusters, compact, forget, open_store

__all__ = ["BatchReport", "Coverage", "IntakeError", "IntakeSettings", "Names", "Refusal", "Sender", "Store", "Wanted",
           "clusters", "compact", "coverage", "forget", "ingest", "open_store", "read_frame", "read_pool"]  # fmt: skip
