"""Cilium's own settings, rendered beside the policies: the semantics of the evaluator hold under these only."""

import re
from collections.abc import Iterator
from typing import Any

from isolation.cluster import Cluster
from isolation.labels import ACCOUNT, CLUSTER, NAMESPACE, NAMESPACE_LABELS
from isolation.policy_shapes import PLANE
from isolation.profile import read_fields
from isolation.results import CounterExample, Result

_NAME, _NAMESPACE = "cilium-values", "tenon-system"
_KEYS = tuple(f"k8s:{key}" for key in (NAMESPACE, ACCOUNT, CLUSTER, NAMESPACE_LABELS + PLANE))
_NEEDED = {
    "policyEnforcementMode": "default",
    "policyCIDRMatchMode": "",  # else ranges would select pods and nodes
    "l7Proxy": True,  # else DNS rules filter nothing
}


def settings(cluster: Cluster) -> Result:
    """The values agree with the profile and keep every trusted label in identities."""
    found = [document for document in cluster.tree.of_kind("ConfigMap") if document.name == _NAME]
    found = [document for document in found if document.namespace == _NAMESPACE]
    faults = [
        CounterExample(document.file, fault) for document in found for fault in _faults(read_fields(document), cluster)
    ]
    if not found:
        faults = [CounterExample(_NAME, "is not rendered; the semantics rest on it")]
    return Result("settings", "Cilium is set up as the proof assumes", len(_NEEDED) + len(_KEYS), tuple(faults))


def _faults(values: dict[str, Any], cluster: Cluster) -> Iterator[str]:
    for key, needed in _NEEDED.items():
        if values.get(key) != needed:
            yield f"{key} is {values.get(key)!r}; the proof needs {needed!r}"
    patterns = str(values.get("labels") or "").split()
    if list(cluster.profile.label_filter) != patterns:
        yield "labels differ from the profile's labelFilter"
    if any(pattern.startswith("!") or ":!" in pattern for pattern in patterns):
        yield "labels leave keys out; an allow-list of the trusted keys is needed"
    for key in _KEYS:
        if not any(_matches(pattern, key) for pattern in patterns):
            yield f"labels drop {key}, so selectors on it match nothing"


def _matches(pattern: str, key: str) -> bool:
    """Cilium matches a filter from the beginning of `source:key`; what is no expression matches nothing."""
    try:
        return bool(re.match(pattern, key))
    except re.error:
        return False
