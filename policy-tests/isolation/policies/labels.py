"""Labels of a pod's identity: what the cluster sets, what the pod's author may choose, what Cilium leaves out.

Source: Cilium 1.20, pkg/k8s/utils (SanitizePodLabels), pkg/k8s/labels.go (named ports), pkg/labels (text form).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from isolation.policies.label_filter import DEFAULT_FILTER, LabelFilter
from isolation.policies.ports import NONE_NAMED, NamedPorts

NAMESPACE = "io.kubernetes.pod.namespace"
ACCOUNT = "io.cilium.k8s.policy.serviceaccount"
CLUSTER = "io.cilium.k8s.policy.cluster"
NAMESPACE_LABELS = "io.cilium.k8s.namespace.labels."
_RESERVED_PREFIX = "io.cilium.k8s"
_NAMED_PORTS = "io.cilium.k8s.named-ports"
_LONGEST_VALUE = 63


@dataclass(frozen=True, order=True)
class Label:
    """source:key=value. Sources: `k8s` (pods), `gen` (made by Cilium) and `reserved` (entities, addresses outside)."""

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

    def identity(self, kept: LabelFilter = DEFAULT_FILTER, named_ports: NamedPorts = NONE_NAMED) -> Labels:
        """The labels that policies see: forged reserved keys stripped, the trusted four set, the filter applied; last
        the named ports, which no filter leaves out."""
        labels = {key: value for key, value in self.chosen.items() if not key.startswith(_RESERVED_PREFIX)}
        labels |= {NAMESPACE_LABELS + key: value for key, value in self.namespace_labels.items()}
        labels |= {NAMESPACE: self.namespace, CLUSTER: self.cluster}
        if self.account:
            labels[ACCOUNT] = self.account
        found = {Label("k8s", key, value) for key, value in labels.items() if kept.counts("k8s", key)}
        return Labels(frozenset({*found, *_of_named_ports(named_ports)}))


def read_label(text: str) -> Label:
    """`source:key=value`; without a source it is `unspec`, and `$name` is `reserved:name`."""
    source, colon, rest = text.partition(":")
    if text.startswith("$"):
        source, rest = "reserved", text[1:]
    elif not colon:
        source, rest = "", text
    key, equals, value = rest.partition("=")
    if source == "reserved" and equals and not key:
        key, value = value, ""
    return Label(source or "unspec", key, value)


def _of_named_ports(ports: NamedPorts) -> Iterator[Label]:
    """`name.TCP.80_other.UDP.53`, sorted by name, in as many labels as the length of a value asks for."""
    texts: list[str] = []
    for (name, protocol), number in sorted(ports.items()):
        text = f"{name}.{protocol}.{number}"
        if texts and len(texts[-1]) + 1 + len(text) <= _LONGEST_VALUE:
            texts[-1] += f"_{text}"
        else:
            texts.append(text)
    for index, text in enumerate(texts):
        yield Label("gen", _NAMED_PORTS + (f"-{index}" if index else ""), text)
