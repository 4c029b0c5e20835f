"""Cilium's own settings, rendered beside the policies: the semantics of the evaluator hold under these only."""

import re
from collections.abc import Iterator
from typing import Any

from isolation.classes.cluster import Cluster
from isolation.classes.profile import Profile, read_fields
from isolation.network.policy_shapes import PLANE
from isolation.policies.labels import ACCOUNT, CLUSTER, NAMESPACE, NAMESPACE_LABELS
from isolation.results import CounterExample, Result

_NAME, _NAMESPACE = "cilium-values", "tenon-system"
_KEYS = tuple(f"k8s:{key}" for key in (NAMESPACE, ACCOUNT, CLUSTER, NAMESPACE_LABELS + PLANE))
_NEEDED = {
    "policyEnforcementMode": "default",
    "policyCIDRMatchMode": "",  # else ranges would select pods and nodes
    "l7Proxy": True,  # else DNS rules filter nothing
    "envoy.enabled": True,  # else rules with server names cannot be programmed, and the old policy stays
}
# Off, or not named: with them rules would select what the judge takes to be out of reach, or nodes would refuse probes.
_OFF = ("hostFirewall.enabled", "nodeSelectorLabels", "clustermesh.useAPIServer", "policyAuditMode")


def settings(cluster: Cluster) -> Result:
    """The values agree with the profile and keep every trusted label in identities."""
    found = [document for document in cluster.tree.of_kind("ConfigMap") if document.name == _NAME]
    found = [document for document in found if document.namespace == _NAMESPACE]
    faults = [
        CounterExample(document.file, fault) for document in found for fault in _faults(read_fields(document), cluster)
    ]
    if not found:
        faults = [CounterExample(_NAME, "is not rendered; the semantics rest on it")]
    return Result(
        "settings", "Cilium is set up as the proof assumes", len(_NEEDED) + len(_OFF) + len(_KEYS), tuple(faults)
    )


def _faults(values: dict[str, Any], cluster: Cluster) -> Iterator[str]:
    for key, needed in _NEEDED.items():
        if (found := _value(values, key)) != needed:
            yield f"{key} is {found!r}; the proof needs {needed!r}"
    for key in _OFF:
        if _value(values, key) not in (None, False):
            yield f"{key} is {_value(values, key)!r}; the proof needs it off"
    yield from _against_the_profile(values, cluster.profile)
    patterns = str(values.get("labels") or "").split()
    if list(cluster.profile.label_filter) != patterns:
        yield "labels differ from the profile's labelFilter"
    if any(pattern.startswith("!") or ":!" in pattern for pattern in patterns):
        yield "labels leave keys out; an allow-list of the trusted keys is needed"
    for key in _KEYS:
        if not any(_matches(pattern, key) for pattern in patterns):
            yield f"labels drop {key}, so selectors on it match nothing"


def _against_the_profile(values: dict[str, Any], profile: Profile) -> Iterator[str]:
    """What the tree says of the cluster in two places, and what it would have to say for the judge to understand it."""
    for family, key in (("IPv4", "ipv4.enabled"), ("IPv6", "ipv6.enabled")):
        if _value(values, key) is not (family in profile.ip_families):
            yield f"{key} is {_value(values, key)!r}, and the profile has the families {', '.join(profile.ip_families)}"
    redirects = _value(values, "localRedirectPolicies.enabled")
    if redirects is not (profile.dns_mode == "node"):
        yield f"localRedirectPolicies.enabled is {redirects!r}, and names are asked of {profile.dns_mode}"
    if profile.shared_addresses is not (profile.storage_mode == "s3"):
        yield f"the profile calls addresses of {profile.storage_mode} buckets shared: {profile.shared_addresses}"
    if profile.plane_label != PLANE:
        yield f"the profile's plane label is {profile.plane_label}; the trusted one is {PLANE}"


def _value(values: dict[str, Any], path: str) -> Any:
    """The value at `a.b`; None where there is none."""
    found: Any = values
    for step in path.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _matches(pattern: str, key: str) -> bool:
    """Cilium matches a filter from the beginning of `source:key`; what is no expression matches nothing."""
    try:
        return bool(re.match(pattern, key))
    except re.error:
        return False
