"""The admission policies on a real kube-apiserver: each refuses its bad fixtures, none refuses what is rendered."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache

import pytest
from admission.cases import Case, cases_of, changed, kinds_of
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
def own_server() -> Iterator[ControlPlane]:
    """Not the session's: the policies hold for every later request, those of other tests too."""
    with control_plane() as plane:
        yield plane


@pytest.fixture(scope="module")
def guarded(own_server: ControlPlane, rendered: RenderedTree) -> Iterator[Guarded]:
    """One tree after the other; each is made as Argo CD makes it, past the policies of those before."""
    with ExitStack() as clients:
        made = Guarded(own_server, rendered, clients)
        syncer = made.asked_by(SYNCER)
        syncer.install(
            {each.kind for each in (*rendered.documents, *rendered.inside)} | kinds_of(cases_of(rendered.name))
        )
        answers = syncer.establish([*bootstrapped(), *rendered.documents])
        answers += [syncer.apply(runtime_class(name), dry_run=False) for name in RUNTIMES]
        for kind in (*PREREQUISITES, POLICY, BINDING):
            found = [each for each in rendered.documents if each.body["kind"] == kind]
            answers += [syncer.apply(each, dry_run=False) for each in found]
        assert not refused(answers)
        wait_until_in_force(syncer, probe=f"probe-{rendered.name}")
        yield made


def runtime_class(name: str) -> Document:
    return document(
        {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": name}
    )


def wait_until_in_force(api: Api, *, probe: str) -> None:
    """A policy that is created last is applied last: once it bites, all others do."""
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]
    refusal = {"expression": f"object.metadata.name != '{probe}'", "message": "in force"}
    bites = {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": rules}, "validations": [refusal]}
    for kind, spec in ((POLICY, bites), (BINDING, {"policyName": probe, "validationActions": ["Deny"]})):
        body = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": probe}}
        assert api.apply(document({**body, "spec": spec}), dry_run=False).accepted
    asked = document({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": probe, "namespace": "default"}})
    deadline = time.monotonic() + BITE_SECONDS
    while api.create(asked, dry_run=True).accepted:
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
    served = guarded.asked_by(SYNCER).served()
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


@pytest.mark.requirement("D72")
@pytest.mark.parametrize("rendered", ["aws"], indirect=True)
@pytest.mark.parametrize(
    ("memory", "refusal"), [("512Gi", ""), ("513Gi", "maximum memory usage per Container is 512Gi")]
)
def test_memory_is_raised_to_the_tenants_bound_and_no_further(guarded: Guarded, memory: str, refusal: str) -> None:
    resize = next(case for case in cases_of("sample") if case.update == "resize")
    base = changed(resize.base, {"/metadata/namespace": "hooli-train", "/spec/serviceAccountName": "trainer-0"})
    sides = {f"/spec/containers/0/resources/{side}/memory": memory for side in ("requests", "limits")}
    answer = replace(resize, base=base, changes=sides).ask(guarded.asked_by)
    assert answer.accepted is not bool(refusal)
    assert refusal in answer.message


def judged(guarded: Guarded, case: Case) -> str | None:
    """What is wrong with the server's answer to a fixture, or None."""
    answer = case.ask(guarded.asked_by)
    if case.refused is None:
        return None if answer.accepted else f"{case}: refused: {answer.message}"
    if answer.accepted:
        return f"{case}: accepted"
    there = f"'{case.policy}'" in answer.message and case.refused in answer.message
    return None if there else f"{case}: refused otherwise: {answer.message}"
