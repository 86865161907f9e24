"""Forecasts of demand with quantiles and sample paths: long frames in, frames and arrays out.

`forecast` is the face of this library; `learn` and `predict` are its two halves, for series that come in parts. It
reads no files, keeps no state and knows nothing of workloads or machines.
"""

from forecasting.engine import Forecast, Learned, forecast, learn, look_back, predict
from forecasting.history import History, TooShortError
from forecasting.models import FORECASTERS, default_models
from forecasting.scoring import quantile_column
from forecasting.validate import BadFrameError, Checked, Note, Refusal, check

__all__ = [
    "FORECASTERS",
    "BadFrameError",
    "Checked",
    "Forecast",
    "History",
    "Learned",
    "Note",
    "Refusal",
    "TooShortError",
    "check",
    "default_models",
    "forecast",
    "learn",
    "look_back",
    "predict",
    "quantile_column",
]
