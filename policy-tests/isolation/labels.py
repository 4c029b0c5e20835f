"""Labels of a pod's identity: what the cluster sets, what the pod's author may choose, what Cilium leaves out.

Source: Cilium 1.20, pkg/k8s/utils (SanitizePodLabels), pkg/labelsfilter (default filter).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

NAMESPACE = "io.kubernetes.pod.namespace"
ACCOUNT = "io.cilium.k8s.policy.serviceaccount"
CLUSTER = "io.cilium.k8s.policy.cluster"
NAMESPACE_LABELS = "io.cilium.k8s.namespace.labels."
_RESERVED_PREFIX = "io.cilium.k8s"

# Longest include beats shortest ignore; keys that match neither are kept. Keys are matched from their beginning.
_KEPT = re.compile(r"io\.kubernetes\.pod\.namespace|io\.cilium\.k8s\.|app\.kubernetes\.io")
_LEFT_OUT = re.compile(
    r"io\.kubernetes|kubernetes\.io|k8s\.io|topology\.kubernetes\.io|pod-template-hash|pod-template-generation"
    r"|controller-revision-hash|controller-uid|annotation|etcd_node|statefulset\.kubernetes\.io/pod-name"
    r"|apps\.kubernetes\.io/pod-index|batch\.kubernetes\.io/job-completion-index|batch\.kubernetes\.io/controller-uid"
)


@dataclass(frozen=True, order=True)
class Label:
    """source:key=value. Sources: `k8s` (pods) and `reserved` (entities, addresses outside)."""

    source: str
    key: str
    value: str = ""

    def __str__(self) -> str:
        return f"{self.source}:{self.key}={self.value}" if self.value else f"{self.source}:{self.key}"


@dataclass(frozen=True)
class Labels:
    """The labels of one identity."""

    all: frozenset[Label]

    @cached_property
    def _by_key(self) -> dict[str, list[Label]]:
        found: dict[str, list[Label]] = {}
        for label in sorted(self.all):
            found.setdefault(label.key, []).append(label)
        return found

    def value(self, source: str, key: str) -> str | None:
        """Value of the key under the source, or under every source for `any`; None when it is absent."""
        for label in self._by_key.get(key, ()):
            if source in {"any", label.source}:
                return label.value
        return None


def is_trusted(key: str) -> bool:
    """Keys that the cluster itself sets on an identity; every other key is its author's (DESIGN D11)."""
    return key in {NAMESPACE, ACCOUNT, CLUSTER} or key.startswith(NAMESPACE_LABELS)


def reserved(*names: str) -> Labels:
    """Labels of an entity: `reserved:host` and the like."""
    return Labels(frozenset(Label("reserved", name) for name in names))


@dataclass(frozen=True, kw_only=True)
class PodLabels:
    """What decides a pod's labels. `chosen` is its author's; the rest is the cluster's."""

    namespace: str
    account: str
    cluster: str
    namespace_labels: Mapping[str, str]
    chosen: Mapping[str, str]

    def identity(self) -> Labels:
        """The labels that policies see: forged reserved keys stripped, the trusted four set, the filter applied."""
        labels = {key: value for key, value in self.chosen.items() if not key.startswith(_RESERVED_PREFIX)}
        labels |= {NAMESPACE_LABELS + key: value for key, value in self.namespace_labels.items()}
        labels |= {NAMESPACE: self.namespace, ACCOUNT: self.account, CLUSTER: self.cluster}
        return Labels(frozenset(Label("k8s", key, value) for key, value in labels.items() if _counts(key)))


def _counts(key: str) -> bool:
    return bool(_KEPT.match(key)) or not _LEFT_OUT.match(key)
