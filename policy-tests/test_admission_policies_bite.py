"""The admission policies on a real kube-apiserver: each refuses its bad fixtures, none refuses what is rendered."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache

import pytest
from admission.cases import Case, cases_of, kinds_of
from controlplane.api import Answer, Api
from controlplane.documents import Document, document
from controlplane.server import ControlPlane, control_plane
from controlplane.trees import RenderedTree, bootstrapped

pytestmark = [pytest.mark.apiserver, pytest.mark.requirement("A2")]

SYNCER = "system:serviceaccount:argocd:argocd-application-controller"
JOBS = "system:serviceaccount:kube-system:job-controller"
POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
PREREQUISITES = ("LimitRange", "PriorityClass")
RUNTIMES = ("nvidia", "nvidia-legacy")  # classes that the GPU operator makes
BITE_SECONDS = 30.0

# Created last, so that all others are in force once it is: the server takes them in the order of their creation.
PROBE = {
    "failurePolicy": "Fail",
    "matchConstraints": {
        "resourceRules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
        ]
    },
    "validations": [{"expression": "object.metadata.name != 'probe'", "message": "in force"}],
}


@dataclass
class Guarded:
    """A server on which a tree's namespaces, accounts and admission policies are really there."""

    plane: ControlPlane
    tree: RenderedTree
    clients: ExitStack

    def __post_init__(self) -> None:
        self.asked_by = cache(self._client)

    def _client(self, user: str) -> Api:
        """The server as this user finds it, with every right: what is refused is refused by admission."""
        api = Api(self.plane.url, token=self.plane.token, certificate=self.plane.certificate)
        self.clients.callback(api.http.close)
        api.http.headers.update({"Impersonate-User": user, "Impersonate-Group": "system:masters"})
        return api


@pytest.fixture(scope="module")
def guarded(rendered: RenderedTree) -> Iterator[Guarded]:
    """A server of its own: the policies hold for every later request, those of other tests too."""
    with control_plane() as plane, ExitStack() as clients:
        plane.api.install(
            {each.kind for each in (*rendered.documents, *rendered.inside)} | kinds_of(cases_of(rendered.name))
        )
        answers = plane.api.establish([*bootstrapped(), *rendered.documents])
        answers += [plane.api.apply(runtime_class(name), dry_run=False) for name in RUNTIMES]
        for kind in (*PREREQUISITES, POLICY, BINDING):
            found = [each for each in rendered.documents if each.body["kind"] == kind]
            answers += [plane.api.apply(each, dry_run=False) for each in found]
        assert not refused(answers)
        wait_until_in_force(plane.api)
        yield Guarded(plane, rendered, clients)


def runtime_class(name: str) -> Document:
    return document(
        {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": name}
    )


def wait_until_in_force(api: Api) -> None:
    version, metadata = "admissionregistration.k8s.io/v1", {"name": "probe"}
    bound = {"policyName": "probe", "validationActions": ["Deny"]}
    for kind, spec in ((POLICY, PROBE), (BINDING, bound)):
        body = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
        assert api.apply(document(body), dry_run=False).accepted
    probe = document({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe", "namespace": "default"}})
    deadline = time.monotonic() + BITE_SECONDS
    while api.create(probe, dry_run=True).accepted:
        assert time.monotonic() < deadline, "the server does not apply its policies"
        time.sleep(0.1)


def sender(origin: str, kind: str) -> str:
    """Who makes an object of the tree in production: Argo CD as itself or as the tenant's deployer, or a controller."""
    part = origin.split("/")
    if kind == "Pod" or " " in origin:
        return JOBS
    if part[0] == "tenants" and part[2] == "workloads":
        return f"system:serviceaccount:{part[1]}-serve:deployer"
    return SYNCER


def with_account(inside: Document, tree: RenderedTree) -> Document:
    """A TrainingRuntime's pod has the account that its TrainJob patches in."""
    if "_trainingruntime_" not in inside.origin or "serviceAccountName" in inside.body["spec"]:
        return inside
    accounts = [each for each in tree.documents if each.kind == ("v1", "ServiceAccount")]
    own, *_ = (each.name for each in accounts if each.namespace == inside.namespace and "trainer" in each.name)
    spec = {**inside.body["spec"], "serviceAccountName": own}
    return document({**inside.body, "spec": spec}, inside.origin)


def refused(answers: list[Answer], *, by: str = "") -> str:
    return "\n".join(str(answer) for answer in answers if not answer.accepted and by in answer.message)


def test_nothing_that_is_rendered_is_refused(guarded: Guarded) -> None:
    asked: dict[str, list[Document]] = {}
    served = guarded.plane.api.served()
    for each in (*guarded.tree.documents, *(with_account(each, guarded.tree) for each in guarded.tree.inside)):
        if each.kind not in served:
            continue  # has no CRD source: tools/unvalidated.yaml says why
        asked.setdefault(sender(each.origin, each.body["kind"]), []).append(each)
    answers = [answer for user, documents in asked.items() for answer in guarded.asked_by(user).dry_run(documents)]
    assert not refused(answers, by=POLICY)  # by anything else: test_apiserver_accepts_the_tree.py


@pytest.mark.requirement("D72")
def test_each_policy_refuses_its_bad_fixtures_and_no_good_one(guarded: Guarded) -> None:
    wrong = [text for case in cases_of(guarded.tree.name) if (text := judged(guarded, case))]
    assert not wrong, "\n".join(wrong)


def judged(guarded: Guarded, case: Case) -> str | None:
    """What is wrong with the server's answer to a fixture, or None."""
    answer = case.ask(guarded.asked_by)
    if case.refused is None:
        return None if answer.accepted else f"{case}: refused: {answer.message}"
    if answer.accepted:
        return f"{case}: accepted"
    there = f"'{case.policy}'" in answer.message and case.refused in answer.message
    return None if there else f"{case}: refused otherwise: {answer.message}"
