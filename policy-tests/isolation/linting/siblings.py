"""What objects do to each other when they select the same pods.

Source: Cilium 1.20.2, pkg/policy/l4.go, mapstate.go, pkg/fqdn/dnsproxy (which allows share a DNS filter), pkg/envoy (of
server names and HTTP rules every allow that covers the peer is an alternative); seen in the engine, the last one in
Cilium's source only.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from isolation.linting.findings import Hit
from isolation.linting.meetings import Placed, Rules, is_entity, peers_meet, same_selector
from isolation.linting.objects import Policy
from isolation.linting.plain import mapped
from isolation.policies.addresses import RFC_1918
from isolation.policies.entities import Cidr, Entity, Fqdn
from isolation.policies.names import NamePattern
from isolation.policies.parsing import Rule


def siblings(rules: Rules) -> Iterator[Hit]:
    """Every finding that needs two rules, or the absence of the second."""
    for placed in rules.judged:
        checks = list(_asked_of(placed))
        beside = list(rules.beside(placed)) if checks else []
        for check in checks:
            yield from check(placed, beside)


def _asked_of(placed: Placed) -> Iterator[Callable[[Placed, Sequence[Placed]], Iterator[Hit]]]:
    rule = placed.rule
    if rule.dns is not None and rule.default_deny:
        yield from (_dns_voided, _two_dns_objects, _dns_by_name_and_number)
    if placed.opens_egress and any(isinstance(peer, Cidr | Fqdn | Entity) for peer in rule.peers or ()):
        yield from (_names_without_dns, _cut_by_deny)
    if rule.http is not None or rule.server_names is not None:
        yield _proxy_voided
    if not rule.is_deny and not rule.default_deny:
        yield _nothing_denied
    if rule.is_deny and rule.default_deny and not rule.on_nodes:
        yield _closed_by_a_deny


def same_names(policies: Iterable[Policy]) -> Iterator[Hit]:
    """Two objects of one name in one file: the last one wins."""
    seen: set[tuple[str, str]] = set()
    for policy in policies:
        key = (policy.document.file, policy.reference)
        if key in seen and policy.document.name:
            yield Hit("TN706", policy, ("metadata", "name"), f"{policy.reference} stands twice; the last one wins")
        seen.add(key)


def _dns_voided(filtered: Placed, beside: Sequence[Placed]) -> Iterator[Hit]:
    for other in beside:
        if other.rule.is_deny or other.rule.dns is not None:
            continue
        shared = filtered.exact_ports() & other.exact_ports()
        if shared and peers_meet(filtered.rule, other.rule):
            ports = ", ".join(str(port) for port in sorted(shared))
            detail = f"voids the name filter of {filtered.shown} on {ports}"
            yield Hit("TN701", other.policy, other.path, detail)


def _two_dns_objects(one: Placed, beside: Sequence[Placed]) -> Iterator[Hit]:
    for other in beside:
        if other.rule.dns is None or other.rule.is_deny or _place(other) <= _place(one) or other.policy is one.policy:
            continue
        if one.exact_ports() & other.exact_ports() and peers_meet(one.rule, other.rule):
            yield Hit("TN702", other.policy, other.path, f"a second list of names beside {one.shown}")


def _dns_by_name_and_number(one: Placed, beside: Sequence[Placed]) -> Iterator[Hit]:
    if not any(span.name for span in one.rule.ports or ()):
        return
    for other in beside:
        if other.rule.dns is not None and other.exact_ports() and peers_meet(one.rule, other.rule):
            yield Hit("TN710", one.policy, one.path, f"names the port, and {other.shown} its number")


def _proxy_voided(placed: Placed, beside: Sequence[Placed]) -> Iterator[Hit]:
    """placed carries server names or HTTP rules."""
    kind = "serverNames" if placed.rule.server_names is not None else "http rules"
    for other in beside:
        if other.rule.is_deny or not peers_meet(placed.rule, other.rule):
            continue
        exact = placed.exact_ports() & other.exact_ports()
        if exact and other.rule.server_names is not None and placed.rule.http is not None:
            if same_selector(placed.rule, other.rule) and not (placed.rule.terminates_tls or other.rule.terminates_tls):
                yield Hit("TN703", other.policy, other.path, f"serverNames meet the http rules of {placed.shown}")
        elif not other.is_plain:
            continue
        elif exact and same_selector(placed.rule, other.rule):
            if placed.rule.http is not None:
                yield Hit("TN705", other.policy, other.path, f"voids the http rules of {placed.shown}")
        elif any(other.rule.covers(port) for port in placed.exact_ports()):
            yield Hit("TN704", other.policy, other.path, f"is an alternative to the {kind} of {placed.shown}")


def _names_without_dns(placed: Placed, beside: Sequence[Placed]) -> Iterator[Hit]:
    """Addresses are learned from answers that pass a DNS rule; no answer, no address."""
    wanted = [peer.pattern for peer in placed.rule.peers or () if isinstance(peer, Fqdn) and peer.pattern.text]
    if not wanted:
        return
    lists = [rule.dns for rule in (placed.rule, *(other.rule for other in beside)) if rule.dns and not rule.is_deny]
    path = (*placed.entry_path, "toFQDNs")
    if not lists:
        names = ", ".join(str(pattern) for pattern in wanted)
        yield Hit("TN510", placed.policy, path, f"no DNS rule for these pods stands in the given files: {names}")
        return
    for pattern in wanted:
        if not any(_answers(entry, pattern) for entries in lists for entry in entries):
            yield Hit("TN511", placed.policy, path, f"no DNS rule for these pods answers {pattern}")


def _answers(entry: NamePattern, wanted: NamePattern) -> bool:
    """Whether the DNS entry lets the name pass, or an example of what the pattern means."""
    if not wanted.is_pattern:
        return entry.matches(wanted.text)
    return entry.text == wanted.text or entry.matches(wanted.text.replace("**.", "x.y.").replace("*", "x"))


def _cut_by_deny(placed: Placed, beside: Sequence[Placed]) -> Iterator[Hit]:
    ranges = [peer for peer in placed.rule.peers or () if isinstance(peer, Cidr)]
    api = any(is_entity(peer, frozenset({"kube-apiserver"})) for peer in placed.rule.peers or ())
    for other in beside:
        if not other.rule.is_deny or other.rule.ports is not None:
            continue
        denied = [peer for peer in other.rule.peers or () if isinstance(peer, Cidr)]
        for allowed in ranges:
            if any(_is_inside(allowed, deny) for deny in denied):
                detail = f"{allowed.network} is denied by {other.shown}; a deny wins"
                yield Hit("TN708", placed.policy, placed.entry_path, detail)
        if api and any(deny.network in RFC_1918 and not deny.excepted for deny in denied):
            yield Hit("TN709", placed.policy, placed.entry_path, f"{other.shown} denies private addresses")


def _is_inside(allowed: Cidr, deny: Cidr) -> bool:
    inner, outer = allowed.network, deny.network
    if inner.version != outer.version or any(inner.overlaps(gap) for gap in deny.excepted):
        return False
    return inner.network_address in outer and inner.prefixlen >= outer.prefixlen


def _closed_by_a_deny(placed: Placed, beside: Sequence[Placed]) -> Iterator[Hit]:
    """A deny asks for default deny as an allow does, unless the object says that it should not."""
    direction = placed.rule.direction
    section = placed.entry_path[:-1]
    spec = next(each for each in placed.policy.specs if placed.path[: len(each.path)] == each.path)
    is_asked = mapped(spec.body.get("enableDefaultDeny")).get(direction) is True
    if is_asked or not all(other.rule.is_deny for other in beside):
        return
    detail = f"no given policy allows these pods any {direction}: all of it is closed, not only what is denied"
    yield Hit("TN321", placed.policy, section, detail)


def _nothing_denied(placed: Placed, beside: Sequence[Placed]) -> Iterator[Hit]:
    if any(_asks(other.rule) for other in beside):
        return
    detail = f"no given policy denies {placed.rule.direction} by default, so this allow changes nothing"
    yield Hit("TN112", placed.policy, placed.entry_path, detail)


def _asks(rule: Rule) -> bool:
    return rule.default_deny


def _place(placed: Placed) -> tuple[str, int]:
    return placed.policy.document.file, placed.policy.document.line(placed.path)
