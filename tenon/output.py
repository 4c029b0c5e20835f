"""What a command prints: tables for people, one JSON document for machines, exit codes that mean something."""

import json
import sys
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any

from rich.console import Console
from rich.table import Table

WIDTH = 100


class ExitCode(IntEnum):
    """Of every command but `tenon train`, which passes the trainer's codes through."""

    OK = 0
    CHECK_FAILED = 1  # drift, a broken invariant, a failed gate
    BAD_INPUT = 2
    UNAVAILABLE = 3  # a component is missing or dead


class CommandError(Exception):
    """A fault the user can mend; printed without a stack trace."""

    def __init__(self, text: str, code: ExitCode = ExitCode.BAD_INPUT) -> None:
        super().__init__(text)
        self.code = code


def say(text: str) -> None:
    """A line for people. Goes to stderr, so that stdout is the answer alone."""
    print(text, file=sys.stderr, flush=True)


def answer_json(document: Any) -> None:
    """The one JSON document of `--json`."""
    json.dump(document, sys.stdout, indent=2, sort_keys=True, default=str)
    sys.stdout.write("\n")


def answer_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table of at most 100 columns."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    console().print(table)


def console(*, stderr: bool = False) -> Console:
    """A console no wider than 100 columns."""
    made = Console(stderr=stderr)
    made.width = min(made.width, WIDTH)
    return made
