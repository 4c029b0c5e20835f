"""The services as real processes, killed and started again."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import pytest

from app.__main__ import main
from app.contract.directory import Limits
from app.tests.cast import KEYS, tenant_entry
from app.tests.local import JobPath, envelope, publish
from app.tests.serving import REQUEST
from app.workflows.workflow import Phase

JOBS = 50

CONTROLLER = """
import pathlib, sys
from app.process import repeat, stop_signal
from app.tests.local import JobPath
path = JobPath(pathlib.Path(sys.argv[1]), script=sys.argv[2])
stop, controller = stop_signal(), path.controller()
repeat(controller.round, until=stop, pause_seconds=0.02)
controller.shut_down()
"""

# A step that is alone or fails, waits to be let go, and notes each time it ran to its end.
ALONE = """
import os, pathlib, time
os.mkdir('alone')
try:
    while not pathlib.Path('go').exists(): time.sleep(0.01)
    with open('ran', 'a') as ran: ran.write(os.environ['TENON_ATTEMPT'])
finally:
    os.rmdir('alone')
"""


class Services:
    """Processes of one home, all ended with the test."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port, self.status_port = free_port(), free_port()
        self.started: list[subprocess.Popen[bytes]] = []

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "TENON_STORE_URL": f"sqlite:///{self.home}/store.db",
            "TENON_DIRECTORY_URL": (self.home / "directory").as_uri(),
            "TENON_HOME": str(self.home),
            "TENON_S3_URL": "http://127.0.0.1:1",
            "TENON_PORT": str(self.port),
            "TENON_STATUS_PORT": str(self.status_port),
            "TENON_LOCAL_SLOTS": str(JOBS),
        }

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        log = (self.home / "services.log").open("ab")
        made = subprocess.Popen([sys.executable, *command], env=self.environment(), stdout=log, stderr=log)
        log.close()
        self.started.append(made)
        return made

    def controller(self, script: str) -> subprocess.Popen[bytes]:
        return self.start("-c", CONTROLLER, str(self.home), script)

    def submit(self, keys: list[str]) -> list[httpx.Response]:
        """One request per key, eight at a time."""
        caller = {"Authorization": f"Bearer {KEYS['acme']}"}
        base = f"http://127.0.0.1:{self.port}"
        with httpx.Client(base_url=base, headers=caller, timeout=20) as client, ThreadPoolExecutor(8) as pool:
            send = partial(client.post, "/api/finetune", json=REQUEST)
            return list(pool.map(lambda key: send(headers={"Idempotency-Key": key}), keys))

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], bool], *, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    made = Services(tmp_path / "home")
    yield made
    made.end()


@pytest.fixture
def path(services: Services) -> Iterator[JobPath]:
    limits = Limits(requests_per_second=1000, running_jobs=JOBS)
    made = JobPath(services.home, slots=JOBS, tenants=(tenant_entry("acme", limits=limits), tenant_entry("globex")))
    yield made
    made.engine.dispose()


@pytest.mark.requirement("A6", "A9", "A13")
def test_jobs_acknowledged_while_the_dispatcher_is_down_each_become_one_workflow(
    services: Services, path: JobPath
) -> None:
    ingest = services.start("-m", "app", "ingest")
    wait_until(lambda: listens(services.port))
    answers = services.submit([str(number % JOBS) for number in range(JOBS + 10)])
    kill(ingest)  # right after its last 202
    assert {answer.status_code for answer in answers} == {202}
    jobs = {answer.json()["jobId"] for answer in answers}
    first = services.start("-m", "app", "dispatcher")
    wait_until(lambda: len(path.workflows.list()) > 0)
    kill(first)
    services.start("-m", "app", "dispatcher")
    wait_until(lambda: len(path.attempts.unfinished()) == JOBS)
    assert {status.name for status in path.workflows.list()} == {f"ft-{job}-a1" for job in jobs}
    assert len(jobs) == JOBS


@pytest.mark.requirement("A12")
def test_a_controller_that_is_killed_is_followed_without_a_second_process(services: Services, path: JobPath) -> None:
    publish(path.engine, envelope("job"))
    path.dispatcher().round()
    work = path.attempt_folder("job") / "work"
    first = services.controller(ALONE)
    wait_until((work / "alone").exists)
    kill(first)
    wait_until(lambda: not holds(path.attempt_folder("job") / "lock"))  # Linux ends the step with its controller
    (work / "alone").rmdir()  # what a killed step leaves behind
    services.controller(ALONE)
    wait_until((work / "alone").exists)
    (work / "go").touch()
    wait_until(lambda: path.workflows.list()[0].phase.is_final)
    assert path.workflows.list()[0].phase is Phase.SUCCEEDED
    assert (work / "ran").read_text() == "11"  # each of the two steps once


def holds(lock: Path) -> bool:
    """Whether a process has the file open."""
    links = Path("/proc").glob("[0-9]*/fd/*")
    return any(target(link) == str(lock) for link in links)


def target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def test_every_process_stops_cleanly_when_it_is_told_to(services: Services, path: JobPath) -> None:
    started = [services.start("-m", "app", name) for name in ("ingest", "dispatcher", "watcher", "workflows")]
    log = path.home / "services.log"
    wait_until(lambda: listens(services.port) and listens(services.status_port) and log.read_text().count("ready") == 3)
    for process in started:
        process.terminate()
    assert [process.wait(20) for process in started] == [0, 0, 0, 0]
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    "case",
    [
        ("dispatcher", {"TENON_STORE_URL": None}, 2, "TENON_STORE_URL: not set"),
        ("dispatcher", {"TENON_STORE_URL": "sqlite:////missing/store.db"}, 3, "make the folder"),
        ("dispatcher", {"TENON_BROKER_URL": "amqp://host"}, 2, "give sql or kafka"),
        ("dispatcher", {"TENON_WORKFLOWS": "kubernetes", "KUBECONFIG": None}, 2, "name a kubeconfig file"),
        ("dispatcher", {"TENON_DIRECTORY_URL": "file:///missing"}, 2, "tenon render"),
        ("ingest", {"TENON_BROKER_URL": "amqp://host"}, 2, "give sql or kafka"),
        ("workflows", {"TENON_HOME": None}, 2, "TENON_HOME: not set"),
        ("watcher", {"TENON_STATUS_PORT": "many"}, 2, "no whole number"),
        ("watcher", {"TENON_STATUS_PORT": "{taken}"}, 2, "name another"),
        ("ingest", {"TENON_PORT": "{taken}"}, 2, "name another"),
    ],
)
@pytest.mark.usefixtures("path", "own_signals")
def test_bad_surroundings_end_a_process_with_one_line(
    services: Services,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[str, Mapping[str, str | None], int, str],
) -> None:
    process, changed, code, told = case
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for name, text in {**services.environment(), **changed}.items():
            monkeypatch.setenv(name, (text or "").format(taken=taken.getsockname()[1]))
            if text is None:
                monkeypatch.delenv(name, raising=False)
        assert main([process]) == code
    assert told in capfd.readouterr().err.splitlines()[-1]


@pytest.fixture
def own_signals() -> Iterator[None]:
    """A service run in this process leaves no handler behind."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)
