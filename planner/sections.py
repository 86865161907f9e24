"""Tables of words that are shown alike in a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from planner.terminal import plain


@dataclass(frozen=True, slots=True)
class Section:
    """A titled table of words; columns from `numbers` on, before `words`, hold figures. `more` counts the rows not
    shown.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: int
    more: int = 0
    words: int = 1000

    def figure(self, column: int) -> bool:
        """Whether a column holds figures, which stand right."""
        return self.numbers <= column < self.words


def listed(title: str, headings: tuple[str, ...], lines: Sequence[tuple[str, ...]], rows: int,
           numbers: int = 1, words: int = 1000) -> Section:
    """A section of the first `rows` lines."""
    return Section(title, headings, tuple(lines[:rows]), numbers, max(0, len(lines) - rows), words)


def section_table(section: Section) -> Table:
    """A section as rich shows it."""
    table = Table(title=Text(plain(section.title)), title_justify="left", title_style="bold")
    for at, heading in enumerate(section.headings):
        table.add_column(heading, justify="right" if section.figure(at) else "left", overflow="fold")
    for row in section.rows:
        table.add_row(*(Text(plain(cell), style=_style(cell) if section.figure(at) else "")
                        for at, cell in enumerate(row)))
    if section.more:
        table.add_section()
        table.add_row(f"and {section.more:,} more", *("" for _ in section.headings[1:]))
    return table


def _style(cell: str) -> str:
    return "cyan" if cell[:1] in "+-" and len(cell) > 1 else ""


def markdown_section(section: Section) -> list[str]:
    """Lines of a section as GitHub and GitLab show it: a heading and a table."""
    rule = ["---:" if section.figure(at) else "---" for at in range(len(section.headings))]
    rows = [[markdown_text(cell) for cell in row] for row in section.rows]
    rows += [[f"and {section.more:,} more", *([""] * (len(rule) - 1))]] if section.more else []
    table = [f"| {' | '.join(row)} |" for row in ([*map(markdown_text, section.headings)], rule, *rows)]
    return [f"#### {markdown_text(section.title)}", "", *table, ""]


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no line break, no end of the cell."""
    shown = plain(text.strip())
    for letter in "\\`*_[]<>|#~":
        shown = shown.replace(letter, f"\\{letter}" if letter not in "<>" else {"<": "&lt;", ">": "&gt;"}[letter])
    return shown
