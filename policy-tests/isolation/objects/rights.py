"""What accounts and groups may do at the API server: no wildcard, no way up, nothing in a pod's hands (H3-H5)."""

import re
from collections.abc import Iterator
from typing import Any

from isolation.classes.inventory import Inventory, tenant_of
from isolation.manifests.pods import Pod
from isolation.manifests.tree import Document
from isolation.results import CounterExample, Result

Rule = dict[str, Any]
Subject = tuple[str, str | None, str]  # kind, namespace, name

_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_READS = frozenset({"get", "list", "watch"})
# Isolation itself: a tenant's own subjects never write these (group, resource); "*" is every resource of the group.
_ISOLATION = frozenset(
    {
        ("", "limitranges"),
        ("", "namespaces"),
        ("", "resourcequotas"),
        ("", "secrets"),
        ("", "serviceaccounts"),
        ("admissionregistration.k8s.io", "*"),
        ("argoproj.io", "applications"),
        ("argoproj.io", "applicationsets"),
        ("argoproj.io", "appprojects"),
        ("cilium.io", "*"),
        ("external-secrets.io", "*"),
        ("kueue.x-k8s.io", "*"),
        ("networking.k8s.io", "networkpolicies"),
        ("rbac.authorization.k8s.io", "*"),
        ("resource.k8s.io", "*"),
        ("security.istio.io", "*"),
    }
)
# Ways to more rights than a rule says (resource, verbs), for every role of the tree, the platform's too.
_ESCALATION: dict[str, frozenset[str]] = {
    "certificatesigningrequests/approval": _WRITES,
    "clusterrolebindings": _WRITES,
    "clusterroles": _WRITES,
    "mutatingwebhookconfigurations": _WRITES,
    "namespaces": _WRITES,
    "nodes": _WRITES,
    "nodes/proxy": _WRITES | _READS,  # a get is enough to run commands in pods
    "persistentvolumes": _WRITES,
    "pods": frozenset({"create", "update", "patch"}),  # takes every account and Secret of the namespace
    "pods/attach": _WRITES | _READS,
    "pods/ephemeralcontainers": _WRITES,
    "pods/exec": _WRITES | _READS,
    "pods/portforward": _WRITES | _READS,
    "rolebindings": _WRITES,
    "roles": _WRITES,
    "secrets": _WRITES | _READS,
    "serviceaccounts/token": _WRITES,
    "validatingadmissionpolicies": _WRITES,
    "validatingadmissionpolicybindings": _WRITES,
    "validatingwebhookconfigurations": _WRITES,
}
_UPWARD = frozenset({"escalate", "bind", "impersonate"})
_BUILT_IN = frozenset({"admin", "cluster-admin", "edit", "view"})  # other programs widen them by aggregation
# Everything Argo's own container does: report results, make and follow the child of a GPU step, end it by its label.
_CHILD = frozenset({"create", "delete", "get", "list"})
_EXECUTOR = {
    ("argoproj.io", "workflowtaskresults"): frozenset({"create", "patch"}),
    ("jobset.x-k8s.io", "jobsets"): _CHILD,
    ("ray.io", "rayjobs"): _CHILD,
    ("trainer.kubeflow.org", "trainjobs"): _CHILD,
}
_TRAINER = re.compile(r"trainer(-\d+|-\{\{workflow\.parameters\.slot\}\})?")


def rights(inventory: Inventory) -> Result:
    """Roles list what they give; a tenant's bindings stay in its namespaces and touch nothing that isolates it."""
    faults = [CounterExample(role.file, fault) for role in _roles(inventory) for fault in _unlisted(role)]
    for binding in _bindings(inventory):
        faults += [CounterExample(binding.file, fault) for fault in _binding_faults(inventory, binding)]
    for subject, role, rule in _granted(inventory):
        if _owner(inventory, subject) is not None:
            faults += [CounterExample(role.file, f"{subject[2]} {fault}") for fault in _isolation_writes(rule)]
    asked = sum(len(role.body.get("rules") or ()) for role in _roles(inventory)) + len(list(_bindings(inventory)))
    claim = "rules are listed; no tenant's subject changes what isolates it"
    return Result("rights", claim, asked, tuple(faults), row="H3")


def escalation(inventory: Inventory) -> Result:
    """No rule of any role, bound or not, leads to more rights than it lists."""
    faults, asked = [], 0
    for role in _roles(inventory):
        if role.body.get("aggregationRule") or any("/aggregate-to-" in label for label in role.labels):
            faults.append(CounterExample(role.file, "aggregates, so its rules are not those that stand here"))
        for rule in role.body.get("rules") or ():
            asked += 1
            faults += [CounterExample(role.file, fault) for fault in _ways_up(rule)]
    return Result("escalation", "no role reads secrets, makes pods or raises itself", asked, tuple(faults), row="H4")


