"""The object around a policy: its kind, its version, its name."""

from collections.abc import Iterator

from isolation.linting.findings import Hit
from isolation.linting.objects import POLICY_KINDS, Policy
from isolation.linting.plain import listed, mapped
from isolation.policies.parsing import CILIUM_KINDS

_GROUPS = dict.fromkeys(CILIUM_KINDS, "cilium.io/v2") | {"NetworkPolicy": "networking.k8s.io/v1"}
_TIERS = "policy.networking.k8s.io"
_UNREAD = frozenset({"AdminNetworkPolicy", "BaselineAdminNetworkPolicy"})
_OTHERS = ("projectcalico.org", "crd.projectcalico.org", "crd.antrea.io")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def is_policy(policy: Policy) -> bool:
    """Of a kind and group that Cilium reads as network policy. The group tells Calico's NetworkPolicy from ours."""
    group = str(policy.document.body.get("apiVersion", "")).partition("/")[0]
    wanted = _GROUPS.get(policy.kind, "").partition("/")[0]
    return policy.kind in POLICY_KINDS and (group == wanted or group not in _OTHERS)


def is_served(policy: Policy) -> bool:
    """Under the version that an API server knows."""
    return policy.document.body.get("apiVersion") == _GROUPS.get(policy.kind)


def documents(policy: Policy) -> Iterator[Hit]:
    """Of every object in the files, policy or not."""
    group, _, _ = str(policy.document.body.get("apiVersion", "")).partition("/")
    if is_policy(policy):
        if not is_served(policy):
            detail = f"{policy.document.body.get('apiVersion')} {policy.kind}; {_GROUPS[policy.kind]} is served"
            yield Hit("TN005", policy, ("apiVersion",), detail)
        yield from _names(policy)
    elif policy.kind in _UNREAD:
        yield Hit("TN318", policy, ("kind",), f"Cilium 1.20 does not read {policy.kind}")
    elif group == _TIERS:
        yield from _tiers(policy)
    elif group in _OTHERS and policy.kind.endswith("NetworkPolicy"):
        yield Hit("TN318", policy, ("kind",), f"Cilium does not read {group} {policy.kind}")


def _names(policy: Policy) -> Iterator[Hit]:
    for field in ("name", "namespace"):
        value = str(mapped(policy.document.body.get("metadata")).get(field, ""))
        if value.lower() in _WORDS or value.isdecimal():
            yield Hit("TN004", policy, ("metadata", field), f"{value!r} is no text to every YAML reader once unquoted")
    if not policy.document.name:
        yield Hit("TN006", policy, ("metadata",), "the object has no name")


def _tiers(policy: Policy) -> Iterator[Hit]:
    yield Hit("TN319", policy, ("kind",), f"{policy.kind} stands above and below every policy here")
    spec = mapped(policy.document.body.get("spec"))
    for index, rule in enumerate(listed(spec.get("egress"))):
        for number, peer in enumerate(listed(mapped(rule).get("to"))):
            if mapped(peer).get("domainNames"):
                path = ("spec", "egress", index, "to", number, "domainNames")
                yield Hit("TN320", policy, path, "names are learned from any pod with the label k8s-app=kube-dns")
