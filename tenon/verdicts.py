"""`tenon verdicts`: policy worlds and flows as JSON Lines on stdin, one answer per line on stdout, in order."""

import argparse
import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import IO

from tenon.output import CommandError, ExitCode, answer_text

MAX_LINE_BYTES = 256 << 20  # a world of some thousand tenants


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = f"{__doc__} The format: policy-tests/cases/README.md. Exit code 2 when a line was no question."


def run(options: argparse.Namespace) -> int:  # noqa: ARG001 - answers are JSON lines anyhow, and no folder is read
    if find_spec("re2") is None:
        message = "google-re2 is missing, which matches expressions of HTTP rules; install tenon[judge]"
        raise CommandError(message, code=ExitCode.UNAVAILABLE)
    from isolation.worlds.answering import Answers

    answers = Answers()
    for text in _lines(sys.stdin.buffer):
        answer = answers.unread(f"is longer than {MAX_LINE_BYTES} bytes") if text is None else answers.answer(text)
        answer_text(json.dumps(answer) + "\n")
    return int(ExitCode.OK if answers.is_faultless else ExitCode.BAD_INPUT)


def _lines(stream: IO[bytes]) -> Iterator[str | None]:
    """The lines that are not blank; None for one that is too long to be read."""
    while line := stream.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES:
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE_BYTES)
            yield None
        elif line.strip():
            yield line.decode("utf-8", "replace")
