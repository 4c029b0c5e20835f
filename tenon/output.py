"""What a command prints: tables for people, one JSON document for machines, exit codes that mean something."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

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
    """A line for people. Goes to stderr, so that stdout is the answer alone; to nobody where stderr is closed."""
    if sys.stderr is not None:
        print(text, file=sys.stderr, flush=True)


def answer_json(document: Any) -> None:
    """The one JSON document of `--json`. Raises CommandError."""
    answer_text(json.dumps(document, indent=2, sort_keys=True, default=str) + "\n")


def answer_text(text: str) -> None:
    """Text as it is, on standard output. Raises CommandError."""
    with _standard_output():
        sys.stdout.write(text)


def answer_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table of at most 100 columns, its cells as they are: brackets in them are no markup. Raises CommandError."""
    table = Table(title=Text(title) if title else None, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    made = console()
    with made.capture() as captured:  # rich ends the process with 1 when it meets a closed pipe itself
        made.print(table)
    answer_text(captured.get())


@contextmanager
def _standard_output() -> Iterator[None]:
    """Written through at once, so that a full disk is an error of the command and not a trace at its end."""
    if sys.stdout is None:
        raise CommandError("standard output: is closed, so there is nowhere to answer; open it and ask again")
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # takes what the exit flushes once more
        if isinstance(error, BrokenPipeError):
            raise
        raise CommandError(f"standard output: cannot be written ({error.strerror}); make room and ask again") from None


def console(*, stderr: bool = False) -> Console:
    """A console no wider than 100 columns."""
    made = Console(stderr=stderr)
    made.width = min(made.width, WIDTH)
    return made
