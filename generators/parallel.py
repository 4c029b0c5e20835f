"""One function over many items, in as many processes as the machine has cores; results in the order of the items.

The construct tree of an item lives in a Node process of its worker, so items do not share one.
"""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

WORTH_IT = 60  # items; fewer are done before a second interpreter and its Node have started (about 1.5 s)
MOST_PROCESSES = 8  # each has about 250 MB with its Node
_AT_ONCE = 8  # items handed over together


def each(work: Callable[[Item], Result], items: Sequence[Item], *, processes: int | None = None) -> Iterator[Result]:
    """`work` of every item; `work` has to be a function of a module, or a partial of one, when processes are many.

    Raises what `work` raises, and BrokenProcessPool when a process was killed.
    """
    wanted = _processes(len(items)) if processes is None else processes
    if wanted == 1:
        yield from map(work, items)
        return
    spawn = get_context("spawn")  # a fork would share the pipe to one Node
    with ProcessPoolExecutor(wanted, mp_context=spawn, initializer=_leave_interrupts_to_the_parent) as pool:
        yield from pool.map(work, items, chunksize=_AT_ONCE)


def _processes(items: int) -> int:
    cores = os.cpu_count() or 1
    return 1 if items < WORTH_IT else min(cores, MOST_PROCESSES)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
