"""Two dispatchers killed again and again over a real API server: one Workflow for each job, by the rendered rights."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.contract.directory import Limits
from app.contract.job import workflow_name
from app.tests.cast import tenant_entry
from app.tests.local import JobPath, envelope, publish

if TYPE_CHECKING:
    from app.tests.cluster import RealCluster

pytestmark = pytest.mark.apiserver

JOBS, BATCH, SECONDS = 200, 25, 120.0
TENANTS = ("acme", "globex")


class Dispatchers:
    """Two processes over one store and one cluster."""

    def __init__(self, path: JobPath, kubeconfig: Path) -> None:
        self.kills = 0
        self.environment = {
            "PATH": os.environ["PATH"],
            "TENON_STORE_URL": f"sqlite:///{path.home}/store.db",
            "TENON_DIRECTORY_URL": (path.home / "directory").as_uri(),
            "TENON_WORKFLOWS": "kubernetes",
            "KUBECONFIG": str(kubeconfig),
        }
        self.log = (path.home / "dispatchers.log").open("wb")
        self.running = [self._start(), self._start()]

    def kill(self, number: int) -> None:
        """Without a chance to finish anything; another takes its place."""
        self.running[number].send_signal(signal.SIGKILL)
        self.running[number].wait()
        self.kills += 1
        self.running[number] = self._start()

    def close(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()
        self.log.close()

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "app", "dispatcher"]
        return subprocess.Popen(command, env=self.environment, stdout=self.log, stderr=self.log)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[JobPath]:
    limits = Limits(running_jobs=100, queued_jobs=100)
    made = JobPath(tmp_path / "home", tenants=[tenant_entry(tenant, limits=limits) for tenant in TENANTS])
    yield made
    made.engine.dispose()


@pytest.fixture
def dispatchers(path: JobPath, real_cluster: "RealCluster") -> Iterator[Dispatchers]:
    real_cluster.clear()
    made = Dispatchers(path, real_cluster.kubeconfig("dispatcher", path.home))
    yield made
    made.close()


def wait(condition: Callable[[], bool], dispatchers: Dispatchers) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, Path(dispatchers.log.name).read_text()[-2000:]
        time.sleep(0.02)


@pytest.mark.requirement("A12", "A33")
def test_killed_dispatchers_make_one_workflow_of_each_job(
    path: JobPath, dispatchers: Dispatchers, real_cluster: "RealCluster"
) -> None:
    chance = random.Random(7)  # noqa: S311 - the same kills each time

    def there() -> int:
        return sum(len(real_cluster.names(tenant)) for tenant in TENANTS)

    for first in range(0, JOBS, BATCH):
        numbers = range(first, first + BATCH)
        publish(path.engine, *(envelope(f"job{number}", TENANTS[number % 2]) for number in numbers))
        some = first + chance.randrange(BATCH)
        wait(lambda some=some: there() >= some, dispatchers)  # type: ignore[misc]
        for number in chance.sample([0, 1], k=chance.choice([1, 2])):
            dispatchers.kill(number)
    wait(lambda: len(path.attempts.unfinished()) == JOBS, dispatchers)
    for remainder, tenant in enumerate(TENANTS):
        wanted = sorted(workflow_name(f"job{number}", 1) for number in range(remainder, JOBS, 2))
        assert sorted(real_cluster.names(tenant)) == wanted
    assert dispatchers.kills >= JOBS // BATCH
