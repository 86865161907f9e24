"""What the processes of jobs find loaded: it is imported once, by what they are forked from."""

import pandas as pd  # noqa: F401 - tables of every kind of job; pyarrow loads it too
from numba.core.registry import cpu_target

import api.jobs.job
import api.kinds.plan
import api.kinds.verification  # noqa: F401

# What the first call of a compiled function does in each process, a fifth of a second.
cpu_target.typing_context.refresh()
cpu_target.target_context.refresh()
