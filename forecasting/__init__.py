"""Forecasts of demand with quantiles and sample paths: long frames in, frames and arrays out.

`forecast` is the face of this library; it reads no files, keeps no state and knows nothing of workloads or machines.
"""

from forecasting.engine import Forecast, forecast, quantile_column
from forecasting.history import History, TooShortError
from forecasting.models import FORECASTERS, default_models
from forecasting.validate import BadFrameError, Checked, Note, Refusal, check

__all__ = [
    "FORECASTERS",
    "BadFrameError",
    "Checked",
    "Forecast",
    "History",
    "Note",
    "Refusal",
    "TooShortError",
    "check",
    "default_models",
    "forecast",
    "quantile_column",
]
