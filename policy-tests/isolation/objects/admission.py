"""The backstop: the rules of the tree, held by the API server against whoever else writes to it (H21).

Which policies there must be is the judge's own list, by what a policy watches and what its expressions speak of; their
names are the renderer's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from isolation.classes.inventory import Inventory, spec_of
from isolation.manifests.pods import Body
from isolation.manifests.tree import Document
from isolation.results import CounterExample, Result


@dataclass(frozen=True)
class Guard:
    """A rule that must stand at admission too: on which resource, and a word that its expressions cannot do without."""

    what: str
    group: str
    resource: str
    word: str
    planes: tuple[str, ...] = ("train", "serve")


GUARDS = (
    Guard("the tenant label of objects", "*", "*", "tenon.dev/tenant"),
    Guard("labels of namespaces", "", "namespaces", "tenon.dev/tenant", planes=()),
    Guard("the account of pods", "", "pods", "serviceAccountName"),
    Guard("the runtime class of pods", "", "pods", "runtimeClassName"),
    Guard("GPU variables of pods", "", "pods", "NVIDIA_"),
    Guard("digests of images", "", "pods", "sha256"),
    Guard("tolerations of pods", "", "pods", "tolerations"),
    Guard("requests of pods", "", "pods", "requests"),
    Guard("references of workflows", "argoproj.io", "workflows", "workflowTemplateRef", planes=("train",)),
    Guard("patches in workflow templates", "argoproj.io", "workflowtemplates", "podSpecPatch", planes=("train",)),
    Guard("the namespace of traffic plugins", "argoproj.io", "rollouts", "plugins", planes=("serve",)),
    Guard("promotion", "argoproj.io", "rollouts/status", "pauseConditions", planes=("serve",)),
    Guard("providers of analyses", "argoproj.io", "analysistemplates", "prometheus", planes=("serve",)),
    Guard("hosts of routes", "gateway.networking.k8s.io", "httproutes", "hostnames", planes=("serve",)),
    Guard("types of Services", "", "services", "ClusterIP"),
)
_ALWAYS = frozenset({"CREATE", "UPDATE"})


def admission(inventory: Inventory) -> Result:
    """Each policy refuses when it cannot decide, and is bound to the namespaces of all tenants alike."""
    policies = {document.name: document for document in inventory.tree.of_kind("ValidatingAdmissionPolicy")}
    bindings: dict[str, list[Document]] = {}
    for binding in inventory.tree.of_kind("ValidatingAdmissionPolicyBinding"):
        bindings.setdefault(str(spec_of(binding).get("policyName")), []).append(binding)
    faults = [
        CounterExample(document.file, fault)
        for name, document in policies.items()
        for fault in _policy_faults(document, bindings.get(name, []))
    ]
    faults += [CounterExample(name, "is bound and not rendered") for name in sorted(bindings.keys() - policies.keys())]
    bound = {name: _planes(inventory, bindings.get(name, [])) for name in policies}
    faults += [
        CounterExample("admission", f"nothing holds {guard.what} ({guard.resource})")
        for guard in GUARDS
        if not any(_guards(guard, document, bound[name]) for name, document in policies.items())
    ]
    claim = "admission holds the same rules, for every tenant, and fails closed"
    return Result("admission", claim, len(policies) + len(GUARDS), tuple(faults), row="H21")


def _policy_faults(document: Document, bindings: list[Document]) -> Iterator[str]:
    spec = spec_of(document)
    if spec.get("failurePolicy") != "Fail":
        yield "lets through what it cannot decide; failurePolicy is Fail"
    constraints = spec.get("matchConstraints") or {}
    if constraints.get("objectSelector") or constraints.get("excludeResourceRules") or "paramKind" in spec:
        yield "can be evaded by a label, an exception or a parameter"
    if not spec.get("validations"):
        yield "has no rule"
    if not any("Deny" in (spec_of(binding).get("validationActions") or ()) for binding in bindings):
        yield "has no binding that denies"
    for binding in bindings:
        resources = spec_of(binding).get("matchResources") or {}
        if set(resources) - {"namespaceSelector"} or "paramRef" in spec_of(binding):
            yield f"binding {binding.name} can be evaded by a label, an exception or a parameter"


def _planes(inventory: Inventory, bindings: list[Document]) -> frozenset[str]:
    """Planes in which the bindings cover every tenant; `cluster` where a binding selects no namespace."""
    covered: set[str] = set()
    labels = {each.name: each.labels for each in inventory.tree.of_kind("Namespace")}
    for binding in bindings:
        selector = (spec_of(binding).get("matchResources") or {}).get("namespaceSelector")
        if not selector:
            covered |= {"train", "serve", "cluster"}
            continue
        for plane in ("train", "serve"):
            names = [name for name in inventory.namespaces if name.endswith(f"-{plane}")]
            if all(_selects(selector, labels.get(name, {})) for name in names):
                covered.add(plane)
    return frozenset(covered)


def _selects(selector: Body, labels: Mapping[str, str]) -> bool:
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_fits(term, labels.get(term["key"])) for term in selector.get("matchExpressions") or ())


def _fits(term: Body, value: str | None) -> bool:
    """Raises KeyError for an operator that Kubernetes does not know."""
    is_among = value in (term.get("values") or ())
    answers = {"Exists": value is not None, "DoesNotExist": value is None, "In": is_among, "NotIn": not is_among}
    return answers[term["operator"]]


def _guards(guard: Guard, document: Document, bound: frozenset[str]) -> bool:
    spec = spec_of(document)
    if not set(guard.planes or ("cluster",)) <= bound:
        return False
    expressions = [*(spec.get("variables") or ()), *(spec.get("validations") or ())]
    if not any(guard.word in str(each.get("expression")) for each in expressions):
        return False
    rules = (spec.get("matchConstraints") or {}).get("resourceRules") or ()
    return any(
        guard.group in rule.get("apiGroups", ())
        and guard.resource in rule.get("resources", ())
        and bool({*_ALWAYS, "*"} & set(rule.get("operations", ())))
        for rule in rules
    )
