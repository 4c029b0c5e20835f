"""One contract for workflows wherever they run: this machine, a stand-in for Kubernetes, the real API server."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.kubeconfig import Access
from app.tests.backends import Backend, ClusterBackend, LocalBackend, StubAdmin
from app.tests.stub_apiserver import Cluster, serving
from app.workflows.workflow import AlreadyExists, Phase, WorkflowsUnavailable

if TYPE_CHECKING:
    from app.tests.cluster import RealCluster

NAME = "ft-job-a1"
REAL = pytest.param("kube-apiserver", marks=pytest.mark.apiserver)


@pytest.fixture(params=["local", "stub", REAL])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with ExitStack() as stack:
        made: Backend
        if request.param == "local":
            made = LocalBackend(tmp_path)
        elif request.param == "stub":
            cluster = Cluster()
            access = Access(stack.enter_context(serving(cluster)), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
            made = ClusterBackend(access, access, StubAdmin(cluster))
            stack.callback(made.close)
        else:
            real: RealCluster = request.getfixturevalue("real_cluster")
            real.clear()
            made = ClusterBackend(real.access("dispatcher"), real.access("watcher"), real.admin)
            stack.callback(made.close)
        yield made


def phases(backend: Backend) -> dict[str, Phase]:
    return {status.name: status.phase for status in backend.workflows.list()}


def reaches(backend: Backend, phase: Phase, name: str = NAME) -> bool:
    return backend.wait(lambda: phases(backend).get(name) is phase)


@pytest.mark.requirement("A12")
def test_a_name_is_taken_once_by_however_many(backend: Backend) -> None:
    outcomes: list[str] = []

    def make() -> None:
        try:
            backend.create(NAME)
            outcomes.append("made")
        except AlreadyExists:
            outcomes.append("was there")

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made", *["was there"] * 7]
    assert backend.wait(lambda: phases(backend) == {NAME: Phase.PENDING})


def test_what_was_never_made_is_not_there(backend: Backend) -> None:
    assert backend.workflows.get("ft-other-a1") is None
    assert list(backend.workflows.list()) == []
    backend.workflows.stop("ft-other-a1")
    assert not backend.workflows.admits("ft-other-a1", "token")


def test_a_workflow_is_known_as_soon_as_it_is_made(backend: Backend) -> None:
    for number in range(3):
        backend.create(f"ft-job{number}-a1", ("acme", "globex")[number % 2])
        found = backend.workflows.get(f"ft-job{number}-a1")
        assert found is not None
        assert (found.phase, found.step, found.message) == (Phase.PENDING, None, None)
    assert backend.wait(lambda: len(phases(backend)) == 3)


def test_its_parameters_are_what_was_asked_for(backend: Backend) -> None:
    backend.create(NAME, slot=3)
    found = backend.parameters(NAME)
    assert sorted(found) == ["attempt", "job", "slot", "traceparent"]
    assert (found["attempt"], found["slot"]) == ("1", "3")


def test_a_running_workflow_tells_its_step(backend: Backend) -> None:
    backend.create(NAME)
    backend.runs(NAME)
    assert reaches(backend, Phase.RUNNING)
    found = backend.workflows.get(NAME)
    assert found is not None
    assert (found.step, found.started_at) == ("prepare", datetime(2026, 1, 1, tzinfo=UTC))


def test_a_failed_workflow_tells_what_was_said_last(backend: Backend) -> None:
    backend.create(NAME)
    backend.ends(NAME, exit_code=2, said="rows.jsonl:3: no JSON")
    assert reaches(backend, Phase.FAILED)
    found = backend.workflows.get(NAME)
    assert found is not None
    assert (found.exit_code, found.message) == (2, "rows.jsonl:3: no JSON")
    assert found.finished_at is not None


def test_a_workflow_that_is_done_has_nothing_to_say(backend: Backend) -> None:
    backend.create(NAME)
    backend.ends(NAME, exit_code=0)
    assert reaches(backend, Phase.SUCCEEDED)
    found = backend.workflows.get(NAME)
    assert found is not None
    assert found.message is None


def test_a_stop_is_asked_for_as_often_as_one_likes(backend: Backend) -> None:
    backend.create(NAME)
    assert not backend.is_stopping(NAME)
    backend.workflows.stop(NAME)
    backend.workflows.stop(NAME)
    assert backend.is_stopping(NAME)


def test_a_workflow_that_somebody_deletes_is_seen_to_be_gone(backend: Backend) -> None:
    backend.create(NAME)
    assert reaches(backend, Phase.PENDING)
    backend.remove(NAME)
    assert backend.wait(lambda: backend.workflows.get(NAME) is None)


@pytest.mark.requirement("A16")
def test_a_token_speaks_for_the_steps_of_one_workflow(backend: Backend) -> None:
    others = {"ft-job-a2": "acme", "ft-job-a11": "acme", "ft-foreign-a1": "globex"}
    for name, tenant in {NAME: "acme", **others}.items():
        backend.create(name, tenant)
    token = backend.token(NAME)
    assert backend.workflows.admits(NAME, token)
    assert not backend.workflows.admits(NAME, f"{token}x")
    assert not [name for name in others if backend.workflows.admits(name, token)]
    assert not backend.workflows.admits(NAME, backend.token("ft-foreign-a1"))


@pytest.mark.parametrize(
    "ask",
    [
        lambda backend: backend.create("ft-job-a2"),
        lambda backend: backend.workflows.get("ft-other-a1"),
        lambda backend: backend.workflows.stop(NAME),
        lambda backend: backend.workflows.admits(NAME, "a token that nobody has seen"),
    ],
    ids=["create", "get", "stop", "admits"],
)
def test_a_place_that_does_not_answer_is_an_outage(backend: Backend, ask: Callable[[Backend], object]) -> None:
    backend.create(NAME)
    if isinstance(backend, ClusterBackend):
        backend.owners["ft-other-a1"] = "acme"
    backend.fail()
    with pytest.raises(WorkflowsUnavailable):
        ask(backend)
