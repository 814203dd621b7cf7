"""Tables that people keep by hand as CSV. What is wrong is told with file, line, value and remedy."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources.abc import Traversable

from wsb_core.domain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: ``where`` is its file and line number, values are stripped text by column."""

    where: str
    values: Mapping[str, str]

    def text(self, column: str) -> str:
        """The value; ConfigError when it is empty."""
        if not self.values[column]:
            raise self.wrong(column, "fill it in")
        return self.values[column]

    def day(self, column: str) -> date:
        """The value as a date; ConfigError when it is none or empty."""
        text = self.values[column]
        try:
            if len(text) != len("2026-01-31"):
                raise ValueError
            return date.fromisoformat(text)
        except ValueError:
            raise self.wrong(column, "write a date as 2026-01-31") from None

    def optional_day(self, column: str) -> date | None:
        """As ``day``; None when the value is empty."""
        return self.day(column) if self.values[column] else None

    def wrong(self, column: str, remedy: str) -> ConfigError:
        """The error that names this line and this value."""
        return ConfigError(f"{self.where}: {column} is {self.values[column]!r}; {remedy}")


def read_rows(source: Traversable, columns: Sequence[str]) -> tuple[Row, ...]:
    """Every line of a CSV whose heading has exactly ``columns``, in any order; blank lines are passed over.

    Raises: ConfigError when there is no such file, it is not UTF-8, or its columns are not those.
    """
    if not source.is_file():
        raise ConfigError(f"{source}: there is no such file; create it with the columns {', '.join(columns)}")
    try:
        content = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source}: not UTF-8 text ({error}); save it as UTF-8") from error
    reader = csv.reader(content.splitlines())
    heading = [name.strip() for name in next(reader, [])]
    _check_heading(f"{source}: line 1", heading, columns)
    rows = []
    for cells in reader:
        where = f"{source}: line {reader.line_num}"
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(heading):
            raise ConfigError(
                f"{where}: has {len(cells)} values for {len(heading)} columns; write one for each of "
                f"{', '.join(heading)}, empty where there is none"
            )
        rows.append(Row(where, {name: cell.strip() for name, cell in zip(heading, cells, strict=True)}))
    return tuple(rows)


def _check_heading(where: str, heading: Sequence[str], columns: Sequence[str]) -> None:
    for name in heading:
        if name not in columns:
            raise ConfigError(f"{where}: unknown column {name!r}; the columns are {', '.join(columns)}")
        if heading.count(name) > 1:
            raise ConfigError(f"{where}: column {name!r} is there twice; remove one")
    missing = [name for name in columns if name not in heading]
    if missing:
        raise ConfigError(f"{where}: has no column {missing[0]!r}; the columns are {', '.join(columns)}")
