"""RBAC as the server itself answers it: every rendered account and group, asked for every right in every tenant."""

import time
from collections.abc import Iterable, Iterator

import pytest
from controlplane.access import (
    NOBODY,
    Ask,
    Deed,
    Subject,
    access_objects,
    account,
    allowed,
    deeds,
    granted,
    rules_of,
    subjects,
)
from controlplane.api import Api
from controlplane.documents import document
from controlplane.trees import RenderedTree, bootstrapped

pytestmark = pytest.mark.apiserver

RBAC = "rbac.authorization.k8s.io"
WRITES = ("create", "update", "patch", "delete")

# No account of ours needs these anywhere: each is a way to run a pod past the queue, to read another's credentials,
# or to take more rights than were given.
FORBIDDEN = (
    *(Deed("create", "", f"pods{part}") for part in ("", "/exec", "/attach", "/portforward", "/proxy", "/eviction")),
    *(Deed(verb, "", "pods/ephemeralcontainers") for verb in ("update", "patch")),
    *(Deed(verb, "", "secrets") for verb in ("get", "list", "watch", *WRITES)),
    Deed("create", "", "serviceaccounts/token"),
    *(Deed("impersonate", "", kind) for kind in ("serviceaccounts", "users", "groups")),
    *(Deed(verb, RBAC, kind) for kind in ("roles", "clusterroles") for verb in ("escalate", "bind", *WRITES)),
    *(Deed(verb, RBAC, kind) for kind in ("rolebindings", "clusterrolebindings") for verb in WRITES),
    *(Deed("create", "apps", kind) for kind in ("deployments", "daemonsets", "statefulsets", "replicasets")),
    *(Deed("create", "batch", kind) for kind in ("jobs", "cronjobs")),
    *(Deed(verb, "networking.k8s.io", "networkpolicies") for verb in WRITES),
    *(Deed(verb, "cilium.io", "ciliumnetworkpolicies") for verb in WRITES),
    *(Deed(verb, "", kind) for kind in ("namespaces", "resourcequotas", "nodes") for verb in WRITES),
    Deed("*", "*", "*"),
)


@pytest.fixture(scope="module")
def standing(api: Api, rendered: RenderedTree) -> RenderedTree:
    """Roles and bindings are really there, and the server's authorizer has seen them."""
    api.install({each.kind for each in rendered.documents})
    api.establish([*bootstrapped(), *rendered.documents])
    for each in access_objects(rendered.documents):
        answer = api.apply(each, dry_run=False)
        assert answer.accepted, answer
    _await(api, list(_given(rendered)))
    return rendered


def _await(api: Api, asks: list[Ask], *, seconds: float = 15.0) -> None:
    """The authorizer reads roles through a watch: ask until it answers yes to all."""
    deadline = time.monotonic() + seconds
    while wrong := [ask for ask, answer in zip(asks, allowed(api, asks), strict=True) if not answer]:
        assert time.monotonic() < deadline, f"not allowed: {'; '.join(map(str, wrong[:5]))}"


def _given(tree: RenderedTree) -> Iterator[Ask]:
    """What the rendered bindings say their subjects may do, first rule of each: shows that a yes can come at all."""
    roles = {(each.namespace, each.name): each.body["rules"] for each in tree.documents if each.kind[1] == "Role"}
    for each in tree.documents:
        if each.kind[1] == "RoleBinding" and (rules := roles.get((each.namespace, each.body["roleRef"]["name"]))):
            for subject in subjects([each]):
                yield Ask(subject, next(deeds(rules[0])), str(each.namespace))


def _namespaces(tree: RenderedTree) -> dict[str, str]:
    """Namespace -> its tenant."""
    return {
        each.name: each.origin.split("/")[1]
        for each in tree.documents
        if each.kind[1] == "Namespace" and each.origin.startswith("tenants/")
    }


def _wrong(api: Api, asks: Iterable[Ask]) -> str:
    listed = list(asks)
    assert len(listed) > 100, "the matrix is nearly empty"
    print(f"\n{len(listed)} access reviews")
    return "\n".join(str(ask) for ask, answer in zip(listed, allowed(api, listed), strict=True) if answer)


def test_no_subject_of_a_tenant_has_any_right_in_anothers_namespace(api: Api, standing: RenderedTree) -> None:
    """By SubjectAccessReview: every right that anybody has there."""
    given = {
        namespace: granted(each for each in standing.documents if each.namespace == namespace)
        for namespace in _namespaces(standing)
    }
    matrix = (
        Ask(subject, deed, namespace)
        for subject in subjects(standing.documents)
        for namespace, tenant in _namespaces(standing).items()
        if subject.owner not in (None, tenant)
        for deed in sorted({*given[namespace], Deed("*", "*", "*")})
    )
    if len(standing.tenants) > 1:
        assert not _wrong(api, matrix)


def test_the_rules_of_a_tenants_subject_elsewhere_are_those_of_a_stranger(api: Api, standing: RenderedTree) -> None:
    """By SelfSubjectRulesReview, which lists all rules: also for verbs and resources that nobody thought of."""
    everywhere = [each.name for each in (*bootstrapped(), *standing.documents) if each.kind[1] == "Namespace"]
    homes = _namespaces(standing)
    strangers = {namespace: rules_of(api, NOBODY, namespace) for namespace in everywhere}
    found = [
        f"{subject} in {namespace}: {more}"
        for subject in subjects(standing.documents)
        if subject.owner is not None
        for namespace in everywhere
        if homes.get(namespace) != subject.owner and (more := rules_of(api, subject, namespace) - strangers[namespace])
    ]
    assert not found


def test_no_rendered_subject_runs_pods_reads_secrets_or_takes_rights(api: Api, standing: RenderedTree) -> None:
    """Asked of a stranger, and of whoever has a right there that a stranger has not."""
    namespaces = _namespaces(standing)
    strangers = {namespace: rules_of(api, NOBODY, namespace) for namespace in namespaces}
    matrix = (
        Ask(subject, deed, namespace)
        for subject in (NOBODY, *subjects(standing.documents))
        for namespace in namespaces
        if subject is NOBODY or rules_of(api, subject, namespace) != strangers[namespace]
        for deed in FORBIDDEN
    )
    assert not _wrong(api, matrix)


@pytest.mark.usefixtures("sample")
def test_a_binding_across_tenants_is_noticed(api: Api) -> None:
    stray = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "stray", "namespace": "globex-train"},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "step", "namespace": "acme-train"}],
    }
    step: Subject = account("acme-train", "step", {})
    assert api.apply(document(stray), dry_run=False).accepted
    try:
        _await(api, [Ask(step, Deed("list", "", "configmaps"), "globex-train")])
        assert rules_of(api, step, "globex-train") > rules_of(api, NOBODY, "globex-train")
    finally:
        api.delete(document(stray))
