"""Who may do what, asked of the server's own RBAC: one review per question, and all rules of one subject at once."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from controlplane.api import THREADS, Api
from controlplane.documents import Document

_REVIEWS = "/apis/authorization.k8s.io/v1"
_ACCESS_KINDS = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")


@dataclass(frozen=True, order=True)
class Subject:
    """An account or a group, as RBAC sees it."""

    user: str
    groups: tuple[str, ...]
    owner: str | None = None  # the tenant whose folder holds it; None for the platform's

    def __str__(self) -> str:
        return self.groups[0] if self.user == _MEMBER else self.user


@dataclass(frozen=True, order=True)
class Deed:
    """A verb on a resource; `resource` may hold a subresource (`pods/exec`)."""

    verb: str
    group: str
    resource: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{'.' if self.group else ''}{self.group}"


@dataclass(frozen=True, order=True)
class Ask:
    subject: Subject
    deed: Deed
    namespace: str

    def __str__(self) -> str:
        return f"{self.subject} may {self.deed} in {self.namespace}"


_MEMBER = "a-member"
NOBODY = Subject("system:serviceaccount:kube-public:nobody", ("system:serviceaccounts", "system:authenticated"))


def access_objects(documents: Iterable[Document]) -> list[Document]:
    return [each for each in documents if each.body["kind"] in _ACCESS_KINDS]


def subjects(documents: Sequence[Document]) -> list[Subject]:
    """Every account that is rendered, and every account and group that a rendered binding names."""
    owners = {each.name: tenant for each in documents if each.kind[1] == "Namespace" and (tenant := _folder(each))}
    found = {account(str(each.namespace), each.name, owners) for each in documents if each.kind[1] == "ServiceAccount"}
    for binding in documents:
        if binding.kind[1] in ("RoleBinding", "ClusterRoleBinding"):
            found |= {_bound(each, binding, owners) for each in binding.body.get("subjects", ())}
    return sorted(found, key=lambda subject: (subject.user, subject.groups))


def account(namespace: str, name: str, owners: dict[str, str]) -> Subject:
    """A service account, with the groups that the server gives it."""
    groups = (f"system:serviceaccounts:{namespace}", "system:serviceaccounts", "system:authenticated")
    return Subject(f"system:serviceaccount:{namespace}:{name}", groups, owners.get(namespace))


def granted(documents: Iterable[Document]) -> set[Deed]:
    """Every deed that a rendered role grants to anyone."""
    rules = [rule for each in documents if each.kind[1] in ("Role", "ClusterRole") for rule in each.body["rules"]]
    return {deed for rule in rules for deed in deeds(rule)}


def deeds(rule: dict[str, Any]) -> Iterator[Deed]:
    for group in rule.get("apiGroups", ()):
        for resource in rule.get("resources", ()):
            for verb in rule["verbs"]:
                yield Deed(verb, group, resource)


def allowed(api: Api, asks: Sequence[Ask]) -> list[bool]:
    """The answers, in order."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda ask: _review(api, ask), asks))


def rules_of(api: Api, subject: Subject, namespace: str) -> set[tuple[str, ...]]:
    """All that RBAC lets the subject do there: verbs, groups, resources and names, each rule as one comparable line."""
    headers = [("Impersonate-User", subject.user), *(("Impersonate-Group", group) for group in subject.groups)]
    answer = api.http.post(
        f"{_REVIEWS}/selfsubjectrulesreviews", json={"spec": {"namespace": namespace}}, headers=headers
    )
    rules = answer.raise_for_status().json()["status"]["resourceRules"]
    keys = ("verbs", "apiGroups", "resources", "resourceNames")
    return {tuple(",".join(sorted(rule.get(key, ()))) for key in keys) for rule in rules}


def _review(api: Api, ask: Ask) -> bool:
    resource, _, part = ask.deed.resource.partition("/")
    attributes = {"namespace": ask.namespace, "verb": ask.deed.verb, "group": ask.deed.group, "resource": resource}
    spec = {
        "user": ask.subject.user,
        "groups": list(ask.subject.groups),
        "resourceAttributes": {**attributes, "subresource": part},
    }
    answer = api.http.post(f"{_REVIEWS}/subjectaccessreviews", json={"spec": spec}).raise_for_status()
    return bool(answer.json()["status"]["allowed"])


def _bound(named: dict[str, Any], binding: Document, owners: dict[str, str]) -> Subject:
    if named["kind"] == "ServiceAccount":
        return account(named["namespace"], named["name"], owners)
    if named["kind"] == "Group":
        return Subject(_MEMBER, (named["name"], "system:authenticated"), _folder(binding))
    return Subject(named["name"], ("system:authenticated",), _folder(binding))


def _folder(document: Document) -> str | None:
    """The tenant in whose folder the document stands."""
    part, _, rest = document.origin.partition("/")
    return rest.partition("/")[0] if part == "tenants" else None
