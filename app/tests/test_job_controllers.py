"""Jobs on real controllers: Argo, Kueue and JobSet run the rendered template on pods that a stand-in kubelet ends.

The dispatcher and the watcher have their own accounts and the rendered rights; the rendered admission is in force.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.apiserver import ApiServer
from app.contract.directory import DIRECTORY_KEY, TenantEntry
from app.contract.job import JobState
from app.tests.local import JobPath, envelope, publish
from app.workflows.kubernetes import KubernetesWorkflows, Watched
from app.workflows.workflow import Phase

if TYPE_CHECKING:
    from controlplane.pods import Ending, Pods

    from app.tests.cluster import RealCluster

pytestmark = pytest.mark.controllers

SECONDS = 240.0
STEPS = ["prepare", "train", "evaluate", "publish"]


@pytest.fixture(scope="module")
def cluster(absent: Callable[[str], None]) -> Iterator["RealCluster"]:
    """The cluster of acme's jobs: everything that is rendered for its training namespace, and what carries it."""
    from controlplane.binaries import MissingToolError
    from controlplane.jobs import job_controllers

    from app.tests.cluster import real_cluster

    try:
        with real_cluster(controllers=job_controllers) as made:
            yield made
    except MissingToolError as error:
        absent(str(error))


@dataclass
class OnCluster:
    """One store, its dispatcher and watcher, and the pods of the cluster."""

    path: JobPath
    making: KubernetesWorkflows
    looking: KubernetesWorkflows
    pods: "Pods"

    def until(self, condition: Callable[[], bool]) -> None:
        """Rounds of dispatcher and watcher until the condition holds."""
        dispatcher, watcher = self.path.dispatcher(self.making), self.path.watching(self.looking)
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, (self.pods.ran, self.pods.faults, self.looking.list())
            dispatcher.round()
            watcher.round()
            time.sleep(0.1)


@pytest.fixture
def on_cluster(cluster: "RealCluster", tmp_path: Path) -> Iterator[Callable[..., OnCluster]]:
    from controlplane.pods import Pods, kubelet

    cluster.clear()
    entry = directory_entry(cluster)
    path = JobPath(tmp_path / "home", tenants=[entry])
    making, looking = ApiServer(cluster.access("dispatcher")), ApiServer(cluster.access("watcher"))
    watched = Watched(looking, path.directory)
    given = {"tenants": path.directory, "tenant_of": path.attempts.tenant_of}
    pods = Pods(cluster.api)

    def made(endings: "dict[str, Ending]") -> OnCluster:
        pods.endings = endings
        workflows = KubernetesWorkflows(looking, watched=watched, **given)  # type: ignore[arg-type]
        return OnCluster(path, KubernetesWorkflows(making, **given), workflows, pods)  # type: ignore[arg-type]

    with kubelet(pods):
        yield made
    watched.close()
    making.close()
    looking.close()
    path.engine.dispose()


def directory_entry(cluster: "RealCluster") -> TenantEntry:
    """Acme as the services find it in the rendered directory."""
    (document,) = (each for each in cluster.rendered if each.name == "directory-acme")
    return TenantEntry.model_validate(json.loads(document.body["data"][DIRECTORY_KEY]))


def submitted(path: JobPath, job: str) -> None:
    publish(path.engine, envelope(job))


@pytest.mark.requirement("A12")
def test_a_job_becomes_one_workflow_whose_steps_run_to_the_end(
    on_cluster: Callable[..., OnCluster], cluster: "RealCluster"
) -> None:
    one = on_cluster({})
    submitted(one.path, "done")
    one.until(lambda: one.path.jobs.find("done") is not None and one.path.state("done").is_final)
    assert one.path.state("done") is JobState.SUCCEEDED, one.path.messages("done")
    assert one.pods.ran == STEPS
    assert cluster.names("acme") == ["ft-done-a1"]
    told = [text for text in one.path.messages("done") if text.startswith("step ")]
    assert told == [f"step {step} of attempt 1" for step in STEPS]
    found = one.looking.get("ft-done-a1")
    assert found is not None
    assert found.phase is Phase.SUCCEEDED
    assert found.admitted_at is not None  # by Kueue
    assert one.pods.faults == []


def test_a_step_that_refuses_its_input_fails_the_job_in_its_words(on_cluster: Callable[..., OnCluster]) -> None:
    from controlplane.pods import Ending

    one = on_cluster({"prepare": Ending(2, "rows.jsonl:3: no JSON")})
    submitted(one.path, "bad")
    one.until(lambda: one.path.jobs.find("bad") is not None and one.path.state("bad").is_final)
    found = one.path.jobs.find("bad")
    assert found is not None
    assert found.state is JobState.FAILED
    assert "rows.jsonl:3: no JSON" in str(found.error)
    assert one.pods.ran == ["prepare"]  # a final code is not tried again


def test_a_cancelled_job_gives_its_ranks_back(on_cluster: Callable[..., OnCluster], cluster: "RealCluster") -> None:
    from controlplane.pods import Ending

    one = on_cluster({"train": Ending(None)})
    submitted(one.path, "stopped")
    one.until(lambda: "train" in one.pods.ran)
    one.path.jobs.cancel("acme", "stopped")
    one.until(lambda: one.path.attempts.live() == {})
    assert one.path.state("stopped") is JobState.CANCELLED
    jobsets = cluster.api.http.get("/apis/jobset.x-k8s.io/v1alpha2/namespaces/acme-train/jobsets").json()
    assert jobsets["items"] == []
