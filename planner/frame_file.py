"""Tables of people as pandas frames: CSV or Parquet, with what is wrong with the file in words."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import InputError
from planner.scenario.tables import csv_lines

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = {";": "semicolons", "\t": "tabs"}


def read_frame(path: Path, texts: frozenset[str] | None) -> pd.DataFrame:
    """A CSV (UTF-8, commas) or Parquet file, by its ending.

    Of a CSV file the columns `texts` are text as it stands (all where None): `007` and `NA` are names. Raises
    InputError for what cannot be read, columns named twice and cells that no column is named for; FileNotFoundError.
    """
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
            check_columns(path, list(map(str, table.columns)))
            return table
        columns = _csv_columns(path)
        if texts is None:
            return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        empty = {name: EMPTY for name in columns if name not in texts}
        return pd.read_csv(path, dtype=dict.fromkeys(texts, str), keep_default_na=False, na_values=empty,
                           encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError([f"{path.name}: is not text in UTF-8 (byte {error.start}): save it as UTF-8"]) from None
    except FileNotFoundError:
        raise
    except (pd.errors.ParserError, OSError, ValueError, NotImplementedError) as error:
        why = str(error).splitlines()[0].removeprefix("Error tokenizing data. C error: ")
        raise InputError([f"{path.name}: cannot be read as {path.suffix or 'CSV'}: {why}"]) from None


EMPTY = ["", "nan", "NaN", "NA", "N/A", "null", "NULL", "None"]
"""Cells of numbers that say that there is none."""


def check_columns(path: Path, columns: list[str]) -> None:
    """Raise InputError where two columns have one name."""
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise InputError([f"{path.name}: column {twice!r} is there {columns.count(twice)} times: keep one"])


def _csv_columns(path: Path) -> list[str]:
    """The names in the first line, with which the next one agrees."""
    if not path.exists():
        raise FileNotFoundError(path)
    lines = list(islice(csv_lines(path), 2))
    if not lines:
        raise InputError([f"{path.name}: is empty: a line of column names is needed"])
    names = lines[0]
    other = next((word for sign, word in SEPARATORS.items() if len(names) == 1 and sign in names[0]), None)
    if other is not None:
        raise InputError([f"{path.name}: columns have {other} between them: write commas, and points in numbers"])
    check_columns(path, names)
    if len(lines[-1]) > len(names):
        raise InputError([f"{path.name}: line 2: {len(lines[-1])} cells: {len(names)} columns are named"])
    return names
