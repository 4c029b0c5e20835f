"""What the agent rejects in an item of toPorts.

Source: Cilium 1.20.2, pkg/policy/api/rule_validation.go (PortRule, PortProtocol, L7Rules), http.go.
"""

from collections.abc import Iterator

from isolation.manifests.faults import Fault
from isolation.manifests.node import Node
from isolation.policies.agent import Agent
from isolation.policies.name_syntax import dns_faults
from isolation.policies.ports import EXTENDED, LAST_PORT, PROTOCOLS, is_port_name, number_of

_MOST_PORTS = 40
_HEADER_ACTIONS = ("", "LOG", "ADD", "DELETE", "REPLACE")


def port_rule_faults(item: Node, section: str, agent: Agent) -> Iterator[Fault]:
    """section: `ingress`, `ingressDeny`, `egress`, `egressDeny`; deny sections have ports only."""
    ports, rules = item.each("ports"), item.at("rules")
    kinds = [kind for kind in ("dns", "http") if rules.each(kind)]
    if len(ports) > _MOST_PORTS:
        yield Fault(item.path, f"{len(ports)} ports are more than {_MOST_PORTS}")
    for port in ports:
        yield from _port_faults(port, agent, is_dns="dns" in kinds)
    if item.value.get("serverNames") and kinds and not item.has("terminatingTLS"):
        yield Fault(item.path, "serverNames and L7 rules on one port, without termination of TLS")
    if "" in item.value.get("serverNames", ()):
        yield Fault(item.path, "serverNames holds an empty name")
    if item.has("listener") and section == "ingress":
        yield Fault(item.at("listener").path, "a listener on ingress")
    if item.has("listener") and kinds:
        yield Fault(item.at("listener").path, "a listener and L7 rules on one port")
    if kinds:
        yield from _l7_faults(item, kinds, section=section, agent=agent)


def _port_faults(node: Node, agent: Agent, *, is_dns: bool) -> Iterator[Fault]:
    """The protocol is compared before its case is folded, so that `gre` with a port passes."""
    text, protocol = node.value.get("port", ""), node.value.get("protocol", "")
    if not text and not agent.extended_ip_protocols:
        yield Fault(node.path, "`port` is missing; write a number, a name, or 0 for every port")
    if text and not is_port_name(text):
        number = number_of(text)
        if protocol in EXTENDED and text != "0":
            yield Fault(node.path, f"port {text} of {protocol}, which has no ports; write 0")
        elif number is None or number > LAST_PORT:
            above = "" if number is None else f", above {LAST_PORT}"
            yield Fault(node.path, f"port {text!r} is no port{above}")
        elif is_dns and node.value.get("endPort", 0) > number:
            yield Fault(node.path, "dns rules on a range of ports")
    if protocol and protocol.upper() not in (*PROTOCOLS, *EXTENDED, "ANY"):
        yield Fault(node.path, f"protocol {protocol!r} is none of {', '.join((*PROTOCOLS, *EXTENDED, 'ANY'))}")


def _l7_faults(item: Node, kinds: list[str], *, section: str, agent: Agent) -> Iterator[Fault]:
    ports, rules = item.each("ports"), item.at("rules")
    if not agent.l7_proxy:
        yield Fault(rules.path, "L7 rules need the option enable-l7-proxy, which is off")
    if "dns" in kinds and section == "ingress":
        yield Fault(rules.path, "dns rules on ingress")
    if len(rules.value) > 1:
        yield Fault(rules.path, "dns and http rules on one port; write one item for each")
    if any(_is_every_port(port) for port in ports):
        yield Fault(rules.path, "L7 rules on port 0")
    if "dns" in kinds and not ports:
        yield Fault(rules.path, "dns rules without a port")
    protocols = [port.value.get("protocol", "").upper() or "ANY" for port in ports]
    if "dns" not in kinds and any(protocol != "TCP" for protocol in protocols):
        yield Fault(rules.path, f"http rules on {', '.join(sorted(set(protocols) - {'TCP'}))}; write `protocol: TCP`")
    for name in rules.each("dns"):
        yield from dns_faults(name)
    for rule in rules.each("http"):
        yield from _http_faults(rule)


def _is_every_port(port: Node) -> bool:
    return number_of(port.value.get("port", "")) == 0


def _http_faults(rule: Node) -> Iterator[Fault]:
    """`host` and `headers` are not looked at by the agent; Envoy may refuse them."""
    from isolation.policies.expressions import ExpressionError, compiled  # RE2 is needed where HTTP rules are, only

    for name in ("path", "method"):
        try:
            compiled(rule.value.get(name, ""))
        except ExpressionError as error:
            yield Fault(rule.path, f"{name} is no regular expression of RE2: {error}")
    for header in rule.each("headerMatches"):
        if not header.value.get("name"):
            yield Fault(header.path, "a header without `name`")
        if header.value.get("mismatch", "") not in _HEADER_ACTIONS:
            yield Fault(header.path, f"mismatch {header.value['mismatch']!r} is none of LOG, ADD, DELETE, REPLACE")
        if header.has("secret") and not header.at("secret").value.get("name"):
            yield Fault(header.path, "a secret without `name`")
