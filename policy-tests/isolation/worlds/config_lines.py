"""`config` and `cidr_groups` of a world line: how the agent that holds the policies was started."""

from dataclasses import dataclass
from typing import Any

from isolation.manifests.refusals import Refused
from isolation.policies.addresses import Network, network_of
from isolation.policies.agent import Agent, CidrGroup
from isolation.policies.label_filter import LabelFilter, label_filter
from isolation.verdicts.world import Enforcement
from isolation.worlds import lines
from isolation.worlds.lines import Fields, LineError

_FLAGS = {  # of Agent, each with Cilium's default
    "ipv4": True,
    "ipv6": False,
    "l7_proxy": True,
    "icmp_rules": True,
    "non_default_deny": True,
    "extended_ip_protocols": False,
}
_OWN_FLAGS = frozenset({"any_cluster", "host_firewall"})
_OTHERS = frozenset({"allow_localhost", "cluster", "enforcement", "label_prefixes"})
_NODE_LABELS = "node_selector_labels"  # gives every remote node an identity of its own


@dataclass(frozen=True)
class Config:
    """policy_cluster: the cluster that selectors without one mean, None for every cluster."""

    agent: Agent
    policy_cluster: str | None
    kept: LabelFilter
    admits_node: bool
    enforcement: Enforcement
    host_firewall: bool


def read_config(config: Fields, groups: Fields) -> Config:
    """Raises Refused for a setting that is not understood, LineError for a value that is none."""
    for key, value in config.items():
        if key in _FLAGS or key in _OWN_FLAGS or key == _NODE_LABELS:
            lines.flag(value, f"config.{key}")
        elif key not in _OTHERS:
            raise _refused(f"config {key} is not understood")
    if config.get(_NODE_LABELS):
        raise _refused(f"config {_NODE_LABELS} is not understood; nodes are told apart by entities only")
    cluster = lines.text(config.get("cluster") or "default", "config.cluster")
    flags = {key: config.get(key, default) for key, default in _FLAGS.items()}
    return Config(
        agent=Agent(cluster=cluster, groups={name: _group(name, group) for name, group in groups.items()}, **flags),
        policy_cluster=None if config.get("any_cluster") else cluster,
        kept=label_filter(lines.texts(config.get("label_prefixes") or [], "config.label_prefixes")),
        admits_node=_choice(config, "allow_localhost", ("always", "policy")) == "always",
        enforcement=Enforcement(_choice(config, "enforcement", tuple(Enforcement))),
        host_firewall=bool(config.get("host_firewall")),
    )


def _choice(config: Fields, key: str, known: tuple[str, ...]) -> str:
    """A setting of a few words; the first is the default."""
    found = lines.text(config.get(key) or known[0], f"config.{key}")
    if found not in known:
        message = f"config.{key} {lines.shown(found)} is none of {', '.join(known)}"
        raise LineError(message)
    return found


def _group(name: str, value: Any) -> CidrGroup:
    fields = lines.mapping(value, f"cidr_groups.{name}")
    ranges = lines.texts(fields.get("cidrs") or [], f"cidr_groups.{name}.cidrs")
    labels = lines.labels(fields.get("labels") or {}, f"cidr_groups.{name}.labels")
    return CidrGroup(tuple(_range(text, name) for text in ranges), labels)


def _range(written: str, name: str) -> Network:
    found = network_of(written)
    if found is None:
        message = f"cidr_groups.{name}: {lines.shown(written)} is no range"
        raise LineError(message)
    return found


def _refused(why: str) -> Refused:
    return Refused(where="world", at="config", why=why)
