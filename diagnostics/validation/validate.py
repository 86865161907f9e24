"""The five stages in a row, from tables to a report."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diagnostics.validation.benchmark import Benchmark, benchmark, changes, drifted_share
from diagnostics.validation.configuration import Column, Configuration, DriftRule, Records
from diagnostics.validation.identify import Identified, identify
from diagnostics.validation.interpret import Interpretation, interpret
from diagnostics.validation.schema import Fault, feature_faults, schema_faults
from diagnostics.validation.summary import Summary, summarise

if TYPE_CHECKING:
    import pandas as pd


class DataError(ValueError):
    """A table cannot be read; one line says which, and what is allowed."""


@dataclass(frozen=True)
class Report:
    """What was found, stage by stage; `interpretation` holds the verdicts. Nothing of it depends on the clock."""

    name: str
    columns: tuple[Identified, ...]
    summary: Summary
    schema_faults: tuple[Fault, ...]
    feature_faults: tuple[Fault, ...]
    benchmark: Benchmark | None
    interpretation: Interpretation

    @property
    def found(self) -> bool:
        """Whether anything is wrong."""
        return self.interpretation.found

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts and numbers, ready for JSON."""
        return {"schema": 1, **asdict(self), "found": self.found}


def validate(frame: pd.DataFrame, configuration: Configuration, baseline: pd.DataFrame | None = None) -> Report:
    """Check a table and, with a baseline, whether it drifted. The frames stay as they are."""
    columns = identify(frame, configuration)
    summary = summarise(frame, columns)
    broken, out = schema_faults(frame, configuration), feature_faults(frame, configuration)
    compared = None
    if baseline is not None:
        before = identify(baseline, configuration)
        features = benchmark(frame, baseline, columns, before, configuration)
        compared = Benchmark(changes(summary, summarise(baseline, before), configuration.drift.accepted_change),
                             features, drifted_share(features))
    verdicts = interpret(broken, out, compared, configuration)
    return Report(configuration.name, columns, summary, broken, out, compared, verdicts)


def propose(frame: pd.DataFrame, name: str) -> Configuration:
    """A first configuration from data that are known to be good: types, missing values up to twice as many, values of
    categories. An expert makes of it what must hold.
    """
    free = Configuration(name=name)
    columns = {}
    for one in identify(frame, free):
        column = frame[one.column]
        share = round(min(1.0, 2 * float(column.isna().mean())), 3)
        labels = None
        if one.category == "categorical" and one.type == "text":
            labels = tuple(sorted(column.dropna().astype(str).unique()))
        columns[one.column] = Column(type=one.type, missing_up_to=share if one.type else 1.0, allowed=labels)
    return Configuration(name=name, records=Records(least=max(1, len(frame) // 2)), columns=columns, drift=DriftRule())


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV (also .csv.gz) or Parquet table with named columns.

    Raises:
        DataError: there is no such file, it has another format or cannot be read, or a name is there twice.

    """
    import pandas as pd

    if not path.is_file():
        raise DataError(f"{path}: no such file; a CSV or Parquet table")
    if not path.name.endswith((".parquet", ".csv", ".csv.gz")):
        raise DataError(f"{path}: '{path.suffix}' is not a table's format; .csv, .csv.gz or .parquet")
    heading = []
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:  # names are read apart: pandas gives a name that is there twice another one
            heading = pd.read_csv(path, header=None, nrows=1, dtype=str).iloc[0].astype(str).tolist()
            frame = pd.read_csv(path, float_precision="round_trip", low_memory=False)
    except (OSError, EOFError, ValueError) as error:  # what pandas and pyarrow raise for a broken file
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{path.name}: cannot be read: {why}") from None
    twice = sorted({name for name in heading if heading.count(name) > 1})
    if twice:
        raise DataError(f"{path.name}: column '{twice[0]}' is there twice")
    frame.columns = frame.columns.map(str)
    return frame
