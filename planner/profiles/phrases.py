"""Amounts in the words of a description: volumes, rows, loads, how often, how soon; each with the words that say it.

Only what names its unit is read: "about 300 GB a night", "40 million rows", "200 requests a second", "within 50 ms".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from planner.profiles.constants import LATENCY_WORDS

Quantity = Literal["gb", "rows", "columns", "requests", "at_once", "every", "window", "latency"]

SCALES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "mn": 1e6, "mio": 1e6, "million": 1e6, "b": 1e9, "bn": 1e9,
          "billion": 1e9, "trillion": 1e12}  # fmt: skip
GB_OF = {"k": 1e-6, "m": 1e-3, "g": 1.0, "t": 1e3, "p": 1e6}
"""Gigabytes in what begins with this letter: kilobytes to petabytes."""
SECONDS_OF = {"ms": 1e-3, "millisecond": 1e-3, "s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0,
              "h": 3600.0, "hour": 3600.0, "hourly": 3600.0, "day": 86_400.0, "daily": 86_400.0, "night": 86_400.0,
              "nightly": 86_400.0, "overnight": 86_400.0, "morning": 86_400.0, "evening": 86_400.0, "week": 604_800.0,
              "weekly": 604_800.0, "weekend": 604_800.0, "month": 2_628_000.0, "monthly": 2_628_000.0,
              "year": 31_536_000.0, "yearly": 31_536_000.0}  # fmt: skip
FEWEST_ROWS = 1000
"""Of "2 hospitals' records" no rows are read; of "4000 patient records" they are."""


def _of(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_SCALE = r"thousand|million|billion|trillion|mio|mn|bn|k|m|b"
_UPPER = rf"(?<![\w.,])(?:(?:{_NUMBER})\s*(?:{_SCALE}|[kmgtp]i?b)?\s*(?:-|–|to|and)\s*)?"
"""Of a range ("200 to 300 GB") the upper end is read."""
_AMOUNT = _UPPER + rf"(?P<number>{_NUMBER})[\s-]*(?P<scale>(?:{_SCALE})\b)?"
_BETWEEN = r"[\s-]+(?P<between>(?!(?:and|or|with|from|in|for|to|by|of|per|an?)\b)[a-z-]+\s+)?"
_BYTES = r"(?P<bytes>[kmgtp])(?:i?b|(?<=k)ilobytes?|(?<=m)egabytes?|(?<=g)igabytes?|(?<=t)erabytes?|(?<=p)etabytes?)"
_AT_ONCE = r"at once|at a time|at the same time|in flight|concurrently|simultaneously|in parallel"
_COUNTED: dict[Quantity, re.Pattern[str]] = {
    "gb": _of(_AMOUNT + _BYTES + r"\b"),
    "rows": _of(_AMOUNT + _BETWEEN + r"(?:rows|records|events|lines|transactions|documents|examples|samples)\b"),
    "columns": _of(_AMOUNT + _BETWEEN + r"(?:columns|features|attributes|variables)\b"),
    "requests": _of(_AMOUNT + r"(?:\s*(?P<per_second>rps|qps|req/s)\b|" + _BETWEEN
                    + r"(?:requests|queries|predictions|calls|inferences|lookups|questions)\b)"),
    "at_once": _of(_AMOUNT + rf"\s+(?:(?:concurrent|simultaneous|parallel)\s+[a-z]+|[a-z]+\s+(?:{_AT_ONCE}))\b"),
}  # fmt: skip
_SPAN = "second|sec|s|minute|min|hour|h|day|night|week|month|year"
_OFTEN = "hourly|daily|nightly|overnight|weekly|monthly"
_RATE = _of(rf"[^\d.;:,(]{{0,40}}?(?:(?:/|\bper\b|\ban?\b|\beach\b|\bevery\b)\s*(?P<span>{_SPAN})|"
            rf"\b(?P<often>{_OFTEN}|yearly))\b")  # fmt: skip
_OF_ONE = _of(r"\s*(?:/|per\b|each\b|an?\b|for (?:each|every)\b)")
"""What follows an amount of one thing ("2 KB per row"), not of all."""
_NO_DATA = _of(r"\s*(?:(?:of\s+)?(?:\w+\s+)?(?:memory|v?ram|hbm|gpus?|machines?|disks?|cache|swap)\b|/\s*s|per sec)")
"""What follows gigabytes of a machine or of a network, not of data."""
_UNIT = "ms|milliseconds?|s|secs?|seconds?|min|mins|minutes?|h|hours?"
_SOON_UNIT = "ms|milliseconds?|s|secs?|seconds?"
"""Longer times in a description are seldom those to an answer ("who comes back within 30 days")."""
_TIME = rf"(?<![\w.,])(?P<number>{_NUMBER})[\s-]*(?P<unit>{_UNIT})\b"
_ITS_TIME = _TIME.replace("<number>", "<its_number>").replace("<unit>", "<its_unit>")
_SHORT, _ITS_SHORT = _TIME.replace(_UNIT, _SOON_UNIT), _ITS_TIME.replace(_UNIT, _SOON_UNIT)
_TIMES: dict[Quantity, re.Pattern[str]] = {
    "window": _of(rf"(?:within|in (?:under|at most|less than)|no longer than|at most)\s+{_TIME}|"
                  rf"{_ITS_TIME}\s+window\b"),
    "latency": _of(rf"(?:within|under|below|(?:less|no more|no longer|faster) than|at most|up to|in|of|<=?)\s+{_SHORT}|"
                   rf"{_ITS_SHORT}\s+(?:latency|response|p\d+|or less|at most)\b"),
}  # fmt: skip
_EVERY = _of(r"\b(?:(?:every|each|once an?|(?P<twice>twice) an?)\s+(?:(?P<number>\d+)\s*)?"
             rf"(?P<span>hour|day|night|morning|evening|weekend|week|month)s?|(?P<often>{_OFTEN}))\b")  # fmt: skip
_SOON = _of(rf"\b(?P<word>{'|'.join(sorted(map(re.escape, LATENCY_WORDS), key=len, reverse=True))})(?:ly)?\b")
_DENIED = _of(r"(?:\b(?:not?|non|never|without)\b|n't\b)[\s-]+(?:\w+\s+){0,2}$")
_OF_THE_MODEL = _of(r"\b(?:re)?(?:train|load|buil[dt]|updat|refresh|deploy)\w*\s+(?:\w+\s+){0,2}$")
"""What is trained nightly is not answered nightly."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """`words` of a description that state a quantity: its `value`, times in seconds; of a rate, so much in `per_s`."""

    quantity: Quantity
    value: float
    words: str
    per_s: float | None = None


def phrases(text: str) -> tuple[Phrase, ...]:
    """All amounts that a text states; not those of memory, of one row, or denied."""
    found, rest = [], text
    for quantity, pattern in _COUNTED.items():
        for match in pattern.finditer(text):
            phrase = _counted(quantity, match, text[match.end() :])
            if phrase is not None:
                found.append(phrase)
                rest = rest.replace(phrase.words, "; ")  # the "every night" of a rate is no cadence beside it
    found += [Phrase("every", _every(match), match[0]) for match in _meant(_EVERY, rest)]
    for quantity, pattern in _TIMES.items():
        for match in _meant(pattern, text):
            number, unit = match["number"] or match["its_number"], match["unit"] or match["its_unit"]
            found.append(Phrase(quantity, _number(number) * _seconds(unit), match[0]))
    return tuple(found)


def latency_phrase(text: str) -> Phrase | None:
    """The shortest time to an answer that a text asks for, in words or in numbers; None where it asks for none."""
    said = [phrase for phrase in phrases(text) if phrase.quantity == "latency"]
    said += [Phrase("latency", LATENCY_WORDS[match["word"].lower()] / 1000, match[0]) for match in _meant(_SOON, text)
             if not _OF_THE_MODEL.search(text[: match.start()])]
    return min(said, key=lambda phrase: phrase.value, default=None)


def _counted(quantity: Quantity, match: re.Match[str], after: str) -> Phrase | None:
    named = match.groupdict()
    value = _number(match["number"]) * SCALES.get((match["scale"] or "").lower(), 1.0)
    if quantity == "gb":
        value *= GB_OF[match["bytes"].lower()]
        if _NO_DATA.match(after):
            return None
    if quantity == "rows" and named["between"] and value < FEWEST_ROWS:
        return None
    if named.get("per_second"):
        return Phrase(quantity, value, match[0], 1.0)
    rate = _RATE.match(after) if quantity in ("gb", "rows", "requests") else None
    if rate is not None:
        return Phrase(quantity, value, match[0] + rate[0], _seconds(rate["span"] or rate["often"]))
    return None if quantity in ("gb", "rows") and _OF_ONE.match(after) else Phrase(quantity, value, match[0])


def _every(match: re.Match[str]) -> float:
    seconds = _seconds(match["often"] or match["span"]) * float(match["number"] or 1)
    return seconds / 2 if match["twice"] else seconds


def _meant(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Where a pattern is found and not denied ("not real-time")."""
    return (match for match in pattern.finditer(text) if not _DENIED.search(text[: match.start()]))


def _seconds(unit: str) -> float:
    plain = unit.lower()
    return SECONDS_OF[plain] if plain in SECONDS_OF else SECONDS_OF[plain.removesuffix("s")]


def _number(text: str) -> float:
    return float(text.replace(",", ""))
