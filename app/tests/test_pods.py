"""What pods told before they were deleted, over a stand-in for the Kubernetes API."""

import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest

from app.apiserver import ApiServer
from app.contract.directory import TenantEntry
from app.jobs.causes import Cause
from app.kubeconfig import Access
from app.tests.cast import tenant_entry
from app.tests.stub_apiserver import Cluster, serving
from app.workflows.pods import JOBSETS, PodCauses

PODS = "/api/v1/namespaces/acme-train/pods"
SETS = f"/{JOBSETS}/namespaces/acme-train/jobsets"
WORKFLOW = "ft-job-a1"


class Acme:
    """A directory of one tenant."""

    def tenant(self, tenant: str) -> TenantEntry | None:
        return tenant_entry() if tenant == "acme" else None

    def tenants(self) -> tuple[TenantEntry, ...]:
        return (tenant_entry(),)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def seen(cluster: Cluster) -> Iterator[PodCauses]:
    with serving(cluster) as url:
        api = ApiServer(Access(url, ssl.create_default_context()))
        made = PodCauses(api, Acme())
        made.refresh()
        yield made
        made.close()
        api.close()


def pod(name: str, code: int, *, reason: str = "Error", message: str = "") -> dict[str, Any]:
    ended = {"exitCode": code, "reason": reason, "message": message}
    return {"metadata": {"name": name}, "status": {"containerStatuses": [{"state": {"terminated": ended}}]}}


def failed_set(message: str) -> dict[str, Any]:
    condition = {"type": "Failed", "status": "True", "reason": "FailedJobs", "message": message}
    return {"metadata": {"name": f"{WORKFLOW}-train"}, "status": {"conditions": [condition]}}


def cause(seen: PodCauses, expected: Cause) -> None:
    deadline = time.monotonic() + 20
    while (found := seen.of(WORKFLOW)) is None or found.cause is not expected:
        assert time.monotonic() < deadline, f"{expected} was not seen"
        time.sleep(0.02)


def test_why_a_pod_failed_is_known_after_it_is_gone(cluster: Cluster, seen: PodCauses) -> None:
    cluster.put(PODS, pod(f"{WORKFLOW}-train-rank-0-0-x", 137, reason="OOMKilled"))
    cause(seen, Cause.OUT_OF_MEMORY)
    cluster.put(SETS, failed_set("jobset failed due to one or more job failures"))
    cluster.delete(PODS, f"{WORKFLOW}-train-rank-0-0-x")
    cluster.put(PODS, pod("ft-other-a1-prepare-1", 2, message="rows.jsonl:1: no JSON"))
    while seen.of("ft-other-a1") is None:
        time.sleep(0.02)
    cause(seen, Cause.OUT_OF_MEMORY)  # that the set failed says less


def test_a_rank_that_stopped_when_it_was_asked_is_no_failure(cluster: Cluster, seen: PodCauses) -> None:
    for code in (75, 143):
        cluster.put(PODS, pod(f"{WORKFLOW}-train-rank-0-0-{code}", code))
    cluster.put(SETS, failed_set("the deadline: DeadlineExceeded"))
    cause(seen, Cause.DEADLINE)


def test_pods_of_no_workflow_of_ours_are_not_remembered(cluster: Cluster, seen: PodCauses) -> None:
    cluster.put(PODS, pod("somebody-else", 1))
    cluster.put(PODS, pod(f"{WORKFLOW}-prepare-1", 1, message="S3 does not answer"))
    cause(seen, Cause.STEP)
    assert seen._seen.keys() == {WORKFLOW}
