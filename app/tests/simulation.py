"""The job path under a simulated scheduler: the real dispatcher, watcher, store and queue, one effect at a time.

Processes are threads that run in turns. They change places, and die, only between two effects: before a transaction of
the store and before a workflow is made or stopped; between two such places a process changes nothing that outlives it.
So a schedule is a list of choices, and a seed or a list of them tells all there is to know of a run.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import event, update

from app.broker.sql import SqlSubscriber
from app.contract.directory import TenantEntry
from app.contract.internal import JOB_PARAMETER, SLOT_PARAMETER
from app.store.engine import writing
from app.store.tables import messages
from app.tests.local import STEPS, JobPath
from app.workflows.workflow import AlreadyExists, Phase, WorkflowStatus
from trainer.contract.job import TrainingJob


class Killed(BaseException):
    """The process ends here: nothing catches this."""


@dataclass
class SimulatedWorkflows:
    """`Workflows` in memory, which holds every creation against what was promised.

    before: called before each effect, with the process that makes it.
    """

    before: Callable[[], None]
    caps: Mapping[str, int]
    capacity: int = 1000
    found: dict[str, WorkflowStatus] = field(default_factory=dict)
    of: dict[str, tuple[str, str, str | None]] = field(default_factory=dict)  # name -> job, tenant, slot
    stopping: set[str] = field(default_factory=set)

    def create(self, name: str, *, tenant: TenantEntry, parameters: Mapping[str, str]) -> None:
        self.before()
        if name in self.found:
            raise AlreadyExists(name)
        job, slot = TrainingJob.from_parameter(parameters[JOB_PARAMETER]).job, parameters.get(SLOT_PARAMETER)
        live = [self.of[one] for one in self.live()]
        assert job not in [one[0] for one in live], f"{name}: a second live workflow of the job"
        assert slot is None or (tenant.id, slot) not in [one[1:] for one in live], f"{name}: slot {slot} is taken"
        assert Counter(one[1] for one in live)[tenant.id] < self.caps[tenant.id], f"{name}: beyond the tenant's cap"
        self.found[name], self.of[name] = WorkflowStatus(name=name), (job, tenant.id, slot)

    def get(self, name: str) -> WorkflowStatus | None:
        return self.found.get(name)

    def list(self) -> Sequence[WorkflowStatus]:
        return list(self.found.values())

    def stop(self, name: str) -> None:
        self.before()
        if name in self.found:
            self.stopping.add(name)

    def admits(self, name: str, token: str) -> bool:
        return name in self.found and token == name

    def live(self) -> Sequence[str]:
        return [name for name, status in self.found.items() if not status.phase.is_final]

    def go_on(self, name: str, *, fails: bool) -> None:
        """What its controller does next: the following step, or the end."""
        status = self.found[name]
        names = [step.name for step in STEPS]
        if name in self.stopping or fails:
            text = "stopped on request" if name in self.stopping else "rows.jsonl:3: no JSON"
            after = {"phase": Phase.FAILED, "message": text, "exit_code": 2 if fails else 143}
        elif status.phase is Phase.PENDING:
            after = {"phase": Phase.RUNNING, "step": names[0]}
        elif status.step != names[-1]:
            after = {"step": names[names.index(str(status.step)) + 1]}
        else:
            after = {"phase": Phase.SUCCEEDED, "exit_code": 0}
        self.found[name] = status.model_copy(update=after)


class Process:
    """Work that is done again and again, in a thread that waits at every effect until it is let go on."""

    def __init__(self, name: str, make: Callable[[], Callable[[], None]]) -> None:
        self.is_idle = True
        self._make = make  # a new process, with nothing in its memory
        self._work = make()
        self._turn, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._is_doomed = self._has_ended = False
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        _PROCESS_OF[self._thread] = self
        self._thread.start()

    def go_on(self) -> None:
        """To the next effect, or through to the end of the round. Raises what the work raised."""
        self._turn.release()
        self._back.acquire()
        if self._fault is not None:
            raise self._fault

    def finish(self) -> None:
        """The rest of the round, or a whole one."""
        self.go_on()
        while not self.is_idle:
            self.go_on()

    def kill(self) -> None:
        """The effect it waits before is never made, and all it knew is forgotten."""
        if not self.is_idle:
            self._is_doomed = True
            self.go_on()
        self._work = self._make()

    def end(self) -> None:
        """No more of it."""
        self.kill()
        self._has_ended = True
        self._turn.release()
        self._thread.join()
        del _PROCESS_OF[self._thread]

    def wait(self) -> None:
        """Called by the work itself, before an effect."""
        if not self._is_doomed:
            self._back.release()
            self._turn.acquire()
        if self._is_doomed:
            raise Killed

    def _run(self) -> None:
        while self._turn.acquire() and not self._has_ended:
            self.is_idle = False
            try:
                self._work()
            except Killed:
                pass
            except BaseException as fault:  # noqa: BLE001 - raised again in the thread of the test
                self._fault = fault
            self.is_idle, self._is_doomed = True, False
            self._back.release()


_PROCESS_OF: dict[threading.Thread, Process] = {}


def before_an_effect(*_: object) -> None:
    """Wait for the turn of the process whose thread this is; the test's own thread goes on at once."""
    if process := _PROCESS_OF.get(threading.current_thread()):
        process.wait()


