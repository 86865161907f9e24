"""What detectors of workloads share: they keep the contract of `diagnostics.detectors`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from diagnostics.detectors.calm import Floats


def refuse(values: Floats, wrong: npt.NDArray[np.bool_], what: str, allowed: str) -> None:
    """Raise ValueError with the first wrong value and where it is; NaN is never wrong, infinity always."""
    wrong = wrong | np.isinf(values)
    if wrong.any():
        row, step = np.argwhere(wrong)[0]
        raise ValueError(f"{what}: {values[row, step]} in series {row}, step {step}: {allowed}")
