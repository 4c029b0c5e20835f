"""Workflows on Kubernetes: what is asked of the server, what its words mean, and what a refusal leads to."""

import base64
import gzip
import json
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from app.contract.directory import TenantEntry
from app.contract.job import JobState
from app.jobs.causes import Cause, failure
from app.kubeconfig import Access
from app.tests.backends import SECONDS, TENANTS, ClusterBackend, StubAdmin, asked
from app.tests.local import JobPath, envelope
from app.tests.stub_apiserver import Cluster, serving
from app.workflows.argo import admission, status_of
from app.workflows.kubernetes import REVIEWED_SECONDS
from app.workflows.manifest import request_hash, workflow, workflows_path, workloads_path
from app.workflows.workflow import Phase, WorkflowRefusedError, WorkflowsUnavailable
from trainer.contract.job import TrainingJob
from trainer.contract.search import Search

NAME = "ft-job-a1"
PATH = workflows_path("acme-train")


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def backend(cluster: Cluster) -> Iterator[ClusterBackend]:
    with serving(cluster) as url:
        access = Access(url, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        made = ClusterBackend(access, access, StubAdmin(cluster))
        yield made
        made.close()


def test_a_workflow_is_a_reference_and_arguments_and_nothing_else() -> None:
    body = workflow(NAME, tenant=TENANTS["acme"], parameters=asked("job"))
    assert body["spec"].keys() == {"workflowTemplateRef", "arguments"}
    assert body["spec"]["workflowTemplateRef"] == {"name": "finetune-0123abcd"}
    assert body["metadata"]["labels"]["tenon.dev/tenant"] == "acme"


def searching(recipe: str) -> dict[str, str]:
    job = TrainingJob(job="job", tenant="acme", base="b", data="d", recipe=recipe, search=Search())
    return {**asked("job"), "job": job.to_parameter()}


def test_a_search_runs_its_own_template() -> None:
    tenant = TENANTS["acme"].model_copy(update={"search_templates": {"smollm2-135m-cpu": "search-0123abcd"}})
    body = workflow(NAME, tenant=tenant, parameters=searching("smollm2-135m-cpu"))
    assert body["spec"]["workflowTemplateRef"]["name"] == "search-0123abcd"


@pytest.mark.parametrize(("parameters", "has"), [(asked("job"), "it has another"), (searching("x"), "it has none")])
def test_a_recipe_without_template_is_refused_with_those_there_are(parameters: dict[str, str], has: str) -> None:
    tenant = TENANTS["acme"].model_copy(update={"workflow_templates": {"another": "finetune-0123abcd"}})
    with pytest.raises(WorkflowRefusedError, match=has) as refused:
        workflow(NAME, tenant=tenant, parameters=parameters)
    assert (refused.value.code, refused.value.is_final) == ("template_missing", True)


def test_the_trace_is_no_part_of_what_an_attempt_is() -> None:
    assert request_hash(asked("job")) == request_hash({**asked("job"), "traceparent": "00-another"})
    assert request_hash(asked("job")) != request_hash({**asked("job"), "attempt": "2"})


@pytest.mark.requirement("A12")
def test_a_name_that_another_request_has_taken_is_an_end_and_no_loop(backend: ClusterBackend) -> None:
    backend.create(NAME)
    other = {**asked("job"), "job": asked("other")["job"]}
    with pytest.raises(WorkflowRefusedError, match="taken by another request") as refused:
        backend.making.create(NAME, tenant=TENANTS["acme"], parameters=other)
    assert (refused.value.code, refused.value.is_final) == ("workflow_collision", True)


@pytest.mark.parametrize(("status", "final"), [(403, False), (404, False), (422, True), (400, True)])
def test_a_refusal_may_pass_while_a_tenant_is_being_made(
    backend: ClusterBackend,
    cluster: Cluster,
    status: int,
    final: bool,  # noqa: FBT001
) -> None:
    cluster.refuse = [(status, {})]
    with pytest.raises(WorkflowRefusedError) as refused:
        backend.create(NAME)
    assert refused.value.is_final is final


def test_looking_again_and_again_costs_no_request(backend: ClusterBackend, cluster: Cluster) -> None:
    for number in range(20):
        backend.create(f"ft-job{number}-a1", ("acme", "globex")[number % 2])
    assert backend.wait(lambda: len(backend.workflows.list()) == 20)
    assert backend.watched.wait(lambda: cluster.streams == 4, seconds=SECONDS)
    before = len(cluster.requests)
    for _ in range(50):
        assert [backend.workflows.get(f"ft-job{number}-a1") for number in range(20)].count(None) == 0
    assert len(cluster.requests) == before


def test_a_tenant_that_comes_is_followed_and_one_that_goes_is_not(backend: ClusterBackend) -> None:
    backend.create(NAME)
    backend.create("ft-other-a1", "globex")
    removed = backend.directory.entries.pop("globex")
    assert backend.wait(lambda: [status.name for status in backend.workflows.list()] == [NAME])
    backend.directory.entries["globex"] = removed
    assert backend.wait(lambda: len(backend.workflows.list()) == 2)


def test_a_token_that_was_reviewed_is_believed_for_a_minute(backend: ClusterBackend, cluster: Cluster) -> None:
    now = [0.0]
    backend.workflows._clock = lambda: now[0]
    backend.create(NAME)
    token = backend.token(NAME)
    assert backend.workflows.admits(NAME, token)
    cluster.tokens.clear()  # it expires
    now[0] = REVIEWED_SECONDS - 1
    assert backend.workflows.admits(NAME, token)
    now[0] = REVIEWED_SECONDS + 1
    assert not backend.workflows.admits(NAME, token)


@pytest.mark.requirement("A16")
@pytest.mark.parametrize(
    ("namespace", "account", "pod", "admitted"),
    [
        ("acme-train", "step", f"{NAME}-prepare-1", True),
        ("acme-train", "trainer", f"{NAME}-train-rank-0-0-x", True),
        ("acme-train", "trainer-3", f"{NAME}-train-rank-0-0-x", True),
        ("globex-train", "step", f"{NAME}-prepare-1", False),  # a pod of that name in a namespace of one's own
        ("acme-serve", "step", f"{NAME}-prepare-1", False),
        ("acme-train", "executor", f"{NAME}-prepare-1", False),
        ("acme-train", "step", "ft-job-a11-prepare-1", False),
        ("acme-train", "step", "", False),
    ],
)
def test_only_pods_of_the_workflow_speak_for_it(
    backend: ClusterBackend,
    namespace: str,
    account: str,
    pod: str,
    admitted: bool,  # noqa: FBT001
) -> None:
    backend.create(NAME)
    token = backend.admin.token(namespace, account, pod=pod)
    assert backend.workflows.admits(NAME, token) is admitted


def test_kueue_tells_when_it_let_the_ranks_run(backend: ClusterBackend, cluster: Cluster) -> None:
    backend.create(NAME)
    path = workloads_path("acme-train")
    for step, minute in (("evaluate", 7), ("train", 3)):
        owner = {"kind": "JobSet", "name": f"{NAME}-{step}"}
        at = {"type": "Admitted", "status": "True", "lastTransitionTime": f"2026-01-01T00:0{minute}:00Z"}
        body = {"metadata": {"name": f"w-{step}", "ownerReferences": [owner]}, "status": {"conditions": [at]}}
        cluster.put(path, body)

    def admitted() -> bool:
        found = backend.workflows.get(NAME)
        return found is not None and found.admitted_at is not None and found.admitted_at.minute == 3

    assert backend.wait(admitted)


@pytest.mark.parametrize(
    "body",
    [
        {"metadata": {"name": "w"}},
        {"metadata": {"name": "w", "ownerReferences": [{"name": "of-somebody"}]}},
        {"metadata": {"name": "w", "ownerReferences": [{"name": f"{NAME}-train"}]}, "status": {"conditions": []}},
    ],
)
def test_a_workload_that_tells_nothing_is_left_out(body: dict[str, Any]) -> None:
    assert admission(body) is None


def argo(phase: str, *nodes: dict[str, Any], message: str = "", **more: Any) -> dict[str, Any]:
    status: dict[str, Any] = {"phase": phase, "message": message, **more}
    if nodes:
        status["nodes"] = {str(number): node for number, node in enumerate(nodes)}
    return {"metadata": {"name": NAME}, "status": status}


def node(step: str, phase: str, message: str = "", **more: Any) -> dict[str, Any]:
    order = ["prepare", "train", "evaluate", "publish", "release"].index(step)
    at = {"startedAt": f"2026-01-01T00:0{order}:00Z"}
    return {"templateName": step, "type": "Pod", "phase": phase, "message": message, **at, **more}


DAG = {"templateName": "pipeline", "type": "DAG", "phase": "Running", "startedAt": "2026-01-01T00:00:00Z"}
LOST = "Error (exit code 2): rows.jsonl:3: no JSON"


@pytest.mark.parametrize(
    ("body", "phase", "step", "code", "message"),
    [
        ({"metadata": {"name": NAME}}, Phase.PENDING, None, None, None),
        (argo("Pending"), Phase.PENDING, None, None, None),
        (argo("Running", DAG, node("prepare", "Running")), Phase.RUNNING, "prepare", None, None),
        (
            argo("Running", DAG, node("prepare", "Succeeded"), node("train", "Running")),
            Phase.RUNNING,
            "train",
            None,
            None,
        ),
        (argo("Succeeded", DAG, node("publish", "Succeeded")), Phase.SUCCEEDED, "publish", None, None),
        (argo("Failed", DAG, node("prepare", "Failed", LOST)), Phase.FAILED, "prepare", 2, LOST),
        (
            argo("Failed", node("prepare", "Failed", LOST), node("prepare", "Failed", "child failed", type="Retry")),
            *(Phase.FAILED, "prepare", 2, LOST),
        ),
        (argo("Error", message="template not found"), Phase.FAILED, None, None, "template not found"),
        (
            argo(
                "Failed", node("train", "Failed", "OOMKilled", outputs={"exitCode": "137"}), node("release", "Running")
            ),
            *(Phase.FAILED, "train", 137, "OOMKilled"),
        ),
        (
            argo("Running", DAG, node("prepare", "Pending", "ImagePullBackOff: no such image")),
            *(Phase.RUNNING, "prepare", None, "ImagePullBackOff: no such image"),
        ),
        (argo("Running", startedAt="yesterday"), Phase.RUNNING, None, None, None),
    ],
)
def test_argos_words_become_ours(
    body: dict[str, Any], phase: Phase, step: str | None, code: int | None, message: str | None
) -> None:
    found = status_of(body)
    assert (found.phase, found.step, found.exit_code, found.message) == (phase, step, code, message)


def test_nodes_that_argo_had_to_compress_are_read_too() -> None:
    body = argo("Running", DAG, node("train", "Running"))
    packed = base64.b64encode(gzip.compress(json.dumps(body["status"].pop("nodes")).encode())).decode()
    body["status"]["compressedNodes"] = packed
    assert status_of(body).step == "train"
    body["status"]["compressedNodes"] = "no base64"
    assert status_of(body).step is None


def test_a_workflow_that_was_asked_to_stop_was_stopped() -> None:
    body = {
        **argo("Failed", node("train", "Failed", "workflow shutdown with strategy: Stop")),
        "spec": {"shutdown": "Stop"},
    }
    found = status_of(body)
    assert found.cause is Cause.STOPPED
    told = failure(found.message, exit_code=found.exit_code, cause=found.cause)
    assert told.cause is Cause.STOPPED


def unready(tenant: TenantEntry) -> TenantEntry:
    return tenant.model_copy(update={"workflow_templates": {}})


def test_what_one_attempt_lacks_holds_up_no_other(backend: ClusterBackend, cluster: Cluster, job_path: JobPath) -> None:
    for job, tenant in (("one", "acme"), ("two", "globex"), ("three", "globex")):
        job_path.jobs.insert_or_ignore(envelope(job, tenant), traceparent=None)
    job_path.directory._state.tenants["acme"] = unready(TENANTS["acme"])
    dispatcher = job_path.dispatcher(backend.making)
    dispatcher.at_once = 4
    now = [0.0]
    dispatcher.clock = lambda: now[0]
    cluster.refuse = [(403, {})]  # of one of globex': its rights are not there yet
    dispatcher.round()
    assert len(job_path.attempts.unfinished()) == 1
    found = job_path.jobs.find("one")
    assert found is not None
    assert (found.state, found.error_code) == (JobState.FAILED, "template_missing")
    cluster.requests.clear()
    dispatcher.round()
    assert not [path for method, path in cluster.requests if method == "POST"]  # it is not asked for at every round
    now[0] = 60.0
    dispatcher.round()
    assert sorted(attempt.job.id for attempt in job_path.attempts.unfinished()) == ["three", "two"]


def test_an_outage_is_met_once_and_not_by_every_attempt(backend: ClusterBackend, job_path: JobPath) -> None:
    for number in range(40):
        job_path.jobs.insert_or_ignore(envelope(f"job{number}", ("acme", "globex")[number % 2]), traceparent=None)
        job_path.attempts.begin(f"job{number}", cap=100)
    asked_for: list[str] = []
    made = backend.making.create

    def create(name: str, **more: Any) -> None:
        asked_for.append(name)
        made(name, **more)

    backend.making.create = create  # type: ignore[method-assign]
    backend.fail()
    dispatcher = job_path.dispatcher(backend.making)
    dispatcher.at_once = 4
    with pytest.raises(WorkflowsUnavailable):
        dispatcher.round()
    assert len(asked_for) < 40
    assert len(job_path.attempts.unconfirmed()) == 40
