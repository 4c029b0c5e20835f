"""Flow lines of a policy world: read, and answered side by side."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from isolation.manifests.tree import Document
from isolation.policies.http import HttpRule, Request
from isolation.policies.identities import Identity
from isolation.policies.parsing import EGRESS, INGRESS, Rule
from isolation.policies.ports import LAST_PORT, PROTOCOLS, Port
from isolation.verdicts.envoy import BASIS, Hop, ProxyVerdict, request_verdict, server_name_verdict
from isolation.verdicts.merging import Merged
from isolation.verdicts.world import PolicyWorld, SideVerdict
from isolation.worlds import lines
from isolation.worlds.lines import Fields, LineError

Answer = dict[str, Any]

_DIRECTIONS = {"both": (EGRESS, INGRESS), EGRESS: (EGRESS,), INGRESS: (INGRESS,)}
_SPELLED = {name.upper(): name for name in (*PROTOCOLS, "ICMP", "ICMPv6")}
ALLOW, DENY, ERROR = "allow", "deny", "error"


@dataclass(frozen=True)
class Flow:
    """A flow line, read. sni, request: what is sent on it, to be decided from the model of Envoy."""

    source: Identity
    destination: Identity
    port: Port
    directions: tuple[str, ...]
    query: str | None = None
    sni: str | None = None
    request: Request | None = None

    def hops(self, world: PolicyWorld) -> dict[str, Hop]:
        """The sides asked, each with the other end."""
        ends = {EGRESS: (self.source, self.destination), INGRESS: (self.destination, self.source)}
        return {name: Hop(world.side(ends[name][0], name), ends[name][1], self.port) for name in self.directions}


def read_flow(line: Fields, source: Identity, destination: Identity) -> Flow:
    """Raises LineError."""
    written = lines.text(line.get("direction") or "both", "direction")
    if written not in _DIRECTIONS:
        message = f"direction {lines.shown(written)} is none of {', '.join(_DIRECTIONS)}"
        raise LineError(message)
    directions = _DIRECTIONS[written]
    query, sni, http = (line.get(name) for name in ("query", "sni", "http"))
    if query is not None and EGRESS not in directions:
        message = f"the DNS proxy is on the egress side; direction is {written}"
        raise LineError(message)
    return Flow(
        source,
        destination,
        _port(line),
        directions,
        query=None if query is None else lines.text(query, "query"),
        sni=None if sni is None else lines.text(sni, "sni"),
        request=None if http is None else _request(lines.mapping(http, "http")),
    )


def answered(flow: Flow, world: PolicyWorld) -> Answer:
    """The answer to a flow, without its id."""
    hops = flow.hops(world)
    verdicts = {name: hop.side.verdict(hop.peer, hop.port) for name, hop in hops.items()}
    answer: Answer = {"verdict": _joined(verdicts.values())}
    answer |= {name: _described(hops[name], verdict) for name, verdict in verdicts.items()}
    if error := next((verdict.error for verdict in verdicts.values() if verdict.error), ""):
        return answer | {"error": error}
    if flow.query is not None:
        answer["dns"] = str(hops[EGRESS].side.name_filter(flow.destination, flow.port).query(flow.query))
    if flow.sni is not None:
        answer["sni"] = _of_proxies(server_name_verdict(hop, flow.sni) for hop in hops.values())
    if flow.request is not None:
        asked = (request_verdict(hop, flow.request, server_name=flow.sni or "") for hop in hops.values())
        answer["http"] = _of_proxies(asked)
    return answer


def reference(document: Document) -> str:
    """`kind/namespace/name`."""
    return "/".join(part for part in (document.kind, document.namespace, document.name) if part)


def _port(line: Fields) -> Port:
    number = lines.number(line.get("port"), "port")
    if not 0 < number <= LAST_PORT:
        message = f"port {number} is not within 1-{LAST_PORT}; of ICMP it is the type"
        raise LineError(message)
    written = lines.text(line.get("protocol") or "TCP", "protocol")
    if written.upper() not in _SPELLED:
        message = f"protocol {lines.shown(written)} is none of {', '.join(_SPELLED.values())}"
        raise LineError(message)
    return Port(number, _SPELLED[written.upper()])


def _request(fields: Fields) -> Request:
    texts = {key: lines.text(fields[key], f"http.{key}") for key in ("method", "path", "host") if key in fields}
    headers = lines.labels(fields.get("headers") or {}, "http.headers")
    return Request(**texts, headers={name.lower(): value for name, value in headers.items()})


def _joined(verdicts: Iterable[SideVerdict]) -> str:
    found = [_word(verdict) for verdict in verdicts]
    return next((word for word in (ERROR, DENY) if word in found), ALLOW)


def _word(verdict: SideVerdict) -> str:
    return ERROR if verdict.error else ALLOW if verdict.is_allowed else DENY


def _described(hop: Hop, verdict: SideVerdict) -> Answer:
    made: Answer = {"verdict": _word(verdict), "enforced": verdict.is_enforced}
    if verdict.by:
        made["matched"] = _references(verdict.by)
    if verdict.l7:
        made |= {"redirect": True, "l7": _proxied(hop, verdict.l7)}
    return made


def _proxied(hop: Hop, parsers: tuple[str, ...]) -> list[Answer]:
    lanes = hop.side.merged.of(hop.peer, hop.port, hop.side.named_ports(hop.peer))
    return sorted((_listed(lane) for lane in lanes if lane.parser in parsers), key=str)


def _listed(lane: Merged) -> Answer:
    """What a proxy gets of one port and selector."""
    made: Answer = {"parser": lane.parser}
    if lane.dns:
        made["dns"] = [{"matchPattern" if one.is_pattern else "matchName": one.text} for one in lane.dns]
    if lane.http:
        made["http"] = [_shown(rule) for rule in lane.http]
    if lane.server_names:
        made["server_names"] = sorted(one.text for one in lane.server_names)
    return made


def _shown(rule: HttpRule) -> Answer:
    fields = {"method": rule.method, "path": rule.path, "host": rule.host, "headers": list(rule.headers)}
    return {key: value for key, value in fields.items() if value}


def _of_proxies(verdicts: Iterable[ProxyVerdict]) -> Answer:
    """What passes must pass both ends; the rules are those of the end that refuses, else of both."""
    found = list(verdicts)
    decisive = [verdict for verdict in found if not verdict.is_allowed] or found
    made: Answer = {"verdict": DENY if any(not verdict.is_allowed for verdict in found) else ALLOW, "basis": BASIS}
    rules = [rule for verdict in decisive for rule in verdict.by]
    return made | ({"matched": _references(rules)} if rules else {})


def _references(rules: Iterable[Rule]) -> list[str]:
    return sorted({reference(rule.origin.document) for rule in rules})
