"""Settings of the agent that bear on how it reads a policy, and the groups of addresses that policies refer to.

Source: Cilium 1.20, pkg/option; the defaults are Cilium's own, in a cluster of IPv4 only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class CidrGroup:
    """A CiliumCIDRGroup: ranges under one name, with labels to select the group by."""

    networks: tuple[Network, ...]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Agent:
    """What the agent was started with. cluster: the local cluster's name, which the entity `cluster` stands for."""

    cluster: str = "default"
    ipv4: bool = True
    ipv6: bool = False
    l7_proxy: bool = True
    icmp_rules: bool = True
    non_default_deny: bool = True
    extended_ip_protocols: bool = False
    node_selector_labels: bool = False
    groups: Mapping[str, CidrGroup] = field(default_factory=dict)

    def world(self, family: int) -> str:
        """Name of the reserved label that addresses of the family (4 or 6) carry: split as soon as the other family
        is enabled."""
        other = self.ipv6 if family == 4 else self.ipv4
        return f"world-ipv{family}" if other else "world"


DEFAULT_AGENT = Agent()
