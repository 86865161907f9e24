"""Jobs that wait or run too long, compared with their own history, and why that may be."""

from diagnostics.jobs.runs import COLUMNS, Job, JobsError, read_jobs
from diagnostics.jobs.stuck import StuckJob, StuckSettings, find_stuck

__all__ = ["COLUMNS", "Job", "JobsError", "StuckJob", "StuckSettings", "find_stuck", "read_jobs"]
