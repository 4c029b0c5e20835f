"""Policy worlds and flows as JSON Lines, the format that Cilium's own engine is asked in too.

The format is described beside the recorded cases (policy-tests/cases/README.md). What the evaluator does not
understand is refused line by line, as `{"id": .., "refused": why}`; what is no question gets `{.., "error": why}`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from isolation.classes.profile import CILIUM_VERSION
from isolation.manifests.refusals import Refused
from isolation.manifests.tree import Document
from isolation.policies.identities import Identity
from isolation.policies.parsing import POLICY_KINDS, Parsed, parse_policy
from isolation.verdicts.world import PolicyWorld
from isolation.worlds import lines
from isolation.worlds.config_lines import Config, read_config
from isolation.worlds.flow_lines import Answer, answered, read_flow, reference
from isolation.worlds.lines import Fields, LineError
from isolation.worlds.peers import Surroundings, identity_of

ENGINE = f"tenon isolation (Cilium {CILIUM_VERSION})"
MOST_PEERS = 100_000  # described in flows; more of them are forgotten together, with what was computed for them

_TIERED = "ClusterNetworkPolicy"


@dataclass(frozen=True)
class Report:
    """What became of one object."""

    ref: str
    errors: Mapping[str, str] = field(default_factory=dict)  # parse_error, sanitize_error: it enforces nothing
    schema_error: str = ""  # the API server would refuse it, an agent that gets it enforces it

    def document(self) -> Answer:
        made: Answer = {"ref": self.ref, "accepted": not self.errors, **self.errors}
        return made | ({"schema_error": self.schema_error} if self.schema_error else {})


@dataclass(eq=False)
class World:
    """One line of type `world`, ready to be asked."""

    policies: PolicyWorld
    reports: tuple[Report, ...]
    around: Surroundings
    peers: Fields
    _named: dict[str, Identity] = field(default_factory=dict)
    _described: dict[str, Identity] = field(default_factory=dict)

    def answer(self, line: Fields) -> Answer:
        """Verdict of one flow line. Raises Refused and LineError."""
        flow = read_flow(line, self._identity(line.get("from"), "from"), self._identity(line.get("to"), "to"))
        return {"id": line.get("id"), **answered(flow, self.policies)}

    def document(self, line: Fields) -> Answer:
        """The answer to the world's own line. identities: of the peers that the line names. Raises LineError."""
        known = set()
        for name in self.peers:
            with suppress(Refused):  # refuses the flows of that peer, no others
                known.add(self._known(name).labels)
        reports = [report.document() for report in self.reports]
        return {"type": "world", "id": line.get("id"), "engine": ENGINE, "policies": reports, "identities": len(known)}

    def _identity(self, peer: object, what: str) -> Identity:
        if isinstance(peer, str):
            return self._known(peer)
        key = json.dumps(peer, sort_keys=True)
        if key not in self._described:
            if len(self._described) >= MOST_PEERS:
                self._described.clear()
                self.policies.forget()
            self._described[key] = identity_of(what, lines.mapping(peer, what), self.around)
        return self._described[key]

    def _known(self, name: str) -> Identity:
        if name not in self._named:
            if name not in self.peers:
                message = f"peer {lines.shown(name)} is not in the world"
                raise LineError(message)
            self._named[name] = identity_of(name, lines.mapping(self.peers[name], f"peers.{name}"), self.around)
        return self._named[name]


@dataclass
class Answers:
    """Answers line by line; flows are asked of the last world, and refused where that was refused."""

    world: World | None = None
    is_faultless: bool = True
    _why: str = "no world stands before this line"

    def answer(self, text: str) -> Answer:
        """Never raises: what is no question is an answer too."""
        line: Fields = {}
        try:
            line = lines.mapping(_parsed_json(text), "the line")
            return self._answer(line)
        except Refused as refused:
            return self._fault(line, "refused", str(refused))
        except (LineError, RecursionError) as error:
            return self._fault(line, "error", str(error))

    def unread(self, why: str) -> Answer:
        """The answer to a line that was not even read; it may have been a world."""
        self.world = None
        return self._fault({}, "error", f"the line {why}")

    def _answer(self, line: Fields) -> Answer:
        if line.get("type") == "world" or "policies" in line:
            self.world, self._why = None, "the world before this line was refused"
            world = read_world(line)
            document = world.document(line)
            self.world = world
            if line.get("type") == "world":
                return document
        elif "from" not in line:
            message = "is neither a world nor a flow: `type`, `policies` and `from` are missing"
            raise LineError(message)
        if self.world is None:
            raise Refused(where="world", at="", why=self._why)
        answer = self.world.answer(line)
        for report in self.world.reports if "policies" in line else ():
            answer = {**report.errors, **answer}
        return answer

    def _fault(self, line: Fields, kind: str, why: str) -> Answer:
        self.is_faultless = False
        return {"id": line.get("id"), kind: why}


def answers(texts: Iterable[str]) -> Iterator[Answer]:
    """One answer per line, in order."""
    return map(Answers().answer, texts)


def read_world(line: Fields) -> World:
    """A world line. Raises Refused and LineError."""
    groups = lines.mapping(line.get("cidr_groups") or {}, "cidr_groups")
    config = read_config(lines.mapping(line.get("config") or {}, "config"), groups)
    peers = lines.mapping(line.get("peers") or {}, "peers")
    read = [_policy(body, index, config) for index, body in enumerate(lines.items(line.get("policies"), "policies"))]
    kept = {report.ref: parsed for report, parsed in read}  # of one kind, namespace and name, the last
    rules = [rule for parsed in kept.values() if parsed for rule in parsed.rules]
    around = _surroundings(line, config).with_host_of(peers).with_policies(rules)
    world = PolicyWorld(
        rules,
        admits_node=config.admits_node,
        enforcement=config.enforcement,
        host_firewall=config.host_firewall,
    )
    return World(world, tuple(report for report, _ in read), around, peers)


def _parsed_json(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        message = f"the line is no JSON: {str(error)[:200]}"
        raise LineError(message) from None


def _no_constant(name: str) -> object:
    message = f"{name} is no number of JSON"
    raise ValueError(message)


def _surroundings(line: Fields, config: Config) -> Surroundings:
    namespaces = lines.mapping(line.get("namespaces") or {}, "namespaces")
    learned = lines.mapping(line.get("dns") or {}, "dns")
    return Surroundings(
        agent=config.agent,
        kept=config.kept,
        namespaces={name: lines.labels(labels or {}, f"namespaces.{name}") for name, labels in namespaces.items()},
        dns={address: lines.texts(names, f"dns.{address}") for address, names in learned.items()},
    )


def _policy(body: Any, index: int, config: Config) -> tuple[Report, Parsed | None]:
    """One object and what became of it; None where it enforces nothing."""
    if not isinstance(body, dict):
        return Report(f"policies[{index}]", {"parse_error": f"{lines.shown(body)} is no mapping"}), None
    document = Document(f"policies[{index}]", body, {})
    if document.kind == _TIERED:
        raise _refused(f"policies[{index}]: {_TIERED} is not understood; its tiers override other policies")
    if document.kind not in POLICY_KINDS:
        return Report(reference(document), {"parse_error": f"{document.kind} is no kind of policy"}), None
    parsed = parse_policy(document, cluster=config.policy_cluster, agent=config.agent, strict=False)
    rejected, refused = ("; ".join(map(str, faults)) for faults in (parsed.rejected, parsed.schema_faults))
    return Report(reference(document), {"sanitize_error": rejected} if rejected else {}, refused), parsed


def _refused(why: str) -> Refused:
    return Refused(where="world", at="", why=why)
