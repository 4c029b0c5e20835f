"""An admission policy: what the API server refuses whoever asks, even where a Role or the renderer was wrong.

Source: Kubernetes 1.36, admissionregistration.k8s.io/v1, ValidatingAdmissionPolicy; expressions are CEL, in which
`namespaceObject` is the Namespace of the object and `variables` are the policy's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from generators import naming, versions

PLANES = ("train", "serve")  # of the namespaces that tenants have

# What most expressions need of the namespace: whose it is, and what it is for.
TENANT = f"namespaceObject.metadata.labels['{naming.TENANT_LABEL}']"
PLANE = f"namespaceObject.metadata.labels['{naming.PLANE_LABEL}']"


@dataclass(frozen=True)
class Resources:
    """Which requests a policy sees."""

    group: str
    names: Sequence[str]
    operations: Sequence[str] = ("CREATE", "UPDATE")


@dataclass(frozen=True)
class Rule:
    """An expression that must be true, and what the refused caller is told: the rule and the remedy."""

    expression: str
    message: str


@dataclass(frozen=True)
class AdmissionPolicy:
    """One policy and its binding.

    variables: name -> expression; a later one may use an earlier one.
    conditions: name -> expression; the policy is asked where all of them are true.
    planes: namespaces of tenants that it is bound to; none: objects of the cluster, in no namespace.
    """

    name: str
    resources: Sequence[Resources]
    rules: Sequence[Rule]
    variables: Mapping[str, str] = field(default_factory=dict)
    conditions: Mapping[str, str] = field(default_factory=dict)
    planes: Sequence[str] = PLANES


def policy_body(policy: AdmissionPolicy) -> dict[str, Any]:
    """The ValidatingAdmissionPolicy. What cannot be evaluated is refused."""
    conditions, scope = _named(policy.conditions), "Namespaced" if policy.planes else "Cluster"
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [_resource_rule(each, scope=scope) for each in policy.resources]},
        **({"matchConditions": conditions} if conditions else {}),
        "variables": _named(policy.variables),
        "validations": [{"expression": rule.expression, "message": rule.message} for rule in policy.rules],
    }
    return _body("ValidatingAdmissionPolicy", policy.name, spec)


def binding_body(policy: AdmissionPolicy) -> dict[str, Any]:
    """The binding of the same name. It names no tenant: namespaces are found by the labels that only Argo CD writes."""
    spec: dict[str, Any] = {"policyName": policy.name, "validationActions": ["Deny", "Audit"]}
    if policy.planes:
        of_tenants = [
            {"key": naming.TENANT_LABEL, "operator": "Exists"},
            {"key": naming.PLANE_LABEL, "operator": "In", "values": list(policy.planes)},
        ]
        spec["matchResources"] = {"namespaceSelector": {"matchExpressions": of_tenants}}
    return _body("ValidatingAdmissionPolicyBinding", policy.name, spec)


def among(values: Sequence[str]) -> str:
    """A CEL list of strings."""
    return "[" + ", ".join(f"'{value}'" for value in values) + "]"


def user(account: str, namespace: str) -> str:
    """Name under which the API server knows a service account."""
    return f"system:serviceaccount:{namespace}:{account}"


def _resource_rule(resources: Resources, *, scope: str) -> dict[str, Any]:
    return {
        "apiGroups": [resources.group],
        "apiVersions": ["*"],
        "operations": list(resources.operations),
        "resources": list(resources.names),
        "scope": scope,
    }


def _named(expressions: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "expression": expression} for name, expression in expressions.items()]


def _body(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "labels": dict(naming.MANAGED_BY)}
    return {"apiVersion": versions.ADMISSION, "kind": kind, "metadata": metadata, "spec": spec}