def accounts(inventory: Inventory) -> Result:
    """A pod's account has the rules it needs and no more: steps, trainers and models none; the executor its own."""
    faults = [
        CounterExample(pod.document.file, f"{pod} runs as {pod.account}")
        for pod in inventory.tenant_pods
        if not _may_run_as(pod)
    ]
    for subject, role, rule in _granted(inventory):
        kind, namespace, name = subject
        if kind == "ServiceAccount" and namespace in inventory.namespaces and name != "deployer":
            allowed = _EXECUTOR if name == "executor" else {}
            for group, resource, verb in _triples(rule):
                if verb not in allowed.get((group, resource), ()):
                    faults.append(CounterExample(role.file, f"lets pods of {namespace}/{name} {verb} {resource}"))
    claim = "pods run as their role's account, which has its rules only"
    return Result("accounts", claim, len(inventory.tenant_pods), tuple(faults), row="H5")


def _roles(inventory: Inventory) -> Iterator[Document]:
    return inventory.tree.of_kind("Role", "ClusterRole")


def _bindings(inventory: Inventory) -> Iterator[Document]:
    return inventory.tree.of_kind("RoleBinding", "ClusterRoleBinding")


def _granted(inventory: Inventory) -> Iterator[tuple[Subject, Document, Rule]]:
    """Each rule that each subject of a binding gets. A role that is not rendered is a fault of `rights`."""
    for binding in _bindings(inventory):
        role = _role_of(inventory, binding)
        if role is not None:
            for subject in _subjects(binding):
                for rule in role.body.get("rules") or ():
                    yield subject, role, rule


def _subjects(binding: Document) -> Iterator[Subject]:
    for subject in binding.body.get("subjects") or ():
        yield str(subject.get("kind")), subject.get("namespace"), str(subject.get("name"))


def _role_of(inventory: Inventory, binding: Document) -> Document | None:
    reference = binding.body.get("roleRef") or {}
    kind = str(reference.get("kind"))
    namespace = None if kind == "ClusterRole" else binding.namespace
    return inventory.by_key.get((kind, namespace, str(reference.get("name"))))


def _owner(inventory: Inventory, subject: Subject) -> str | None:
    """The tenant whose account or group the subject is."""
    kind, namespace, name = subject
    if kind == "ServiceAccount":
        return inventory.namespaces.get(str(namespace))
    tenant = name.removeprefix("tenon:")
    return tenant if tenant != name and tenant in inventory.tenants else None


def _binding_faults(inventory: Inventory, binding: Document) -> Iterator[str]:
    name = str((binding.body.get("roleRef") or {}).get("name"))
    if name in _BUILT_IN:
        yield f"binds to {name}, which other programs widen; bind to a role of the tree"
    elif _role_of(inventory, binding) is None:
        yield f"binds to {name}, which is not rendered"
    tenant = inventory.namespaces.get(str(binding.namespace), tenant_of(binding))
    for kind, namespace, subject in _subjects(binding):
        owner = _owner(inventory, (kind, namespace, subject))
        if owner is not None and owner != tenant:
            yield f"gives {subject} of {owner} rights outside its namespaces"
        elif owner is None and (subject == "default" or (kind, namespace, subject) not in inventory.by_key):
            yield f"binds {kind} {subject}, which is no account of the tree and no group `tenon:<tenant>`"


def _unlisted(role: Document) -> Iterator[str]:
    for rule in role.body.get("rules") or ():
        for field in ("apiGroups", "resources", "verbs"):
            values = rule.get(field) or ()
            if not values or any("*" in str(value) for value in values):
                yield f"{field} {list(values)} of a rule is not a list of names"
        if rule.get("nonResourceURLs"):
            yield f"gives the URLs {rule['nonResourceURLs']}, which stand outside of every namespace"


def _isolation_writes(rule: Rule) -> Iterator[str]:
    for group, resource, verb in _triples(rule):
        plain = resource.partition("/")[0]
        if verb in _WRITES and {(group, plain), (group, "*")} & _ISOLATION:
            yield f"may {verb} {resource}, which isolates the tenant"


def _ways_up(rule: Rule) -> Iterator[str]:
    for _, resource, verb in _triples(rule):
        if verb in _UPWARD:
            yield f"may {verb} {resource}"
        elif verb in _ESCALATION.get(resource, ()):
            yield f"may {verb} {resource}, which gives more than it says"


def _triples(rule: Rule) -> Iterator[tuple[str, str, str]]:
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for verb in rule.get("verbs") or ():
                yield str(group), str(resource), str(verb)


def _may_run_as(pod: Pod) -> bool:
    if str(pod.document.namespace).endswith("-serve"):
        return pod.account == "model"
    if pod.document.kind == "TrainingRuntime" and "serviceAccountName" not in pod.spec:
        return True  # each job puts its own in; references.py holds it to one
    if pod.runs_executor:
        return pod.account == "executor"
    if pod.document.kind in {"WorkflowTemplate", "CronWorkflow"}:
        return pod.account == "step"
    return bool(_TRAINER.fullmatch(pod.account))
