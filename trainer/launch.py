"""Starts the ranks of one pod and ends with one exit code for all of them. Imports no torch.

torchrun does the same but ends with 1 whatever its workers' codes, so that a stopped training would count as failed.
Under torchrun (RANK is set) a process is a rank and starts none.
"""

import math
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import IO, Any

from trainer.contract import steps
from trainer.contract.steps import DRIFT, PIPELINE, TRIAL, Exit
from trainer.durability.interruption import put_back
from trainer.outcomes import BadInput

DIVIDED = frozenset(step.name for step in (*PIPELINE, TRIAL, DRIFT) if step.needs_gpu)  # steps that ranks may share
RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE = "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"
LIFELINE = "TENON_LIFELINE"  # number of a pipe that closes when the launcher dies

_FORWARDED = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
_SECONDS_FOR_THE_OTHERS = 30.0  # to notice that a rank has gone; NCCL may wait for it for ever
_MOST_REPLAYED = 20_000  # characters of what a rank said


@dataclass(frozen=True)
class Pod:
    """Which ranks this pod has. address, port: where rank 0 waits for the others."""

    nodes: int = 1
    node_rank: int = 0
    ranks: int = 1
    address: str = "127.0.0.1"
    port: int = 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Pod":
        """Raises BadInput when a number is none."""
        nodes, ranks = _number(environment, steps.NODES, least=1), _number(environment, steps.RANKS_PER_NODE, least=1)
        if nodes == 1:
            return cls(ranks=ranks, port=_free_port())
        address, node_rank = environment.get(steps.MASTER_ADDRESS), _number(environment, steps.NODE_RANK, least=0)
        if not address or node_rank >= nodes:
            raise BadInput(
                f"{steps.MASTER_ADDRESS} and {steps.NODE_RANK}: {address!r} and {node_rank} do not fit {nodes} nodes;"
                " set the address of pod 0, and count the pods from 0"
            )
        return cls(nodes, node_rank, ranks, address, _number(environment, steps.MASTER_PORT, least=1))

    def environment_of(self, local_rank: int) -> dict[str, str]:
        """What one rank is told, in torchrun's names."""
        told = {
            RANK: str(self.node_rank * self.ranks + local_rank),
            WORLD_SIZE: str(self.nodes * self.ranks),
            LOCAL_RANK: str(local_rank),
            LOCAL_WORLD_SIZE: str(self.ranks),
            "MASTER_ADDR": self.address,
            "MASTER_PORT": str(self.port),
        }
        return told if self.nodes > 1 else {**told, "GLOO_SOCKET_IFNAME": "lo"}


def is_needed(step: str, environment: Mapping[str, str]) -> bool:
    """Whether the step is to be divided and this process is not a rank of it yet. Raises BadInput."""
    if step not in DIVIDED or RANK in environment:
        return False
    return max(_number(environment, name, least=1) for name in (steps.NODES, steps.RANKS_PER_NODE)) > 1


