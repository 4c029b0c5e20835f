"""What Envoy would decide of a TLS server name or an HTTP request, from a model: Cilium's engine leaves it to Envoy.

Source: Cilium 1.20, pkg/envoy/model.go (GetDirectionNetworkPolicy). All rules of the exact port, of covering ranges and
of every port whose selectors hold the peer are alternatives; one without L7 rules lets everything pass. No server name
in the handshake is refused where names are listed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from isolation.policies.http import Request
from isolation.policies.identities import Identity
from isolation.policies.parsing import Rule
from isolation.policies.ports import Port
from isolation.verdicts.merging import DNS, Merged
from isolation.verdicts.world import Side

BASIS = "model"


@dataclass(frozen=True)
class ProxyVerdict:
    """by: the rules of the alternatives that let it pass; on a refusal those that were tried."""

    is_allowed: bool
    by: tuple[Rule, ...]


@dataclass(frozen=True)
class Hop:
    """One endpoint's side of a flow."""

    side: Side
    peer: Identity
    port: Port


def server_name_verdict(hop: Hop, name: str) -> ProxyVerdict:
    """Whether a TLS connection with this server name (empty: without one) passes."""
    return _verdict(hop, lambda lane: _names(lane, name))


def request_verdict(hop: Hop, request: Request, *, server_name: str = "") -> ProxyVerdict:
    """Whether an HTTP request passes. server_name: of the TLS connection that the proxy ends for it; empty for plain
    HTTP, which no rule with server names lets pass."""

    def passes(lane: Merged) -> bool:
        return _names(lane, server_name) and (not lane.http or any(rule.matches(request) for rule in lane.http))

    return _verdict(hop, passes)


def _names(lane: Merged, name: str) -> bool:
    return not lane.server_names or (bool(name) and any(entry.matches(name) for entry in lane.server_names))


def _verdict(hop: Hop, passes: Callable[[Merged], bool]) -> ProxyVerdict:
    side, peer, port = hop.side, hop.peer, hop.port
    reached = side.verdict(peer, port)
    if not reached.is_allowed or not reached.l7 or reached.l7 == (DNS,):
        return ProxyVerdict(reached.is_allowed, reached.by)  # no path through Envoy
    lanes = [lane for lane in side.merged.of(peer, port, side.named_ports(peer)) if not lane.is_deny]
    passing = [lane for lane in lanes if passes(lane)]
    rules = dict.fromkeys(rule for lane in passing or lanes for rule in lane.rules)
    return ProxyVerdict(bool(passing), tuple(rules))
