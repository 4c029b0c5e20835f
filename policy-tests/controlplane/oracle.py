"""Cilium's own policy engine as a process that answers policy worlds and flows (policy-tests/oracle).

Lines and answers are those of policy-tests/cases/README.md; the process keeps the last world between questions.
"""

import json
import subprocess
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from threading import Thread
from types import TracebackType
from typing import IO, Any, Self

from controlplane.binaries import built

Line = Mapping[str, Any]
STOP_SECONDS = 10


class OracleError(Exception):
    """The process ended before it had answered, or takes no such question; the text is what it said last."""


@dataclass(frozen=True)
class Matrix:
    """One side of many flows: `cells` holds a byte per subject, peer and port, in this order, an index into `values`.

    A value is `allow`, `deny`, `error` (no policy can be computed; `error` tells why) or `redirect ` with what the
    proxies get: parser, HTTP rules, server names.
    """

    values: tuple[str, ...]
    cells: bytes
    error: str = ""

    def verdicts(self) -> list[str]:
        """The cells, written out."""
        return [self.values[cell] for cell in self.cells]


class Oracle:
    """One process, alive within the `with` block. Raises MissingToolError where it cannot be built."""

    def __init__(self, program: Path | None = None) -> None:
        self._program = program or built("oracle")

    def __enter__(self) -> Self:
        self._said = TemporaryFile()  # a pipe that nobody reads could fill
        self._process = subprocess.Popen(
            [self._program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """The process ends with its input; one that does not is killed."""
        with suppress(BrokenPipeError):
            _pipe(self._process.stdin).close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _pipe(self._process.stdout).close()
        self._said.close()

    def ask(self, lines: Iterable[Line]) -> list[dict[str, Any]]:
        """One answer per line, in order. Raises OracleError."""
        return [json.loads(answer) for answer in self.ask_text([json.dumps(line) for line in lines])]

    def ask_text(self, lines: list[str]) -> list[str]:
        """The same for lines that are written already. A thread writes: both pipes may fill. Raises OracleError."""
        writer = Thread(target=self._write, args=(lines,))
        writer.start()
        output = _pipe(self._process.stdout)
        answers = [answer.decode() for _, answer in zip(lines, output, strict=False)]
        writer.join()
        if len(answers) < len(lines):
            self._process.wait(STOP_SECONDS)
            self._said.seek(0)
            said = self._said.read().decode(errors="replace").strip()
            raise OracleError(f"answered {len(answers)} of {len(lines)} lines and ended: {said or 'without a word'}")
        return answers

    def matrix(
        self, subjects: Sequence[str], peers: Sequence[str], ports: Sequence[tuple[int, str]], *, direction: str
    ) -> Matrix:
        """Each subject's own side, of the current world, about each peer and port (number, protocol). Peers are names
        of the world. Raises OracleError for a question that the engine does not take."""
        asked = {"subjects": [*subjects], "direction": direction, "peers": [*peers], "ports": [*ports]}
        answer = self._about_world({"type": "matrix", **asked})
        return Matrix(tuple(answer["values"]), b64decode(answer["cells"]), answer.get("error", ""))

    def replace(self, policies: Sequence[Line] = (), *, removed: Sequence[Line] = ()) -> list[dict[str, Any]]:
        """Puts policies over those of the same kind, namespace and name in the current world, and removes others
        (`kind`, `namespace`, `name`); the reports of the policies. One that is rejected enforces nothing. Raises
        OracleError."""
        answer = self._about_world({"type": "replace", "policies": [*policies], "removed": [*removed]})
        reports: list[dict[str, Any]] = answer["policies"]
        return reports

    def _about_world(self, line: Line) -> dict[str, Any]:
        (answer,) = self.ask([line])
        if answer.get("type") != line["type"]:
            raise OracleError(f"{line['type']}: {answer['error']}")
        return answer

    def _write(self, lines: list[str]) -> None:
        with suppress(BrokenPipeError):  # the reader tells of the missing answers
            pipe = _pipe(self._process.stdin)
            pipe.writelines(line.encode() + b"\n" for line in lines)
            pipe.flush()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("the process was started without this pipe")
    return pipe
