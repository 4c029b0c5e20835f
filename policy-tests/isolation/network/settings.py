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
_WRITTEN_BY_CHART = "cilium-config"  # made of the values; one in the tree would be the agent's word against theirs
_PLAIN = re.compile(r"(?:[A-Za-z0-9:/_.-]|\\\.)+")
_KEYS = tuple(f"k8s:{key}" for key in (NAMESPACE, ACCOUNT, CLUSTER, NAMESPACE_LABELS + PLANE))
# Every value that may stand there. What the chart of 1.20 does by default the proof assumes, so a key beside these is a
# fault whatever it says: extraConfig writes any option of the agent, k8sNetworkPolicy turns default denies off.
_NEEDED: dict[str, Any] = {
    "policyEnforcementMode": "default",
    "policyCIDRMatchMode": "",  # else ranges would select pods and nodes
    "l7Proxy": True,  # else DNS rules filter nothing
    "envoy.enabled": True,  # else rules with server names cannot be programmed, and the old policy stays
    "kubeProxyReplacement": True,  # policies see ports behind Services
    "encryption.enabled": True,
    "encryption.type": "wireguard",
    "dnsProxy.dnsRejectResponseCode": "nameError",  # a refused name is not known, at once
    "dnsProxy.enableTransparentMode": True,  # resolvers see the pod that asks
    "dnsProxy.endpointMaxIpPerHostname": 1000,
    "dnsProxy.minTtl": 0,  # else an address stays open longer than its name says
}
_OF_FAMILIES = {"IPv4": "ipv4.enabled", "IPv6": "ipv6.enabled"}
_BESIDE_A_MESH = {"cni.exclusive": False, "socketLB.hostNamespaceOnly": True}  # else sidecars are gone around


def settings(cluster: Cluster) -> Result:
    """The values are those that the proof knows, agree with the profile and keep every trusted label in identities."""
    found = [document for document in cluster.tree.of_kind("ConfigMap") if document.name == _NAME]
    faults = [
        CounterExample(document.file, f"{document.name} sets Cilium up; only {_NAME} in {_NAMESPACE} may")
        for document in cluster.tree.of_kind("ConfigMap")
        if document.name == _WRITTEN_BY_CHART or (document.name == _NAME and document.namespace != _NAMESPACE)
    ]
    faults += [
        CounterExample(document.file, fault) for document in found for fault in _faults(read_fields(document), cluster)
    ]
    if not found:
        faults.append(CounterExample(_NAME, "is not rendered; the semantics rest on it"))
    claim = "Cilium is set up as the proof assumes"
    return Result("settings", claim, len(_needed(cluster.profile)) + len(_KEYS), tuple(faults))


def _faults(values: dict[str, Any], cluster: Cluster) -> Iterator[str]:
    profile = cluster.profile
    said = dict(_leaves(values))
    needed = _needed(profile)
    for key, value in needed.items():
        if key not in said:
            yield f"{key} is missing; the proof needs {value!r}"
        elif (type(said[key]), said[key]) != (type(value), value):
            yield f"{key} is {said[key]!r}; the proof needs {value!r}"
    for key in sorted(said.keys() - needed.keys()):
        yield f"{key} is no setting that the proof knows; leave it out"
    yield from _against_the_profile(profile)
    for key in _KEYS:
        if not any(_matches(pattern, key) for pattern in profile.label_filter):
            yield f"labels drop {key}, so selectors on it match nothing"
    if any(pattern.startswith("!") or ":!" in pattern for pattern in profile.label_filter):
        yield "labels leave keys out; an allow-list of the trusted keys is needed"


def _needed(profile: Profile) -> dict[str, Any]:
    """Each setting by its path, with the value that this cluster has it at."""
    return {
        **_NEEDED,
        **{key: family in profile.ip_families for family, key in _OF_FAMILIES.items()},
        "localRedirectPolicies.enabled": profile.dns_mode == "node",
        "gatewayAPI.enabled": profile.mesh is None,
        **(_BESIDE_A_MESH if profile.mesh else {}),
        "labels": " ".join(profile.label_filter),
    }


def _against_the_profile(profile: Profile) -> Iterator[str]:
    """What the profile would have to say for the judge to understand it."""
    if unknown := sorted(set(profile.ip_families) - _OF_FAMILIES.keys()):
        yield f"the profile has the IP families {', '.join(unknown)}; known: {', '.join(_OF_FAMILIES)}"
    if profile.shared_addresses is not (profile.storage_mode == "s3"):
        yield f"the profile calls addresses of {profile.storage_mode} buckets shared: {profile.shared_addresses}"
    if profile.plane_label != PLANE:
        yield f"the profile's plane label is {profile.plane_label}; the trusted one is {PLANE}"


def _leaves(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """(`a.b`, value) of everything that is no mapping with keys. A dot inside of a key is written `\\.`."""
    for key, value in values.items():
        step = path + str(key).replace(".", r"\.")
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{step}.")
        else:
            yield step, value


def _matches(pattern: str, key: str) -> bool:
    """Cilium matches a filter from the beginning of `source:key`.

    Only names with escaped or bare dots are read, which every engine reads alike; any other expression counts as one
    that matches nothing, because Python's idea of it is not that of Cilium's engine.
    """
    return bool(_PLAIN.fullmatch(pattern)) and key.startswith(pattern.replace("\\", ""))