@contextmanager
def simulated(path: JobPath) -> Iterator[JobPath]:
    """The path with a store that stops before every transaction. No process outlives a fault of the machine here, so
    nothing waits for the disk.
    """

    def in_a_hurry(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    event.listen(path.engine, "connect", in_a_hurry)
    path.engine.dispose()
    event.listen(path.engine, "checkout", before_an_effect)  # each transaction takes a connection and gives it back
    try:
        yield path
    finally:
        event.remove(path.engine, "checkout", before_an_effect)


@dataclass
class Simulation:
    """One run over a path: its processes and what the world does beside them."""

    path: JobPath
    dispatchers: int = 1

    def __post_init__(self) -> None:
        caps = {tenant.id: tenant.limits.running_jobs for tenant in self.path.tenants}
        self.workflows = SimulatedWorkflows(before_an_effect, caps)
        self.watcher = Process("watcher", lambda: self.path.watching(self.workflows).round)
        self.processes = [
            *(Process(f"dispatcher {number}", self._dispatcher) for number in range(self.dispatchers)),
            self.watcher,
        ]

    def _dispatcher(self) -> Callable[[], None]:
        return self.path.dispatcher(self.workflows).round

    def time_passes(self) -> None:
        """Longer than any lease, back-off or hour of a retry."""
        with writing(self.path.engine) as connection:
            connection.execute(update(messages).values(taken_until=None, due_at=messages.c.published_at))

    def settle(self) -> None:
        """Nobody dies any more, and everything runs to its end. The last thing to do with a simulation."""
        for process in self.processes:
            process.kill()
        for _ in range(100):
            self.time_passes()
            for process in self.processes:
                process.finish()
            for name in self.workflows.live():
                self.workflows.go_on(name, fails=False)
            if not self.workflows.live() and not self.path.attempts.waiting(each=1) and not self.path.attempts.live():
                return self._end()
        raise AssertionError("the path does not come to rest")

    def _end(self) -> None:
        for process in self.processes:
            process.end()


def left(path: JobPath) -> int:
    """How many messages are left in the queue."""
    return len(SqlSubscriber(path.engine).take(limit=1000))


@dataclass
class Chances:
    """A schedule drawn from a seed: whose effect is next, who dies, and what callers do meanwhile."""

    simulation: Simulation
    draw: random.Random
    acts: list[Callable[[], object]]  # of callers, in their order
    kill_rate: float = 0.02

    def play(self, *, effects: int) -> None:
        """Let that many effects happen, then settle."""
        workflows, processes = self.simulation.workflows, self.simulation.processes
        for _ in range(effects):
            lot = self.draw.random()
            if lot < 0.10 and self.acts:
                self.acts.pop(0)()
            elif lot < 0.25 and (live := workflows.live()):
                workflows.go_on(self.draw.choice(live), fails=self.draw.random() < 0.05)
            elif lot < 0.25 + self.kill_rate:
                self.draw.choice(processes).kill()
            elif lot < 0.30:
                self.simulation.time_passes()
            else:
                self.draw.choice(processes).go_on()
        for act in self.acts:
            act()
        self.simulation.settle()


def hard(tenant: TenantEntry, *, slots: int) -> TenantEntry:
    """The tenant with accounts that its jobs have for themselves."""
    return tenant.model_copy(update={"slots": slots})
