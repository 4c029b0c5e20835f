"""Quotas and Pod Security bite, in namespaces that are really there."""

import time
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from controlplane.api import Answer, Api
from controlplane.documents import Document, document
from controlplane.trees import RenderedTree

pytestmark = pytest.mark.apiserver

NAMESPACE = "limits-of-a-tenant"
Body = dict[str, Any]

CONTAINER: Body = {
    "name": "main",
    "image": "registry.invalid/none",
    "resources": {
        "requests": {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "1"},
        "limits": {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "1"},
    },
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}
POD: Body = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [CONTAINER],
}


def of_kind(kind: str, spec: Body | None = None, *, namespace: str = NAMESPACE) -> Document:
    body: Body = {"apiVersion": "v1", "kind": kind, "metadata": {"generateName": "one-", "namespace": namespace}}
    return document(body | ({"spec": spec} if spec else {}))


def service(kind: str) -> Document:
    return of_kind("Service", {"type": kind, "ports": [{"port": 80}], "selector": {"app": "any"}})


CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}

JOB = document(
    {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"generateName": "one-", "namespace": NAMESPACE},
        "spec": {"template": {"spec": POD | {"restartPolicy": "Never"}}},
    }
)

# What a quota counts -> an object that would be one too many.
ONE_MORE = {
    "count/configmaps": of_kind("ConfigMap"),
    "count/jobs.batch": JOB,
    "count/persistentvolumeclaims": of_kind("PersistentVolumeClaim", CLAIM),
    "count/secrets": of_kind("Secret"),
    "count/services": service("ClusterIP"),
    "services.loadbalancers": service("LoadBalancer"),
    "services.nodeports": service("NodePort"),
    "requests.storage": of_kind("PersistentVolumeClaim", CLAIM),
    **{
        f"{side}{resource}": of_kind("Pod", POD)
        for side, resource in (
            ("", "pods"),
            ("requests.", "cpu"),
            ("requests.", "memory"),
            ("requests.", "nvidia.com/gpu"),
            ("limits.", "cpu"),
            ("limits.", "memory"),
        )
    },
}

UNSAFE: dict[str, Body] = {
    "privileged": {"containers": [CONTAINER | {"securityContext": {"privileged": True}}]},
    "as root": {"containers": [CONTAINER | {"securityContext": CONTAINER["securityContext"] | {"runAsUser": 0}}]},
    "in the node's network": {"hostNetwork": True},
    "with the node's processes": {"hostPID": True},
    "with a folder of the node": {"volumes": [{"name": "node", "hostPath": {"path": "/"}}]},
    "without seccomp": {"securityContext": {"runAsNonRoot": True}},
}


@pytest.fixture(scope="module")
def namespace(api: Api, sample: RenderedTree) -> str:
    """A namespace like `acme-serve`, in which objects may really be made."""
    (rendered,) = (each for each in sample.documents if each.body["kind"] == "Namespace" and each.name == "acme-serve")
    body = deepcopy(rendered.body)
    body["metadata"]["name"] = NAMESPACE
    assert all(answer.accepted for answer in api.establish([document(body)]))
    return NAMESPACE


def quotas(tree: RenderedTree) -> dict[str, str]:
    """What the rendered quotas of a tenant's two namespaces hold, as one."""
    found = (each for each in tree.documents if each.body["kind"] == "ResourceQuota" and "/acme/" in each.origin)
    return {key: value for each in found for key, value in each.body["spec"]["hard"].items()}


@pytest.fixture
def full(api: Api, sample: RenderedTree, namespace: str) -> Iterator[None]:
    """The quota with everything used up. The status is written by hand, as the controller-manager would write it."""
    hard = quotas(sample)
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tenant", "namespace": namespace}}
    made = document(body | {"spec": {"hard": hard}})
    assert api.apply(made, dry_run=False).accepted
    path = f"/api/v1/namespaces/{namespace}/resourcequotas/tenant/status"
    api.http.patch(
        path,
        json={"status": {"hard": hard, "used": hard}},
        headers={"Content-Type": "application/merge-patch+json"},
    ).raise_for_status()
    yield
    api.delete(made)


def test_every_quota_has_an_object_that_is_one_too_many(sample: RenderedTree) -> None:
    assert quotas(sample).keys() == ONE_MORE.keys()


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("counted", sorted(ONE_MORE))
def test_one_object_more_than_the_quota_holds_is_refused(api: Api, counted: str) -> None:
    until = time.monotonic() + 10  # admission learns of a quota by a watch, a moment after it was written
    while (answer := api.create(ONE_MORE[counted], dry_run=True)).accepted and time.monotonic() < until:
        pass
    assert answer.status == 403, answer
    assert counted in answer.message.split("exceeded quota: tenant")[1]


@pytest.mark.usefixtures("namespace")
def test_the_same_objects_are_accepted_where_no_quota_is_used_up(api: Api) -> None:
    answers = [api.create(each, dry_run=True) for each in ONE_MORE.values()]
    assert all(answer.accepted for answer in answers), [str(answer) for answer in answers]


@pytest.mark.requirement("A18")
def test_no_tenant_namespace_takes_an_unsafe_pod(api: Api, sample: RenderedTree) -> None:
    accepted = [
        f"{fault} in {namespace}"
        for namespace in tenant_namespaces(sample)
        for fault, change in UNSAFE.items()
        if _tried(api, POD | change, namespace).status != 403
    ]
    assert not accepted


def test_every_tenant_namespace_takes_a_safe_pod_and_gives_it_no_token(api: Api, sample: RenderedTree) -> None:
    for namespace in tenant_namespaces(sample):
        answer = _tried(api, POD, namespace)
        assert answer.accepted, answer
        assert not answer.body["spec"].get("volumes"), f"{namespace}: a token is mounted"


def tenant_namespaces(tree: RenderedTree) -> list[str]:
    return [each.name for each in tree.documents if each.kind[1] == "Namespace" and each.origin.startswith("tenants/")]


def _tried(api: Api, spec: Body, namespace: str) -> Answer:
    return api.create(of_kind("Pod", spec, namespace=namespace), dry_run=True)