def launch(step: str, environment: Mapping[str, str], *, program: Sequence[str] = ("-m", "trainer")) -> int:
    """Run the ranks of this pod; their common exit code. What the deciding rank said is the last on stderr.

    program: what each rank's Python runs.
    """
    pod = Pod.from_environment(environment)
    threads = {"OMP_NUM_THREADS": str(max((os.cpu_count() or 1) // pod.ranks, 1))}
    command = [sys.executable, *program, step]
    with ExitStack() as stack:
        lifeline, held = os.pipe()
        stack.callback(os.close, held)
        said: list[IO[Any] | None] = [None]  # the first rank's goes where ours goes
        said += [stack.enter_context(tempfile.TemporaryFile()) for _ in range(1, pod.ranks)]
        ranks: list[subprocess.Popen[bytes]] = []
        received = stack.enter_context(_forwarded_to(ranks))
        stack.callback(_forward, ranks, signal.SIGKILL)
        for number in range(pod.ranks):
            told = {**threads, **environment, **pod.environment_of(number), LIFELINE: str(lifeline)}
            ranks.append(subprocess.Popen(command, env=told, stderr=said[number], pass_fds=(lifeline,)))  # noqa: S603
        os.close(lifeline)
        for number in received:
            _forward(ranks, number)  # to those too that were not there yet
        codes = _ended(ranks)
        code = together(codes)
        _explain(code, codes, said)
    return code


def together(codes: Sequence[int]) -> Exit:
    """One exit code for all ranks'; a negative one is the signal that killed a rank.

    A rank killed by SIGKILL (a machine out of memory, say) is a failure: it is retried from the last checkpoint, but
    not without end, as 75 and 143 would be.
    """
    meant = [Exit.KILLED if -code in _FORWARDED else code for code in codes]
    if all(code == Exit.DONE for code in meant):
        return Exit.DONE
    if Exit.BAD_INPUT in meant:
        return Exit.BAD_INPUT
    if all(code in {Exit.DONE, Exit.STOPPED} for code in meant):
        return Exit.STOPPED
    return Exit.KILLED if Exit.KILLED in meant else Exit.FAILED


def die_with_launcher(environment: Mapping[str, str]) -> None:
    """In a rank: end at once when the launcher has been killed; a new one would start a second rank beside this."""
    if LIFELINE not in environment:
        return
    end = int(environment[LIFELINE])

    def wait() -> None:
        os.read(end, 1)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def _ended(ranks: Sequence[subprocess.Popen[bytes]]) -> list[int]:
    """Exit codes in the ranks' order. Once one has failed, the others have half a minute to notice."""
    ended: queue.SimpleQueue[int] = queue.SimpleQueue()

    def wait(number: int) -> None:
        ranks[number].wait()
        ended.put(number)

    for number in range(len(ranks)):
        threading.Thread(target=wait, args=(number,), daemon=True).start()
    left, until = set(range(len(ranks))), math.inf
    while left:
        try:
            number = ended.get(timeout=None if math.isinf(until) else max(until - time.monotonic(), 0))
        except queue.Empty:
            until = math.inf
            _forward([ranks[number] for number in left], signal.SIGKILL)
            continue
        left.remove(number)
        if ranks[number].returncode != 0 and math.isinf(until):
            until = time.monotonic() + _SECONDS_FOR_THE_OTHERS
    return [rank.returncode for rank in ranks]


@contextmanager
def _forwarded_to(ranks: Sequence[subprocess.Popen[bytes]]) -> Iterator[list[signal.Signals]]:
    """While it lasts, the signals go on to the ranks; those received."""
    received: list[signal.Signals] = []

    def forward(number: int, frame: FrameType | None) -> None:
        del frame
        received.append(signal.Signals(number))
        _forward(ranks, signal.Signals(number))

    before = {number: signal.signal(number, forward) for number in _FORWARDED}
    try:
        yield received
    finally:
        put_back(before, asked=bool(received))


def _forward(ranks: Sequence[subprocess.Popen[bytes]], number: signal.Signals) -> None:
    for rank in ranks:
        rank.send_signal(number)  # nothing happens to one that has ended


def _explain(code: Exit, codes: Sequence[int], said: Sequence[IO[Any] | None]) -> None:
    """Repeat what a rank said whose stderr nobody has seen, when its end decided the code."""
    if codes[0] == code:
        return
    deciding = next((number for number, found in enumerate(codes) if found == code), None)
    if deciding is None:
        deciding = next(number for number, found in enumerate(codes) if found < 0)
        text = f"rank {deciding}: was killed by signal {-codes[deciding]}; the step may be started again\n"
    else:
        file = said[deciding]
        text = "" if file is None else _end_of(file)
    sys.stderr.write(text)
    sys.stderr.flush()


def _end_of(file: IO[Any]) -> str:
    file.seek(0)
    return str(file.read().decode(errors="replace"))[-_MOST_REPLAYED:]


def _number(environment: Mapping[str, str], name: str, *, least: int) -> int:
    text = environment.get(name) or str(least)
    if not (text.isascii() and text.isdigit() and int(text) >= least):
        raise BadInput(f"{name}: {text!r} is no whole number of at least {least}; set one")
    return int(text)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
