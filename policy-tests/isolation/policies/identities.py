"""Who takes part in a flow: a pod, an entity, or an address outside with the names that were learned for it."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from isolation.policies.labels import Label, Labels, reserved
from isolation.policies.ports import NONE_NAMED, NamedPorts

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, eq=False)
class Identity:
    """One side of a flow. is_endpoint: policies can apply to it; what is none is never enforced. To the node itself
    they apply only where the host firewall is on.

    names: learned for the address; named_ports: of the pod's containers. is_plain: no policy's range or name and no
    group is about the address, which is the entity `world` then and of no other group.
    """

    name: str
    labels: Labels
    is_endpoint: bool = False
    address: Address | None = None
    names: frozenset[str] = frozenset()
    named_ports: NamedPorts = field(default_factory=lambda: NONE_NAMED)
    is_plain: bool = False

    @property
    def is_node(self) -> bool:
        """The node itself, hence every hostNetwork pod on it."""
        return self.labels.value("reserved", "host") is not None

    @property
    def is_starting(self) -> bool:
        """An endpoint whose labels are not known yet; always under default deny."""
        return self.labels.value("reserved", "init") is not None


WORLD_ENTITIES = ("world", "world-ipv4", "world-ipv6")
CLUSTER_ENTITIES = ("host", "remote-node", "init", "ingress", "health", "unmanaged", "kube-apiserver")

ENTITY_LABELS = {
    "host": ("host",),
    "remote-node": ("remote-node",),
    "kube-apiserver": ("kube-apiserver", "remote-node"),
    "health": ("health",),
    "init": ("init",),
    "ingress": ("ingress",),
    "unmanaged": ("unmanaged",),
    "world": ("world",),
}
_ENDPOINTS = frozenset({"health", "host", "init", "ingress"})  # the host's own policies need the host firewall


def entity(name: str) -> Identity:
    """A reserved identity. KeyError for a name that is none."""
    return Identity(name, reserved(*ENTITY_LABELS[name]), is_endpoint=name in _ENDPOINTS)


def outside(
    name: str,
    *,
    address: Address | None = None,
    names: frozenset[str] = frozenset(),
    is_api_server: bool = False,
    dual_stack: bool = False,
    world: str = "",
) -> Identity:
    """An address that is neither pod nor node; without one, some IPv4 address to which only the names lead.

    In dual stack the world label is split by family. world: the label itself, where the cluster's families say more.
    """
    family = 4 if address is None else address.version
    labels = {Label("reserved", world or (f"world-ipv{family}" if dual_stack else "world"))}
    if is_api_server:
        labels.add(Label("reserved", "kube-apiserver"))
    return Identity(name, Labels(frozenset(labels)), address=address, names=names)


def pod(name: str, labels: Labels, named_ports: NamedPorts = NONE_NAMED) -> Identity:
    return Identity(name, labels, is_endpoint=True, named_ports=named_ports)
